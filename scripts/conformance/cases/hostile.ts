import type { Content } from "../../../core/content.js";
import type { RangeFingerprint } from "../../../gen/tercet/v1/item.js";
import { type ChangePage, ExchangeResponse, type Verdict } from "../../../gen/tercet/v1/sync.js";
import type { ServerOptions } from "../../../server/index.js";
import type { Case } from "../case.js";
import { holds, same } from "../expect.js";
import { COLLECTION, type Place, printsOf, refused } from "../place.js";
import type { Fate } from "../relay.js";
import type { ServerMessage } from "../stream-server.js";
import type { Report, TesteeReplica } from "../testee-replica.js";

/** How an exchange has to end with a server that lies. */
export type End =
  | { readonly report: Partial<Report> }
  | { readonly code?: string; readonly reason?: string }
  /** By an error, whichever. */
  | "error"
  /** However: but nothing false may be kept, and nothing that is not so may be said to be verified. */
  | "either";

/** What a server says otherwise than it should. Answers what is sent in place of the message; undefined: the message. */
type Lie = (message: ServerMessage, told: { count: number }) => Fate<ServerMessage>;

/** A hostile case: what the server lies about, and what the client has to make of it. */
export interface Hostile {
  readonly name: string;
  readonly lie: Lie;
  readonly end: End;
  /** Contents and pending changes travel by themselves. */
  readonly fetched?: true;
}

const OLD = { a: "1", b: "1" };
const ENDS = { a: "1", x: "new", y: "new", m: "mine" };

/** Runs a hostile case: one exchange with the liar, and one with the honest server, which has to make everything right. */
export function hostileCase({ name, lie, end, fetched }: Hostile): Case {
  return {
    name: `hostile/${name}`,
    async run(place) {
      const limits: NonNullable<ServerOptions["limits"]> = fetched === true ? { inlineBytes: 0, eagerBytes: 0 } : {};
      const replica = await place.equal(OLD, { limits });
      await place.elsewhere({ x: "new", y: "new", b: null });
      await replica.change({ m: "mine" });
      const told = { count: 0 };
      const relay = await place.relay({ down: (message) => lie(message, told) });
      const exchange = replica.sync({ server: relay.address });
      const report = await judgeEnd(exchange, end);
      holds("the kit never came to lie", told.count > 0);
      await judgeHonesty(place, replica, report);
      same("verified with the honest server", (await place.sync(replica)).verified, true);
      await place.ends(replica, { items: ENDS });
    },
  };
}

async function judgeEnd(exchange: Promise<Report>, end: End): Promise<Report | undefined> {
  if (end === "either") return await exchange.catch((error: unknown) => ignoreError(error));
  if (end === "error") {
    await refused(exchange, {});
    return undefined;
  }
  if (!("report" in end)) {
    await refused(exchange, end);
    return undefined;
  }
  const report = await exchange;
  same("report", report, end.report);
  return report;
}

function ignoreError(error: unknown): undefined {
  if (error instanceof Error && error.name === "TesteeError") return undefined;
  throw error;
}

/** All contents are such that somebody wrote, and what is said to be verified is so. */
async function judgeHonesty(place: Place, replica: TesteeReplica, report: Report | undefined): Promise<void> {
  const known: Readonly<Record<string, readonly string[]>> = {
    a: ["1"],
    b: ["1"],
    x: ["new"],
    y: ["new"],
    m: ["mine"],
  };
  for (const { id, fingerprint } of await replica.list()) {
    const prints = (known[id] ?? []).flatMap((content) => printsOf({ [id]: content }).map((each) => each.fingerprint));
    holds(`nothing false may be kept: "${id}"`, prints.includes(fingerprint), fingerprint);
  }
  if (report?.verified !== true) return;
  const { fingerprint } = await (await place.server()).api.getCollection(COLLECTION);
  same("what is said to be verified", report.fingerprint, fingerprint?.sum.toString("hex"));
}

type Value<Kind extends ServerMessage["$case"]> = Extract<ServerMessage, { $case: Kind }>["value"];
/** Changes a message, and answers false where it is not one to lie in. */
type Spoil<Kind extends ServerMessage["$case"]> = (value: Value<Kind>) => boolean;

/** Lies in so many messages of a kind: by default, in each of them. */
function inEvery<Kind extends ServerMessage["$case"]>(
  kind: Kind,
  spoil: Spoil<Kind>,
  times = Number.POSITIVE_INFINITY,
): Lie {
  return (message, told) => {
    if (message.$case !== kind || told.count >= times) return undefined;
    const value: unknown = message.value;
    if (!spoil(value as Value<Kind>)) return undefined;
    told.count += 1;
    return { instead: [message] };
  };
}

function once<Kind extends ServerMessage["$case"]>(kind: Kind, spoil: Spoil<Kind>): Lie {
  return inEvery(kind, spoil, 1);
}

/** Says this before the first message of a kind. */
function before(kind: ServerMessage["$case"], ...more: readonly (ServerMessage | Uint8Array)[]): Lie {
  return (message, told) => {
    if (message.$case !== kind || told.count > 0) return undefined;
    told.count += 1;
    return { instead: [...more, message] };
  };
}

const flipped = (bytes: Buffer): Buffer => Buffer.from(bytes.map((byte, at) => (at === 0 ? byte ^ 1 : byte)));

function spoilContent(page: ChangePage): boolean {
  const change = page.changes.find(({ id }) => id === "y");
  if (change?.content === undefined) return false;
  change.content = { $case: "text", value: "false" };
  return true;
}

function spoilChange(page: ChangePage, change: (info: ChangePage["changes"][number]) => void): boolean {
  const info = page.changes.find(({ id }) => id === "y");
  if (info !== undefined) change(info);
  return info !== undefined;
}

function spoilProof(page: ChangePage, change: (proof: RangeFingerprint) => void): boolean {
  if (page.proof !== undefined) change(page.proof);
  return page.proof !== undefined;
}

function spoilVerdict(change: (verdict: Verdict) => Verdict[]): Lie {
  return once("verdicts", (value) => {
    value.verdicts = value.verdicts.flatMap(change);
    return true;
  });
}

const UNVERIFIED = { code: "DATA_LOSS", reason: "UNVERIFIED" };
const UNSUPPORTED = { code: "UNIMPLEMENTED", reason: "UNSUPPORTED" };
const OUT_OF_ORDER = { code: "INVALID_ARGUMENT", reason: "OUT_OF_ORDER" };
const FINE = { report: { verified: true, received: 2, deleted: 1, sent: 1, conflicts: [], recovery: null } } as const;

const verdict = (more: Partial<Verdict>): Verdict => {
  return {
    ordinal: 0,
    count: 1,
    outcome: 1,
    revision: 9,
    oneRevision: false,
    current: undefined,
    reason: 0,
    message: "",
    ...more,
  };
};
const unasked = (id: string, content: Content): ServerMessage => {
  const item = { id, fingerprint: undefined, revision: 3, modifyTimeUs: 1, size: 1, offset: 0 };
  const field = { $case: "text", value: String(content) } as const;
  return {
    $case: "contents",
    value: { items: [{ ...item, content: field }], deleted: [], refused: [], witness: undefined },
  };
};
const UNKNOWN_MESSAGE = Buffer.from([0xf2, 0x3f, 0x03, 0x0a, 0x01, 0x78]);

const CONTENTS: readonly Hostile[] = [
  { name: "inline-content-wrong-once", lie: once("page", spoilContent), end: FINE },
  {
    name: "inline-content-wrong-always",
    lie: (message, told) => inEvery("page", spoilContent)(message, told) ?? spoilFetched(message),
    end: UNVERIFIED,
  },
  {
    name: "page-fingerprint-wrong",
    lie: once("page", (page) => {
      if (page.fingerprint === undefined) return false;
      page.fingerprint.sum = flipped(page.fingerprint.sum);
      return true;
    }),
    end: FINE,
  },
  {
    name: "page-fingerprint-with-a-wrong-count",
    lie: once("page", (page) => {
      if (page.fingerprint === undefined) return false;
      page.fingerprint.count += 1;
      return true;
    }),
    end: FINE,
  },
  {
    name: "page-fingerprint-missing",
    lie: once("page", (page) => {
      if (page.fingerprint === undefined) return false;
      page.fingerprint = undefined;
      return true;
    }),
    end: FINE,
  },
  { name: "fetched-content-wrong-once", lie: fetchedLie(1), end: FINE, fetched: true },
  { name: "fetched-content-wrong-always", lie: fetchedLie(Number.POSITIVE_INFINITY), end: UNVERIFIED, fetched: true },
  {
    name: "fetched-content-of-another-item",
    lie: once("contents", (value) => {
      for (const item of value.items) item.id = "z";
      return value.items.length > 0;
    }),
    end: OUT_OF_ORDER,
    fetched: true,
  },
  { name: "contents-that-nobody-asked-for", lie: before("page", unasked("a", "false")), end: OUT_OF_ORDER },
  {
    name: "chunk-that-nobody-asked-for",
    lie: before("page", {
      $case: "chunk",
      value: {
        uploadId: Buffer.alloc(0),
        id: "a",
        revision: 3,
        offset: 0,
        data: Buffer.from("false"),
        size: 5,
        text: true,
        fingerprint: undefined,
        modifyTimeUs: 1,
      },
    }),
    end: OUT_OF_ORDER,
  },
];

/** A content that was fetched, spoilt. */
function spoilFetched(message: ServerMessage): Fate<ServerMessage> {
  if (message.$case !== "contents") return undefined;
  for (const item of message.value.items) item.content = { $case: "text", value: "false" };
  return { instead: [message] };
}

function fetchedLie(times: number): Lie {
  return inEvery(
    "contents",
    (value) => {
      for (const item of value.items) item.content = { $case: "text", value: "false" };
      return value.items.length > 0;
    },
    times,
  );
}

const CHANGES: readonly Hostile[] = [
  {
    name: "unknown-kind",
    lie: inEvery("page", (page) => spoilChange(page, (info) => Object.assign(info, { kind: 9 }))),
    end: UNSUPPORTED,
  },
  {
    name: "kind-unspecified",
    lie: inEvery("page", (page) => spoilChange(page, (info) => Object.assign(info, { kind: 0 }))),
    end: UNSUPPORTED,
  },
  {
    name: "unknown-algorithm",
    fetched: true,
    lie: inEvery("page", (page) =>
      spoilChange(page, (info) => {
        if (info.fingerprint !== undefined) Object.assign(info.fingerprint, { algorithm: 9 });
      }),
    ),
    end: UNSUPPORTED,
  },
  {
    name: "fingerprint-of-31-bytes",
    fetched: true,
    lie: inEvery("page", (page) =>
      spoilChange(page, (info) => {
        if (info.fingerprint !== undefined) info.fingerprint.value = info.fingerprint.value.subarray(1);
      }),
    ),
    end: "error",
  },
  {
    name: "fingerprint-missing",
    fetched: true,
    lie: inEvery("page", (page) =>
      spoilChange(page, (info) => {
        info.fingerprint = undefined;
      }),
    ),
    end: "error",
  },
  {
    name: "empty-id",
    lie: inEvery("page", (page) =>
      spoilChange(page, (info) => {
        info.id = "";
      }),
    ),
    end: "either",
  },
  {
    name: "unknown-standard",
    lie: inEvery("opened", (opened) => {
      Object.assign(opened, { standard: 9 });
      return true;
    }),
    end: UNSUPPORTED,
  },
];

const ORDER: readonly Hostile[] = [
  {
    name: "page-before-opened",
    lie: before("opened", {
      $case: "page",
      value: { changes: [], fingerprint: undefined, checkpoint: undefined, end: false, proof: undefined },
    }),
    end: OUT_OF_ORDER,
  },
  {
    name: "opened-twice",
    lie: (message, told) => {
      if (message.$case !== "opened") return undefined;
      told.count += 1;
      return { instead: [message, message] };
    },
    end: OUT_OF_ORDER,
  },
  {
    name: "opened-without-uid",
    lie: once("opened", (opened) => {
      opened.collectionUid = Buffer.alloc(0);
      return true;
    }),
    end: "error",
  },
  {
    name: "opened-with-another-uid",
    lie: once("opened", (opened) => {
      opened.collectionUid = Buffer.alloc(16, 7);
      return true;
    }),
    end: "error",
  },
  {
    name: "ranges-that-nobody-asked-for",
    lie: before("page", {
      $case: "ranges",
      value: {
        outcomes: [1],
        parts: [],
        ends: undefined,
        counts: [],
        sums: Buffer.alloc(0),
        lists: [],
        head: undefined,
        forkRevision: 0,
        compactedRevision: 0,
        lineage: [],
        witness: undefined,
      },
    }),
    end: OUT_OF_ORDER,
  },
  {
    name: "proof-that-nobody-asked-for",
    lie: (message, told) => {
      if (message.$case !== "page" || message.value.proof === undefined || told.count > 0) return undefined;
      told.count += 1;
      return { instead: [message, message] };
    },
    end: "either",
  },
  { name: "verdict-of-no-push", lie: before("page", verdicts(verdict({ ordinal: 7 }))), end: OUT_OF_ORDER },
  {
    name: "verdict-with-an-ordinal-left-out",
    lie: spoilVerdict((each) => [{ ...each, ordinal: each.ordinal + 1 }]),
    end: OUT_OF_ORDER,
  },
  { name: "verdict-given-twice", lie: spoilVerdict((each) => [each, each]), end: OUT_OF_ORDER },
  {
    name: "verdict-on-too-many",
    lie: spoilVerdict((each) => [{ ...each, count: Number.MAX_SAFE_INTEGER }]),
    end: OUT_OF_ORDER,
  },
  { name: "verdict-on-none", lie: spoilVerdict((each) => [{ ...each, count: 0 }]), end: "either" },
  {
    name: "verdict-with-a-huge-ordinal",
    lie: spoilVerdict((each) => [{ ...each, ordinal: Number.MAX_SAFE_INTEGER }]),
    end: OUT_OF_ORDER,
  },
  {
    name: "verdict-with-an-unknown-outcome",
    lie: spoilVerdict((each) => [{ ...each, outcome: 9 as 1 }]),
    end: "either",
  },
  {
    name: "conflict-verdict-without-the-item",
    lie: spoilVerdict((each) => [{ ...each, outcome: 3, revision: 0 }]),
    end: "either",
  },
  {
    name: "rejected-for-an-unknown-reason",
    lie: spoilVerdict((each) => [{ ...each, outcome: 5, revision: 0, reason: 999 as 1, message: "of tomorrow" }]),
    end: "either",
  },
];

function verdicts(...list: Verdict[]): ServerMessage {
  return { $case: "verdicts", value: { verdicts: list, checkpoint: undefined, witness: undefined } };
}

const PROOFS: readonly Hostile[] = [
  {
    name: "proof-wrong-always",
    lie: inEvery("page", (page) =>
      spoilProof(page, (proof) => {
        proof.sum = flipped(proof.sum);
      }),
    ),
    end: UNVERIFIED,
  },
  {
    name: "proof-with-a-wrong-count-always",
    lie: inEvery("page", (page) =>
      spoilProof(page, (proof) => {
        proof.count += 1;
      }),
    ),
    end: UNVERIFIED,
  },
  {
    name: "proof-of-a-changed-last-byte",
    lie: inEvery("page", (page) =>
      spoilProof(page, (proof) => {
        proof.sum = Buffer.from(proof.sum.map((byte, at) => (at === 31 ? byte ^ 0x80 : byte)));
      }),
    ),
    end: UNVERIFIED,
  },
  {
    name: "change-left-out",
    lie: once("page", (page) => {
      const left = page.changes.filter(({ id }) => id !== "y");
      if (left.length === page.changes.length || page.fingerprint === undefined) return false;
      page.changes = left;
      return true;
    }),
    end: "either",
  },
];

const STREAM: readonly Hostile[] = [
  { name: "garbage-for-a-message", lie: before("page", Buffer.from([0xff, 0xff, 0xff])), end: "error" },
  { name: "message-over-4-MiB", lie: before("page", unasked("a", "x".repeat(5 * 1024 * 1024))), end: "error" },
  {
    name: "status-ok-before-the-proof",
    lie: (message, told) => {
      if (message.$case === "opened") return undefined;
      told.count += 1;
      return "ok";
    },
    end: "error",
  },
  {
    name: "status-ok-before-opened",
    lie: (_, told) => {
      told.count += 1;
      return "ok";
    },
    end: "error",
  },
];

const IGNORED: readonly Hostile[] = [
  { name: "unknown-message-is-ignored", lie: before("page", UNKNOWN_MESSAGE), end: FINE },
  { name: "unknown-message-first-of-all-is-ignored", lie: before("opened", UNKNOWN_MESSAGE), end: FINE },
  { name: "empty-message-is-ignored", lie: before("page", Buffer.alloc(0)), end: FINE },
  {
    name: "going-away-is-heeded-and-the-exchange-goes-on",
    lie: before("page", { $case: "goingAway", value: { retryAfterMs: 5 } }),
    end: FINE,
  },
  {
    name: "unknown-fields-are-ignored",
    lie: (message, told) => {
      told.count += 1;
      return { instead: [withUnknownFields(message)] };
    },
    end: FINE,
  },
  {
    name: "unknown-capabilities-are-ignored",
    lie: once("opened", (opened) => {
      opened.capabilities.push(77 as 1, 0);
      return true;
    }),
    end: FINE,
  },
];

/** The message with a field in it that nobody knows, and one beside it. */
function withUnknownFields(message: ServerMessage): Buffer {
  const unknown = Buffer.from([0xfa, 0x3f, 0x02, 0x68, 0x69]);
  const encoded = Buffer.from(ExchangeResponse.encode({ message }).finish());
  let at = 1;
  while ((encoded[at] ?? 0) >= 0x80) at += 1;
  const inner = Buffer.concat([encoded.subarray(at + 1), unknown]);
  const length: number[] = [];
  for (let rest = inner.length; ; rest >>>= 7) {
    length.push(rest > 0x7f ? (rest & 0x7f) | 0x80 : rest);
    if (rest <= 0x7f) break;
  }
  return Buffer.concat([encoded.subarray(0, 1), Buffer.from(length), inner, unknown]);
}

/** Servers that lie, and servers that say more than this version knows. */
export const hostileCases: readonly Case[] = [...CONTENTS, ...CHANGES, ...ORDER, ...PROOFS, ...STREAM, ...IGNORED].map(
  hostileCase,
);
