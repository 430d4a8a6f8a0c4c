import { sameFingerprint } from "../../core/fingerprint.js";
import type { Write } from "./write-batch.js";

/** What a store holds of an item: the item, or its tombstone (no fingerprint). */
export interface HeldState {
  readonly fingerprint: Uint8Array | undefined;
  readonly revision: number;
}

/**
 * Rule R2, the compare-and-set, and R5, the repeated push: what becomes of a write on what is there now (undefined: neither
 * item nor tombstone). Every store asks this one function. A fenced write that finds its own state commits it once more, so
 * that what the same client sent earlier, and may still arrive, finds a revision that it has not seen.
 *
 * Where nothing is held, an item may have been there and its tombstone compacted since the client looked: `compacted` is the
 * tombstone horizon.
 */
export function decideWrite(
  held: HeldState | undefined,
  write: Write,
  compacted: number,
): "apply" | "already" | "conflict" {
  if (sameFingerprint(held?.fingerprint, write.upsert?.fingerprint)) return write.fence ? "apply" : "already";
  if (write.expected === "any") return "apply";
  if (!sameFingerprint(held?.fingerprint, write.expected)) return "conflict";
  if (held !== undefined && write.seen !== undefined && held.revision > write.seen) return "conflict";
  if (held === undefined && write.seen !== undefined && write.seen < compacted) return "conflict";
  return "apply";
}
