import type { RangeTotal } from "../../core/range-sum.js";

/** Ids that an audit names at most. */
export const MAX_DAMAGED = 100;

/** What an audit found wrong. */
export interface ReplicaDamage {
  /** Items whose content has another fingerprint than they are kept with, or than their pending change. */
  readonly damagedCount: number;
  /** Ids of the first of them, at most MAX_DAMAGED, in no order. */
  readonly damaged: readonly string[];
  /** What count and sum over bases should be; undefined where they are right. */
  readonly total: RangeTotal | undefined;
  /** Whether the sums of ranges (`sumRanges`) are those of the bases. */
  readonly ranges: boolean;
}
