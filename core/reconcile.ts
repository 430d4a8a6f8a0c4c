import type { RangeEntry } from "./range.js";
import type { RangeTotal } from "./range-sum.js";

/*
 * Range-based set reconciliation (Meyer, 2023): two sides find what differs between their sets by comparing the sums of
 * ranges, and cutting those that differ. The client asks with its parts of a range, the server answers with its own parts
 * of each that differs, so that a round trip is two levels.
 *
 * For 1,000,000 items: 16 ranges of 62,500, parts of 3,900, 490, 60, 15, 4, and then the items; for 100,000: 16 ranges of
 * 6,250, parts of 780, 100, 40, 10, and the items; a level less where segments are smaller than most. Few parts cost fewer
 * bytes, many parts fewer round trips.
 */

/**
 * A part that differs and in which the client has up to so many items is compared item by item, about what a segment has
 * (segment-boundary.ts). With 128, a recovery of 1,000 in 100,000 items takes a fifth less time, and two thirds more bytes.
 */
export const LEAF_ITEMS = 32;
/** A range by its sum in which the server has up to so many items is listed whole; else it is split. */
export const LISTED_WHOLE_ITEMS = 2;
/** Items that are told in one list; ranges that have more are split. */
export const LIST_ITEMS = 512;
/** Ranges in one query, and items in its ITEMS ranges, at most. */
export const MAX_QUERY_RANGES = 4096;
export const MAX_QUERY_ITEMS = 65_536;

/** Into how many parts a range of so many items is cut. */
export function partsFor(count: number): number {
  if (count >= 16_384) return 16;
  return count >= 256 ? 8 : 4;
}

/**
 * What of a sum travels in reconciliation: its low 8 bytes. Two ranges that differ look equal once in 2^64; the proof at the
 * end of the exchange has all 32 bytes.
 */
export const SHORT_SUM_BYTES = 8;

/** Whether a range of this side is what the other said of it. */
export function sameShortTotal(own: RangeTotal, count: number, shortSum: Uint8Array): boolean {
  return own.count === count && Buffer.compare(shortSumOf(own), shortSum) === 0;
}

/** The low bytes of a sum. */
export function shortSumOf(total: RangeTotal): Uint8Array {
  return total.sum.subarray(0, SHORT_SUM_BYTES);
}

/** What of an item's fingerprint travels where items are compared: its first 8 bytes. */
export const SHORT_PRINT_BYTES = 8;

/** The short fingerprints of items, one behind the other. */
export function shortPrintsOf(entries: readonly RangeEntry[]): Buffer {
  const prints = Buffer.alloc(entries.length * SHORT_PRINT_BYTES);
  entries.forEach(({ fingerprint }, index) => {
    prints.set(fingerprint.subarray(0, SHORT_PRINT_BYTES), index * SHORT_PRINT_BYTES);
  });
  return prints;
}

/** What differs between the items of this side and the short fingerprints of the other's. */
export interface ItemsCompared<T> {
  /** Items of this side that the other does not have like this. */
  readonly own: readonly T[];
  /** Which of the other's this side does not have like this. */
  readonly theirs: readonly number[];
}

/** Compares item by item. The fingerprint has the id in it, so that equal ones are of the same item. */
export function compareItems<T extends RangeEntry>(own: readonly T[], prints: Uint8Array): ItemsCompared<T> {
  const count = Math.floor(prints.length / SHORT_PRINT_BYTES);
  // Most are in the same order: what is behind one another from the beginning, and from the end, needs no looking up.
  const most = Math.min(own.length, count);
  let begin = 0;
  while (begin < most && isSamePrint(own[begin] as T, prints, begin)) begin += 1;
  let end = 0;
  while (end < most - begin && isSamePrint(own[own.length - 1 - end] as T, prints, count - 1 - end)) end += 1;
  const told = Buffer.from(prints.buffer, prints.byteOffset, prints.length);
  const places = new Map<string, number>();
  for (let at = begin; at < count - end; at++) places.set(told.toString("latin1", at * 8, at * 8 + 8), at);
  const differing = own.slice(begin, own.length - end).filter(({ fingerprint }) => {
    return !places.delete(Buffer.from(fingerprint.subarray(0, SHORT_PRINT_BYTES)).toString("latin1"));
  });
  return { own: differing, theirs: [...places.values()] };
}

function isSamePrint({ fingerprint }: RangeEntry, prints: Uint8Array, index: number): boolean {
  const from = index * SHORT_PRINT_BYTES;
  for (let at = 0; at < SHORT_PRINT_BYTES; at++) if (fingerprint[at] !== prints[from + at]) return false;
  return true;
}
