import { type EntryBlock, sliceBlock, toEntryBlock } from "./entry-block.js";
import { FINGERPRINT_BYTES } from "./fingerprint.js";
import { separator } from "./id.js";
import type { IdInterval, RangeEntry, RangePart } from "./range.js";
import { createRangeSum, totalOf } from "./range-sum.js";
import { beginsSegment, FULL_ENTRIES, LEAST_ENTRIES, MOST_ENTRIES } from "./segment-boundary.js";

/** Cuts entries that lie in a range into parts of about the same size; each has an entry, and together they are the range. */
export function cutEntries(entries: readonly RangeEntry[], interval: IdInterval, parts: number): readonly RangePart[] {
  return cutBlock(toEntryBlock(entries), interval, parts);
}

/** The same of entries in a block. */
export function cutBlock({ ids, prints }: EntryBlock, interval: IdInterval, parts: number): readonly RangePart[] {
  const count = Math.max(1, Math.min(parts, ids.length));
  const cuts = Array.from({ length: count + 1 }, (_, index) => Math.floor((ids.length * index) / count));
  const bounds = cuts.map((at, index) => {
    if (index === 0) return interval.from;
    return index === count ? interval.to : separator(ids[at - 1] as string, ids[at] as string);
  });
  return Array.from({ length: count }, (_, index) => {
    const sum = createRangeSum();
    const [from, to] = [cuts[index] as number, cuts[index + 1] as number];
    sum.addAll(prints.subarray(from * FINGERPRINT_BYTES, to * FINGERPRINT_BYTES));
    return { from: bounds[index] as string, to: bounds[index + 1], total: totalOf(sum) };
  });
}

/**
 * Cuts entries into segments: at the ids that begin one, and those that are still too large evenly. A bound is the id
 * itself: a shorter one would depend on the id before it, and with that on the order in which they came.
 */
export function cutSegments(block: EntryBlock, interval: IdInterval): readonly RangePart[] {
  const { ids } = block;
  const begins = [0];
  for (const [index, id] of ids.entries()) {
    if (index - (begins.at(-1) as number) >= LEAST_ENTRIES && beginsSegment(id)) begins.push(index);
  }
  return begins.flatMap((from, at) => {
    const to = begins[at + 1];
    const part = {
      from: at === 0 ? interval.from : (ids[from] as string),
      to: to === undefined ? interval.to : ids[to],
    };
    const size = (to ?? ids.length) - from;
    const parts = size > MOST_ENTRIES ? Math.ceil(size / FULL_ENTRIES) : 1;
    return cutBlock(sliceBlock(block, from, from + size), part, parts);
  });
}

/** Where parts of about the same size begin among so many neighbours with these counts. */
export function cutCounts(counts: readonly number[], parts: number): readonly number[] {
  let left = 0;
  for (const count of counts) left += count;
  const cuts = [0];
  let sum = 0;
  for (const [index, count] of counts.entries()) {
    if (cuts.length === parts) break;
    sum += count;
    // A large last one is a part of its own: the others may never come to their share.
    const isEnough = sum >= left / (parts - cuts.length + 1) || index === counts.length - 2;
    if (index === counts.length - 1 || !isEnough) continue;
    left -= sum;
    sum = 0;
    cuts.push(index + 1);
  }
  return cuts;
}
