import { ErrorReason, fieldFault } from "../../core/fault.js";
import { FaultError, refuse } from "./fault-error.js";

const MIB = 1024 * 1024;

/** Where a page, or an answer of several contents, ends, in bytes. */
export const PAGE_BYTES = MIB;
/** Most bytes of a content in one answer. */
export const CONTENT_PART_BYTES = 3 * MIB;
/** Largest content that is answered within a page. */
export const PAGE_CONTENT_BYTES = 256 * 1024;
/** What a caller says of contents in a page, as the store takes it: 0 for none. */
export function inlineBytesOf(asked: number): number {
  return asked === 0 ? -1 : Math.min(asked, PAGE_CONTENT_BYTES);
}

/** Most entries of a batch. */
export const BATCH_ITEMS = 10_000;

/** No answer is over it: 4 MiB is what every gRPC implementation takes, less some room. */
const ANSWER_BYTES = 4 * MIB - 128 * 1024;

/** Throws a fault where a batch is empty or larger than calls allow. */
export function checkBatchCount(count: number, field: string): void {
  if (count === 0) {
    refuse(fieldFault(ErrorReason.ERROR_REASON_INVALID_FIELD, field, "must not be empty"));
  } else if (count > BATCH_ITEMS) {
    refuse(fieldFault(ErrorReason.ERROR_REASON_BATCH_TOO_LARGE, field, `are ${count}, more than ${BATCH_ITEMS}`));
  }
}

/**
 * How many bytes are left for contents in an answer that repeats these ids, each with so many bytes about it. Throws
 * BATCH_TOO_LARGE where it would not hold even those and `needed` more: only long ids, thousands of them, come to that.
 */
export function roomBesideIds(ids: Iterable<string>, bytesEach: number, needed: number, field: string): number {
  let bytes = 0;
  for (const id of ids) bytes += Buffer.byteLength(id) + bytesEach;
  if (bytes + needed <= ANSWER_BYTES) return ANSWER_BYTES - bytes;
  const description = `have so long ids that the answer might be over 4 MiB; take fewer in one call`;
  throw new FaultError(fieldFault(ErrorReason.ERROR_REASON_BATCH_TOO_LARGE, field, description));
}
