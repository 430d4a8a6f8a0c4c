import type { RangeTotal } from "./range-sum.js";

/** An item as a range knows it. */
export interface RangeEntry {
  readonly id: string;
  readonly fingerprint: Uint8Array;
}

/** Ids from `from` on and before `to`, in byte order. `from` "" begins with the first id, `to` undefined ends after the last. */
export interface IdInterval {
  readonly from: string;
  readonly to: string | undefined;
}

/** A part of a range: it ends where the next one begins. */
export interface RangePart extends IdInterval {
  readonly total: RangeTotal;
}
