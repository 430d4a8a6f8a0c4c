import { cutBlock, cutCounts, cutSegments } from "./cut-entries.js";
import { type EntryBlock, entriesOf, joinBlocks, sliceBlock } from "./entry-block.js";
import { FINGERPRINT_BYTES } from "./fingerprint.js";
import { compareIds, separator } from "./id.js";
import type { IdInterval, RangeEntry, RangePart } from "./range.js";
import { createRangeSum, type RangeSum, type RangeTotal, totalOf } from "./range-sum.js";
import { beginsSegment, FULL_ENTRIES, LEAST_ENTRIES, MOST_ENTRIES } from "./segment-boundary.js";
import { createSegmentItems } from "./segment-items.js";
import { createSegmentTable, type HeldSegment, type Segment } from "./segment-table.js";

/** Where an index is kept. Every call is in the transaction of the caller. */
export interface SegmentRows {
  /** All segments, in the order of their ids. */
  load(): readonly Segment[];
  /** Puts a segment in, or in the place of the one that begins there. */
  save(segment: Segment): void;
  /** Takes the segment out that begins there. */
  remove(from: string): void;
  /** The items themselves, in the order of their ids: at most `limit`. */
  entries(interval: IdInterval, limit: number): EntryBlock;
}

/** What has become of one id: fingerprints, undefined for no item. */
export interface RangeChange {
  readonly id: string;
  readonly before: Uint8Array | undefined;
  readonly after: Uint8Array | undefined;
}

/** New items in the order of their ids. */
export interface NewEntries {
  readonly count: number;
  idAt(index: number): string;
  /** Whether a segment begins with this one (segment-boundary.ts). */
  begins(index: number): boolean;
  /** 32 bytes each, one behind the other. */
  readonly fingerprints: Uint8Array;
}

/** New items as changes. */
export function changesOf(items: NewEntries): RangeChange[] {
  return Array.from({ length: items.count }, (_, at): RangeChange => {
    const after = items.fingerprints.subarray(at * FINGERPRINT_BYTES, (at + 1) * FINGERPRINT_BYTES);
    return { id: items.idAt(at), before: undefined, after };
  });
}

/**
 * Range sums that are kept with every write. The ids are cut into segments, each with the count and sum of its items, so
 * that a write changes one small row and the sum of any range reads whole segments and, at its two ends, parts of one. A
 * segment begins where an id says so (segment-boundary.ts), which is where it begins on the other side, too: of a range
 * that the other side asks about there is seldom an end to be read. All segments are held in memory; after a transaction
 * that was rolled back `reset` forgets them. What was read of items to answer about ranges is kept for the next answer
 * (segment-cache.ts), some 10 MB at most, until it changes, or `forget`.
 */
export interface RangeIndex {
  /** Notes changes, before the items themselves are written; nothing is stored before `flush`. */
  note(changes: readonly RangeChange[]): void;
  /** The same of new items, several times faster where they come behind all others. */
  noteNew(items: NewEntries): void;
  /** Stores what changed, once the items themselves are written. Splits what has become too large. */
  flush(): void;
  /** Segments that are in memory. */
  readonly segments: number;
  /** How much was done so far to answer about ranges, in items that were read: others that were looked at count an eighth. */
  readonly work: number;
  /** Forgets what is in memory. */
  reset(): void;
  /** Forgets the items that were read. */
  forget(): void;
  /** Count and sum of a range. */
  total(interval: IdInterval): RangeTotal;
  /** Cuts a range into about so many parts of about the same size; at least 2 where it has 2 items or more. */
  split(interval: IdInterval, parts: number): readonly RangePart[];
  /** The items of a range in the order of their ids, at most `limit`. */
  entries(interval: IdInterval, limit: number): readonly RangeEntry[];
}

/** Ranges of fewer whole segments are read, to be cut. */
const LEAST_SEGMENTS = 2;
const ALL_ENTRIES = Number.MAX_SAFE_INTEGER;

/** The index that is kept in these rows. */
export function createRangeIndex(rows: SegmentRows): RangeIndex {
  const table = createSegmentTable(rows.load);
  const items = createSegmentItems(table, (interval) => rows.entries(interval, ALL_ENTRIES));
  let dirty = new Set<HeldSegment>();
  /** Of those, the ones in which an id begins a segment of its own. */
  let uncut = new Set<HeldSegment>();
  /** No item has a greater id; undefined where it is not known. */
  let lastId: string | undefined;
  /** The greatest of those that were noted in the last segment while it was not known. */
  let notedId = "";

  /** The last id, of which the last segment has some; what was noted may not be written yet. */
  function readLastId(): string {
    const last = table.all().length - 1;
    const { from, count } = table.all()[last] as HeldSegment;
    const written = count === 0 ? from : (rows.entries(table.intervalOf(last), ALL_ENTRIES).ids.at(-1) ?? "");
    return compareIds(written, notedId) > 0 ? written : notedId;
  }

  /** Whether an id comes behind those of all items. */
  function isBehindAll(id: string): boolean {
    if (!table.isIn(table.all().length - 1, id)) return false;
    lastId ??= readLastId();
    return compareIds(id, lastId) > 0;
  }

  /** Index of the segment that takes a new item, which falls into the one at `index`. */
  function placeOf(index: number, id: string): number {
    const segment = table.all()[index] as HeldSegment;
    const begins = segment.count >= LEAST_ENTRIES && beginsSegment(id);
    const isLast = index === table.all().length - 1;
    if (isLast && index === 0 && segment.count === 0) lastId = "";
    const isBehind = isLast && lastId !== undefined && compareIds(id, lastId) > 0;
    if (begins && isBehind) table.append(id);
    // To look whether it comes behind all others would be most of a small write: it is cut with what has come by then.
    else if (begins) uncut.add(segment);
    if (isBehind) lastId = id;
    else if (isLast && lastId === undefined && compareIds(id, notedId) > 0) notedId = id;
    return begins && isBehind ? index + 1 : index;
  }

  /** Adds so many items with this sum to a segment, or takes them out of it. */
  function change(segment: HeldSegment, count: number, sum: Uint8Array, sign: 1 | -1): void {
    items.drop(segment);
    dirty.add(segment);
    table.add(segment, count, sum, sign);
  }

  function splitSegment(segment: HeldSegment): void {
    const interval = table.intervalOf(table.indexOf(segment.from));
    // All of them, without looking for more behind the last one.
    const block = rows.entries(interval, segment.count);
    if (interval.to === undefined && block.ids.length === segment.count) lastId = block.ids.at(-1);
    const others = cutSegments(block, interval).map(({ from, total }) => ({ from, ...total }));
    table.replace(segment, others);
    for (const other of others) rows.save(other);
  }

  /** Sum of the items in a part of a segment. */
  function addPart(sum: RangeSum, part: IdInterval): void {
    for (const { prints } of items.blocksIn(part)) sum.addAll(prints);
  }

  /** Adds up segments from one index to before another, and what of their neighbours is in the range. */
  function addRange(sum: RangeSum, interval: IdInterval, first: number, end: number): void {
    const begin = table.all()[first]?.from;
    const finish = table.all()[end]?.from;
    if (begin !== interval.from) addPart(sum, { from: interval.from, to: begin });
    table.addTo(sum, first, end);
    if (finish !== undefined && finish !== interval.to) addPart(sum, { from: finish, to: interval.to });
  }

  /** Takes new items behind all others, a segment at a time. */
  function append({ count, idAt, begins, fingerprints }: NewEntries): void {
    for (let at = 0; at < count; ) {
      const held = (table.all().at(-1) as HeldSegment).count;
      if (held >= LEAST_ENTRIES && begins(at)) table.append(idAt(at));
      else if (held >= FULL_ENTRIES) table.append(separator(lastId ?? "", idAt(at)));
      const segment = table.all().at(-1) as HeldSegment;
      const most = Math.min(count, at + FULL_ENTRIES - segment.count);
      let end = at + 1;
      while (end < most && !(segment.count + end - at >= LEAST_ENTRIES && begins(end))) end += 1;
      const sum = createRangeSum();
      sum.addAll(fingerprints.subarray(at * FINGERPRINT_BYTES, end * FINGERPRINT_BYTES));
      change(segment, end - at, sum.bytes(), 1);
      at = end;
      lastId = idAt(at - 1);
    }
  }

  function note(changes: readonly RangeChange[]): void {
    let index = 0;
    for (const { id, before, after } of changes) {
      if (before === undefined && after === undefined) continue;
      if (!table.isIn(index, id)) index = table.indexOf(id);
      if (before === undefined) index = placeOf(index, id);
      const segment = table.all()[index] as HeldSegment;
      if (before !== undefined) change(segment, 1, before, -1);
      if (after !== undefined) change(segment, 1, after, 1);
    }
  }

  return {
    note,
    noteNew(entries) {
      if (entries.count === 0) return;
      if (isBehindAll(entries.idAt(0))) append(entries);
      else note(changesOf(entries));
    },
    flush() {
      // In order, so that rows of one page are written together.
      const changed = [...dirty].sort((a, b) => compareIds(a.from, b.from));
      const cut = uncut;
      dirty = new Set();
      uncut = new Set();
      for (const segment of changed) {
        // What was read since it was noted may be from before it was written.
        items.drop(segment);
        if (segment.count === 0 && segment.from !== "") {
          rows.remove(segment.from);
          table.replace(segment, []);
        } else if (segment.count > MOST_ENTRIES || cut.has(segment)) splitSegment(segment);
        else rows.save(table.read(segment));
      }
    },
    get segments() {
      return table.size;
    },
    get work() {
      return items.work;
    },
    reset() {
      table.reset();
      dirty = new Set();
      uncut = new Set();
      lastId = undefined;
      notedId = "";
      items.clear();
    },
    forget: items.clear,
    total(interval) {
      const sum = createRangeSum();
      if (isEmpty(interval)) return totalOf(sum);
      const { first, end } = table.wholeIn(interval);
      const begin = table.all()[first]?.from;
      // Both ends in one segment.
      if (begin === undefined || (interval.to !== undefined && compareIds(begin, interval.to) > 0)) {
        addPart(sum, interval);
      } else addRange(sum, interval, first, end);
      return totalOf(sum);
    },
    split(interval, parts) {
      const { first: begin, end } = table.wholeIn(interval);
      const all = table.all();
      const first = all[begin]?.count === 0 ? begin + 1 : begin;
      // What is hardly more than one segment is cut itself.
      if (end - first < LEAST_SEGMENTS) return cutBlock(joinBlocks([...items.blocksIn(interval)]), interval, parts);
      const counts = all.slice(first, end).map(({ count }) => count);
      const cuts = cutCounts(counts, parts).map((cut) => first + cut);
      return cuts.map((cut, index) => {
        const next = cuts[index + 1];
        const from = index === 0 ? interval.from : (all[cut] as HeldSegment).from;
        const to = next === undefined ? interval.to : all[next]?.from;
        const sum = createRangeSum();
        addRange(sum, { from, to }, cut, next ?? end);
        return { from, to, total: totalOf(sum) };
      });
    },
    entries(interval, limit) {
      const found: RangeEntry[] = [];
      for (const block of items.blocksIn(interval)) {
        found.push(...entriesOf(sliceBlock(block, 0, limit - found.length)));
        if (found.length >= limit) break;
      }
      return found;
    },
  };
}

function isEmpty({ from, to }: IdInterval): boolean {
  return to !== undefined && compareIds(from, to) >= 0;
}
