import type { IdInterval, RangeEntry } from "../../core/range.js";
import type { RangeTotal } from "../../core/range-sum.js";
import { LEAF_ITEMS, partsFor, SMALL_REPLICA_ITEMS, sameShortTotal } from "../../core/reconcile.js";
import type { ReplicaStore } from "../replica/store.js";

/** A part of a range as the server has it. */
export interface TheirPart {
  readonly interval: IdInterval;
  readonly count: number;
  /** Low 8 bytes. */
  readonly shortSum: Uint8Array;
}

/** A range to ask the server about: by its sum, or where it is small, item by item. */
export interface AskedRange {
  readonly interval: IdInterval;
  readonly total: RangeTotal;
  /** The bases in it, for a range that is compared item by item. */
  readonly entries: readonly RangeEntry[] | undefined;
}

type Ranges = Pick<ReplicaStore, "sumRanges" | "splitRange" | "listBases">;

const EVERYTHING: IdInterval = { from: "", to: undefined };

/** What to ask next: finer ranges of those of the server's parts that differ here; undefined: of everything. */
export function refineRanges(replica: Ranges, parts: readonly TheirPart[] | undefined): readonly AskedRange[] {
  if (parts === undefined) {
    const [total] = replica.sumRanges([EVERYTHING]);
    return finer(replica, EVERYTHING, total as RangeTotal, SMALL_REPLICA_ITEMS);
  }
  // One by one: what the sum of a range had to read is at hand when it is cut.
  return parts.flatMap(({ interval, count, shortSum }) => {
    const [total] = replica.sumRanges([interval]) as [RangeTotal];
    if (sameShortTotal(total, count, shortSum)) return [];
    // Where the server has few items it soon lists them; to cut the range would only ask for the same lists in pieces.
    if (count <= LEAF_ITEMS && total.count > LEAF_ITEMS) return [{ interval, total, entries: undefined }];
    return finer(replica, interval, total, LEAF_ITEMS);
  });
}

/** The range cut into parts, unless it has few items: up to `leafItems`. */
function finer(replica: Ranges, interval: IdInterval, total: RangeTotal, leafItems: number): readonly AskedRange[] {
  if (total.count <= leafItems) return [leaf(replica, interval, total)];
  // Most of the parts do not differ, so that even small ones are asked by their sums.
  return replica.splitRange(interval, partsFor(total.count)).map(({ from, to, total: part }) => {
    return { interval: { from, to }, total: part, entries: undefined };
  });
}

function leaf(replica: Ranges, interval: IdInterval, total: RangeTotal): AskedRange {
  return { interval, total, entries: replica.listBases(interval, LEAF_ITEMS) };
}
