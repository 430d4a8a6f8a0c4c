import type { IdInterval, RangeEntry } from "../../core/range.js";
import type { RangeTotal } from "../../core/range-sum.js";
import { LEAF_ITEMS, partsFor, sameShortTotal } from "../../core/reconcile.js";
import type { ReplicaStore } from "../replica/store.js";

/** A part of a range as the server has it. */
export interface TheirPart {
  readonly interval: IdInterval;
  readonly count: number;
  /** Low 8 bytes. */
  readonly shortSum: Uint8Array;
}

/** A range to ask the server about. */
export interface FinerRange {
  readonly interval: IdInterval;
  readonly total: RangeTotal;
  /** It is compared item by item, and not by its sum. */
  readonly byItems: boolean;
}

/** The same with what the server is told of it. */
export interface AskedRange extends Pick<FinerRange, "interval" | "total"> {
  /** The bases in it, for a range that is compared item by item. */
  readonly entries: readonly RangeEntry[] | undefined;
}

type Ranges = Pick<ReplicaStore, "sumRanges" | "splitRange">;

const EVERYTHING: IdInterval = { from: "", to: undefined };

/** What to ask next: finer ranges of those of the server's parts that differ here; undefined: of everything. */
export function refineRanges(replica: Ranges, parts: readonly TheirPart[] | undefined): readonly FinerRange[] {
  if (parts === undefined) {
    const [total] = replica.sumRanges([EVERYTHING]);
    return finer(replica, EVERYTHING, total as RangeTotal);
  }
  // One by one: what the sum of a range had to read is at hand when it is cut.
  return parts.flatMap(({ interval, count, shortSum }) => {
    const [total] = replica.sumRanges([interval]) as [RangeTotal];
    if (sameShortTotal(total, count, shortSum)) return [];
    // Where the server has few items it soon lists them; to cut the range would only ask for the same lists in pieces.
    if (count <= LEAF_ITEMS && total.count > LEAF_ITEMS) return [{ interval, total, byItems: false }];
    return finer(replica, interval, total);
  });
}

/** The range cut into parts, unless it has few items. */
function finer(replica: Ranges, interval: IdInterval, total: RangeTotal): readonly FinerRange[] {
  if (total.count <= LEAF_ITEMS) return [{ interval, total, byItems: true }];
  // Most of the parts do not differ, so that even small ones are asked by their sums.
  return replica.splitRange(interval, partsFor(total.count)).map(({ from, to, total: part }) => {
    return { interval: { from, to }, total: part, byItems: false };
  });
}

/** Ranges with the bases of those that are compared item by item. */
export function withEntries(
  replica: Pick<ReplicaStore, "listBases">,
  ranges: readonly FinerRange[],
): readonly AskedRange[] {
  return ranges.map(({ interval, total, byItems }) => {
    // The application may have made some meanwhile. What is not told of is told by the server, at the worst once too often.
    return { interval, total, entries: byItems ? replica.listBases(interval, total.count + LEAF_ITEMS) : undefined };
  });
}
