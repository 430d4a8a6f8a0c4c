import { hash } from "node:crypto";
import { asBuffer } from "../../core/content.js";
import { ErrorReason, type Fault, fieldFault } from "../../core/fault.js";
import type { CollectionState, EpochState } from "../store/store.js";

/**
 * What a checkpoint's token says. Opaque to clients, plain to servers:
 *
 *     version (1 byte) | collection uid (16) | epoch id (8) | revision (8) | head of the first pull (8) | check (4)
 *
 * Integers are big-endian. `check` is the beginning of the SHA-256 over what stands before it: it finds damage, not
 * forgery, for a token grants nothing.
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

const VERSION = 1;
const BYTES = 1 + 16 + 8 + 8 + 8 + 4;

function checkOf(body: Uint8Array): Buffer {
  return Buffer.from(hash("sha256", body, "hex").slice(0, 8), "hex");
}

/** The token as bytes. */
export function encodeToken(token: Token): Buffer {
  const out = Buffer.alloc(BYTES);
  out[0] = VERSION;
  out.set(token.uid, 1);
  out.set(token.epoch, 17);
  out.writeBigUInt64BE(BigInt(token.revision), 25);
  out.writeBigUInt64BE(BigInt(token.pullHead), 33);
  checkOf(out.subarray(0, BYTES - 4)).copy(out, BYTES - 4);
  return out;
}

/** The token that bytes say, or undefined where no server made them. */
export function decodeToken(bytes: Uint8Array): Token | undefined {
  const buffer = asBuffer(bytes);
  if (buffer.length !== BYTES || buffer[0] !== VERSION) return undefined;
  if (!checkOf(buffer.subarray(0, BYTES - 4)).equals(buffer.subarray(BYTES - 4))) return undefined;
  const revision = Number(buffer.readBigUInt64BE(25));
  const pullHead = Number(buffer.readBigUInt64BE(33));
  return { uid: buffer.subarray(1, 17), epoch: buffer.subarray(17, 25), revision, pullHead };
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
