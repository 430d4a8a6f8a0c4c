import type { Content } from "../../../core/content.js";
import type { RangeFingerprint } from "../../../gen/tercet/v1/item.js";
import type { ChangePage, Verdict } from "../../../gen/tercet/v1/sync.js";
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
export type Lie = (message: ServerMessage, told: { count: number }) => Fate<ServerMessage>;

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

/** For exchanges that may end either way; what is no error of the client's is thrown on. */
export function ignoreError(error: unknown): undefined {
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
export function inEvery<Kind extends ServerMessage["$case"]>(
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

/** Lies in the first message of a kind. */
export function once<Kind extends ServerMessage["$case"]>(kind: Kind, spoil: Spoil<Kind>): Lie {
  return inEvery(kind, spoil, 1);
}

/** Says this before the first message of a kind. */
export function before(kind: ServerMessage["$case"], ...more: readonly (ServerMessage | Uint8Array)[]): Lie {
  return (message, told) => {
    if (message.$case !== kind || told.count > 0) return undefined;
    told.count += 1;
    return { instead: [...more, message] };
  };
}

/** The same bytes with another first one. */
export const flipped = (bytes: Buffer): Buffer => Buffer.from(bytes.map((byte, at) => (at === 0 ? byte ^ 1 : byte)));

/** Makes the inline content of `y` another one. */
export function spoilContent(page: ChangePage): boolean {
  const change = page.changes.find(({ id }) => id === "y");
  if (change?.content === undefined) return false;
  change.content = { $case: "text", value: "false" };
  return true;
}

/** Changes what a page says of `y`. */
export function spoilChange(page: ChangePage, change: (info: ChangePage["changes"][number]) => void): boolean {
  const info = page.changes.find(({ id }) => id === "y");
  if (info !== undefined) change(info);
  return info !== undefined;
}

/** Changes the proof of a page that has one. */
export function spoilProof(page: ChangePage, change: (proof: RangeFingerprint) => void): boolean {
  if (page.proof !== undefined) change(page.proof);
  return page.proof !== undefined;
}

/** Makes other verdicts of the first ones. */
export function spoilVerdict(change: (verdict: Verdict) => Verdict[]): Lie {
  return once("verdicts", (value) => {
    value.verdicts = value.verdicts.flatMap(change);
    return true;
  });
}

/** How exchanges end where contents or proofs do not agree, where this version does not know, and out of order. */
export const UNVERIFIED = { code: "DATA_LOSS", reason: "UNVERIFIED" };
export const UNSUPPORTED = { code: "UNIMPLEMENTED", reason: "UNSUPPORTED" };
export const OUT_OF_ORDER = { code: "INVALID_ARGUMENT", reason: "OUT_OF_ORDER" };
/** The exchange does what it would have done with an honest server. */
export const FINE = {
  report: { verified: true, received: 2, deleted: 1, sent: 1, conflicts: [], recovery: null },
} as const;

/** A verdict on the first push: APPLIED, where nothing else is said. */
export const verdict = (more: Partial<Verdict>): Verdict => {
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
/** A content that comes by itself. */
export const unasked = (id: string, content: Content): ServerMessage => {
  const item = { id, fingerprint: undefined, revision: 3, modifyTimeUs: 1, size: 1, offset: 0 };
  const field = { $case: "text", value: String(content) } as const;
  return {
    $case: "contents",
    value: { items: [{ ...item, content: field }], deleted: [], refused: [], witness: undefined },
  };
};
