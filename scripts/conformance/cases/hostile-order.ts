import { ExchangeResponse, type Verdict } from "../../../gen/tercet/v1/sync.js";
import type { ServerMessage } from "../stream-server.js";
import {
  before,
  FINE,
  flipped,
  type Hostile,
  inEvery,
  OUT_OF_ORDER,
  once,
  spoilProof,
  spoilVerdict,
  UNVERIFIED,
  unasked,
  verdict,
} from "./lies.js";

const UNKNOWN_MESSAGE = Buffer.from([0xf2, 0x3f, 0x03, 0x0a, 0x01, 0x78]);

/** What has no meaning where it comes. */
export const orderLies: readonly Hostile[] = [
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

/** Proofs that do not prove. */
export const proofLies: readonly Hostile[] = [
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

/** Streams that end or are no messages. */
export const streamLies: readonly Hostile[] = [
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

/** What this version does not know, and is to be ignored. */
export const unknowns: readonly Hostile[] = [
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
