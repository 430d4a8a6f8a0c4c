import { hash } from "node:crypto";
import { asBuffer } from "../../core/content.js";
import { ErrorReason, type Fault, fieldFault } from "../../core/fault.js";
import type { CollectionState, EpochState } from "../store/collection-state.js";

/**
 * What a checkpoint's token says. Opaque to clients, plain to servers:
 *
 *     version (1 byte) | collection uid (16) | epoch id (8) | revision | head of the first pull | check (4)
 *
 * The two integers are unsigned LEB128, in as few bytes as they need; the head is left out where it is 0. `check` is the
 * beginning of the SHA-256 over what stands before it: it finds damage, not forgery, for a token grants nothing. What says
 * the same has the same bytes, so that a checkpoint can be compared with the one that a client named.
 */
export interface Token {
  readonly uid: Uint8Array;
  readonly epoch: Uint8Array;
  /** The reader has taken every change up to it. */
  readonly revision: number;
  /**
   * In a first pull: the head when it began. Tombstones up to it do not concern the reader, later ones do, so this is
   * what is held against the tombstone horizon. 0 once the pull has caught up with it.
   */
  readonly pullHead: number;
}

const VERSION = 2;
const EPOCH = 1 + 16;
const INTEGERS = EPOCH + 8;
const CHECK_BYTES = 4;

function checkOf(body: Uint8Array): Buffer {
  return Buffer.from(hash("sha256", body, "hex").slice(0, 2 * CHECK_BYTES), "hex");
}

/** The token as bytes. */
export function encodeToken(token: Token): Buffer {
  const integers: number[] = [];
  pushInteger(integers, token.revision);
  if (token.pullHead > 0) pushInteger(integers, token.pullHead);
  const body = INTEGERS + integers.length;
  const out = Buffer.allocUnsafe(body + CHECK_BYTES);
  out[0] = VERSION;
  out.set(token.uid, 1);
  out.set(token.epoch, EPOCH);
  out.set(integers, INTEGERS);
  out.set(checkOf(out.subarray(0, body)), body);
  return out;
}

/** The token that bytes say, or undefined where no server made them. */
export function decodeToken(bytes: Uint8Array): Token | undefined {
  const buffer = asBuffer(bytes);
  const end = buffer.length - CHECK_BYTES;
  if (end <= INTEGERS || buffer[0] !== VERSION) return undefined;
  if (!checkOf(buffer.subarray(0, end)).equals(buffer.subarray(end))) return undefined;
  const integers = readIntegers(buffer.subarray(INTEGERS, end));
  if (integers === undefined || integers.length === 0 || integers.length > 2) return undefined;
  const [revision = 0, pullHead = 0] = integers;
  return { uid: buffer.subarray(1, EPOCH), epoch: buffer.subarray(EPOCH, INTEGERS), revision, pullHead };
}

function pushInteger(to: number[], value: number): void {
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) to.push((rest % 0x80) | 0x80);
  to.push(rest);
}

/** All integers in these bytes; undefined where they end within one, or one is beyond what a revision can be. */
function readIntegers(bytes: Uint8Array): number[] | undefined {
  const integers: number[] = [];
  let value = 0;
  let unit = 1;
  for (const byte of bytes) {
    value += (byte & 0x7f) * unit;
    unit *= 0x80;
    if (!Number.isSafeInteger(value)) return undefined;
    if (byte >= 0x80) continue;
    integers.push(value);
    value = 0;
    unit = 1;
  }
  return unit === 1 ? integers : undefined;
}

/** A token for a reader that has taken everything up to `revision`. */
export function tokenAt(uid: Uint8Array, lineage: readonly EpochState[], revision: number, pullHead: number): Token {
  const epoch = lineage.findLast((candidate) => candidate.firstRevision <= revision) ?? lineage[0];
  if (epoch === undefined) throw new Error("a collection has at least one epoch");
  return { uid, epoch: epoch.id, revision, pullHead: pullHead > revision ? pullHead : 0 };
}

/** What a server makes of a token. */
export type TokenCheck =
  | { readonly kind: "served"; readonly revision: number; readonly pullHead: number }
  /** It can't be served; the exchange may go on by recovery. */
  | { readonly kind: "refused"; readonly fault: Fault }
  /** It makes no sense here; the call fails. */
  | { readonly kind: "invalid"; readonly fault: Fault };

/**
 * Whether a token can be served: it is of this collection, its epoch is one of the lineage, its revision is within that
 * epoch, and the tombstones that it needs are still there. Empty bytes begin a first pull. `rebinds`: the client goes on
 * with another collection than the token's, and knows it.
 */
export function checkToken(bytes: Uint8Array, state: CollectionState, rebinds = false): TokenCheck {
  if (bytes.length === 0) return { kind: "served", revision: 0, pullHead: state.revision };
  const placed = placeToken(bytes, state, "token", rebinds);
  if ("kind" in placed) return placed;
  const { token, end } = placed;
  // A first pull that began at a head which this history does not have: deletions after the fork do concern the reader.
  const pullHead = Math.min(token.pullHead, end);
  if (Math.max(token.revision, pullHead) < state.compactedRevision) {
    const what = `the checkpoint is at revision ${token.revision}, compacted up to ${state.compactedRevision}`;
    return refused(ErrorReason.ERROR_REASON_TOKEN_COMPACTED, what);
  }
  return { kind: "served", revision: token.revision, pullHead };
}

/**
 * Whether what a replica has heard of beyond its checkpoint is in this server's history: else the server was restored to a
 * time between the two. Undefined where it is; empty bytes say that there is nothing beyond.
 */
export function checkWitness(
  bytes: Uint8Array,
  state: CollectionState,
): Exclude<TokenCheck, { kind: "served" }> | undefined {
  if (bytes.length === 0) return undefined;
  const placed = placeToken(bytes, state, "witness");
  return "kind" in placed ? placed : undefined;
}

/** A token of this collection's history, and the last revision of its epoch; else what is wrong with it. */
function placeToken(
  bytes: Uint8Array,
  state: CollectionState,
  field: string,
  rebinds = false,
): { readonly token: Token; readonly end: number } | Exclude<TokenCheck, { kind: "served" }> {
  const token = decodeToken(bytes);
  if (token === undefined) {
    const description = "is not a token that a server made, or was damaged; send it as it came";
    return { kind: "invalid", fault: fieldFault(ErrorReason.ERROR_REASON_TOKEN_MALFORMED, field, description) };
  }
  if (!asBuffer(token.uid).equals(state.uid)) {
    if (rebinds) return refused(ErrorReason.ERROR_REASON_TOKEN_OTHER_HISTORY, "the collection is another one by now");
    const description = `was made for another collection than "${state.name}"`;
    return { kind: "invalid", fault: fieldFault(ErrorReason.ERROR_REASON_TOKEN_FOREIGN, field, description) };
  }
  const at = state.lineage.findIndex((epoch) => asBuffer(epoch.id).equals(token.epoch));
  const end = at < 0 ? -1 : (state.lineage[at + 1]?.firstRevision ?? state.revision + 1) - 1;
  if (token.revision <= end) return { token, end };
  const what =
    at < 0 ? "an epoch that this server does not know" : `revision ${token.revision}, its history has ${end}`;
  return refused(ErrorReason.ERROR_REASON_TOKEN_OTHER_HISTORY, `the checkpoint speaks of ${what}`);
}

function refused(reason: ErrorReason, message: string): Exclude<TokenCheck, { kind: "served" }> {
  return { kind: "refused", fault: { reason, message } };
}
