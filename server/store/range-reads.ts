import type { IdInterval, RangePart } from "../../core/range.js";
import type { EpochState } from "./collection-state.js";
import type { StoredChange } from "./item-reads.js";

/** Which ranges to compare. */
export interface RangesQuery {
  readonly uid: Uint8Array;
  readonly asks: readonly RangeAsk[];
  /** Tombstones with a greater revision are told with the lists. */
  readonly tombstonesAfter: number;
  /** Contents up to this many bytes are read along with lists, as long as they come to no more than `maxBytes`; -1 for none. */
  readonly inlineBytes: number;
  /** Stops once the answers come to about this many bytes; at least one is given. */
  readonly maxBytes: number;
}

/** A range, and what the other side has in it: its count and the low 8 bytes of its sum, or short fingerprints in the order of ids. */
export type RangeAsk =
  | { readonly kind: "sum"; readonly interval: IdInterval; readonly count: number; readonly shortSum: Uint8Array }
  | { readonly kind: "items"; readonly interval: IdInterval; readonly prints: Uint8Array };

/** What comes of one: see core/reconcile.ts for which ranges are split and which listed. */
export type RangeAnswer =
  | { readonly kind: "equal" }
  | { readonly kind: "split"; readonly parts: readonly RangePart[] }
  | {
      readonly kind: "list";
      /** All items of the range; of an "items" range those that the other side does not have like this. */
      readonly items: readonly StoredChange[];
      readonly deleted: readonly StoredChange[];
      /** Of an "items" range: which of the other's items, counted from 0, are not here like that. */
      readonly differing: readonly number[];
    };

/** Ranges that were compared, and the collection in the same snapshot. */
export interface RangesRead {
  /** In the order asked for, up to where it stopped. */
  readonly answers: readonly RangeAnswer[];
  readonly revision: number;
  readonly compactedRevision: number;
  readonly lineage: readonly EpochState[];
}
