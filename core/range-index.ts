import { cutBlock, cutCounts, cutSegments } from "./cut-entries.js";
import { type EntryBlock, entriesOf, firstFrom, joinBlocks, sliceBlock } from "./entry-block.js";
import { FINGERPRINT_BYTES } from "./fingerprint.js";
import { compareIds, separator } from "./id.js";
import type { IdInterval, RangeEntry, RangePart } from "./range.js";
import { createRangeSum, type RangeSum, type RangeTotal, totalOf } from "./range-sum.js";
import { beginsSegment, LEAST_ENTRIES, MOST_ENTRIES } from "./segment-boundary.js";
import { createSegmentCache } from "./segment-cache.js";
import { createSumTable } from "./sum-table.js";

/** Some neighbouring ids, up to where the next segment begins, with their count and sum. The first begins at "". */
export interface Segment {
  readonly from: string;
  readonly count: number;
  /** 32 little-endian bytes. */
  readonly sum: Uint8Array;
}

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

/**
 * Range sums that are kept with every write. The ids are cut into segments, each with the count and sum of its items, so
 * that a write changes one small row and the sum of any range reads whole segments and, at its two ends, parts of one. A
 * segment begins where an id says so (segment-boundary.ts), which is where it begins on the other side, too: of a range
 * that the other side asks about there is seldom an end to be read. All segments are held in memory, some 130 bytes and an id each;
 * after a transaction that was rolled back `reset` forgets them. What was read of items to answer about ranges is kept for
 * the next answer (segment-cache.ts), some 10 MB at most, until it changes, or `forget`.
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

/** Ids that come in order begin a segment once the last one has so many, though none begins one. */
const FULL_ENTRIES = MOST_ENTRIES / 2;
/** Segments that are read at once, where they seem to be read one by one: each by itself takes twice as long. */
const AHEAD_SEGMENTS = 8;
/** What it takes to look at an item that was read before, in items that are read. */
const SEEN_WORK = 1 / 8;
/** Ranges of fewer whole segments are read, to be cut. */
const LEAST_SEGMENTS = 2;
const ALL_ENTRIES = Number.MAX_SAFE_INTEGER;

/** A segment in memory; its sum is in the slot of a table, as 5,000,000 items have some 130,000 segments. */
interface HeldSegment {
  readonly from: string;
  count: number;
  readonly slot: number;
}

/** The index that is kept in these rows. */
export function createRangeIndex(rows: SegmentRows): RangeIndex {
  let sums = createSumTable();
  let loaded: HeldSegment[] | undefined;
  let dirty = new Set<HeldSegment>();
  /** Of those, the ones in which an id begins a segment of its own. */
  let uncut = new Set<HeldSegment>();
  const cache = createSegmentCache<HeldSegment>();
  let itemsRead = 0;
  let itemsSeen = 0;
  /** No item has a greater id; undefined where it is not known. */
  let lastId: string | undefined;
  /** The greatest of those that were noted in the last segment while it was not known. */
  let notedId = "";

  function hold({ from, count, sum }: Segment): HeldSegment {
    return { from, count, slot: sums.take(sum) };
  }

  function segments(): HeldSegment[] {
    if (loaded === undefined) {
      loaded = rows.load().map(hold);
      if (loaded[0]?.from !== "") loaded.unshift(hold({ from: "", count: 0, sum: new Uint8Array(FINGERPRINT_BYTES) }));
    }
    return loaded;
  }

  /** Index of the segment that an id falls into. */
  function indexOf(id: string): number {
    const all = segments();
    let low = 0;
    let high = all.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (compareIds((all[middle] as HeldSegment).from, id) <= 0) low = middle;
      else high = middle;
    }
    return low;
  }

  /** The range of a segment. */
  function intervalOf(index: number): IdInterval {
    const all = segments();
    return { from: (all[index] as HeldSegment).from, to: all[index + 1]?.from };
  }

  /** Whether an id falls into the segment at an index. */
  function isIn(index: number, id: string): boolean {
    const { from, to } = intervalOf(index);
    return compareIds(from, id) <= 0 && (to === undefined || compareIds(id, to) < 0);
  }

  /** The last id, of which the last segment has some; what was noted may not be written yet. */
  function readLastId(): string {
    const last = segments().length - 1;
    const { from, count } = segments()[last] as HeldSegment;
    const written = count === 0 ? from : (rows.entries(intervalOf(last), ALL_ENTRIES).ids.at(-1) ?? "");
    return compareIds(written, notedId) > 0 ? written : notedId;
  }

  /** Whether an id comes behind those of all items. */
  function isBehindAll(id: string): boolean {
    if (!isIn(segments().length - 1, id)) return false;
    lastId ??= readLastId();
    return compareIds(id, lastId) > 0;
  }

  /** Begins a segment behind all items. */
  function beginSegment(from: string): void {
    segments().push(hold({ from, count: 0, sum: new Uint8Array(FINGERPRINT_BYTES) }));
  }

  /** Index of the segment that takes a new item, which falls into the one at `index`. */
  function placeOf(index: number, id: string): number {
    const all = segments();
    const segment = all[index] as HeldSegment;
    const begins = segment.count >= LEAST_ENTRIES && beginsSegment(id);
    const isLast = index === all.length - 1;
    if (isLast && index === 0 && segment.count === 0) lastId = "";
    const isBehind = isLast && lastId !== undefined && compareIds(id, lastId) > 0;
    if (begins && isBehind) beginSegment(id);
    // To look whether it comes behind all others would be most of a small write: it is cut with what has come by then.
    else if (begins) uncut.add(segment);
    if (isBehind) lastId = id;
    else if (isLast && lastId === undefined && compareIds(id, notedId) > 0) notedId = id;
    return begins && isBehind ? index + 1 : index;
  }

  function save(segment: HeldSegment): void {
    rows.save({ from: segment.from, count: segment.count, sum: sums.bytes(segment.slot) });
  }

  /** Takes a segment out of memory and puts others in its place. */
  function replace(segment: HeldSegment, others: readonly HeldSegment[]): void {
    segments().splice(indexOf(segment.from), 1, ...others);
    sums.release(segment.slot);
  }

  function splitSegment(segment: HeldSegment): void {
    const interval = intervalOf(indexOf(segment.from));
    // All of them, without looking for more behind the last one.
    const block = rows.entries(interval, segment.count);
    if (interval.to === undefined && block.ids.length === segment.count) lastId = block.ids.at(-1);
    const others = cutSegments(block, interval).map(({ from, total }) => hold({ from, ...total }));
    replace(segment, others);
    for (const other of others) save(other);
  }

  /** Sum of the segments from one index to before another. */
  function addSegments(sum: RangeSum, from: number, to: number): void {
    const all = segments();
    for (let index = from; index < to; index++) {
      const { count, slot } = all[index] as HeldSegment;
      sum.merge({ count, sum: sums.view(slot) });
    }
  }

  /** The items of a segment; where the one before it was read, too, those of some behind it are likely to be asked for next. */
  function itemsOf(index: number): EntryBlock {
    const all = segments();
    const segment = all[index] as HeldSegment;
    const known = cache.get(segment);
    if (known !== undefined) return known;
    const before = all[index - 1];
    const end = before !== undefined && cache.get(before) !== undefined ? index + AHEAD_SEGMENTS : index + 1;
    const read = rows.entries({ from: segment.from, to: all[end]?.from }, ALL_ENTRIES);
    itemsRead += read.ids.length;
    let first = 0;
    for (let at = index; at < Math.min(end, all.length); at++) {
      const to = all[at + 1]?.from;
      const last = to === undefined ? read.ids.length : firstFrom(read, to);
      cache.keep(all[at] as HeldSegment, sliceBlock(read, first, last));
      first = last;
    }
    return cache.get(segment) as EntryBlock;
  }

  /** What there is in a range, segment by segment. */
  function* blocksIn({ from, to }: IdInterval): Generator<EntryBlock> {
    const all = segments();
    for (let index = indexOf(from); index < all.length; index++) {
      const segment = all[index] as HeldSegment;
      if (to !== undefined && compareIds(segment.from, to) >= 0) return;
      if (segment.count === 0) continue;
      const block = itemsOf(index);
      const end = all[index + 1]?.from;
      const isWhole = to === undefined || (end !== undefined && compareIds(end, to) <= 0);
      const part = sliceBlock(block, firstFrom(block, from), isWhole ? block.ids.length : firstFrom(block, to));
      itemsSeen += part.ids.length;
      yield part;
    }
  }

  /** Sum of the items in a part of a segment. */
  function addPart(sum: RangeSum, part: IdInterval): void {
    for (const { prints } of blocksIn(part)) sum.addAll(prints);
  }

  /** Which segments lie in a range as a whole: from one index to before another. */
  function wholeSegments({ from, to }: IdInterval): { readonly first: number; readonly end: number } {
    const all = segments();
    const at = indexOf(from);
    const first = all[at]?.from === from ? at : at + 1;
    if (to === undefined) return { first, end: all.length };
    return { first, end: Math.max(first, indexOf(to)) };
  }

  /** Adds up segments from one index to before another, and what of their neighbours is in the range. */
  function addRange(sum: RangeSum, interval: IdInterval, first: number, end: number): void {
    const all = segments();
    const begin = all[first]?.from;
    const finish = all[end]?.from;
    if (begin !== interval.from) addPart(sum, { from: interval.from, to: begin });
    addSegments(sum, first, end);
    if (finish !== undefined && finish !== interval.to) addPart(sum, { from: finish, to: interval.to });
  }

  function total(interval: IdInterval): RangeTotal {
    const sum = createRangeSum();
    if (isEmpty(interval)) return totalOf(sum);
    const { first, end } = wholeSegments(interval);
    const begin = segments()[first]?.from;
    // Both ends in one segment.
    if (begin === undefined || (interval.to !== undefined && compareIds(begin, interval.to) > 0)) {
      addPart(sum, interval);
    } else addRange(sum, interval, first, end);
    return totalOf(sum);
  }

  /** Takes new items behind all others, a segment at a time. */
  function append({ count, idAt, begins, fingerprints }: NewEntries): void {
    const all = segments();
    for (let at = 0; at < count; ) {
      const held = (all.at(-1) as HeldSegment).count;
      if (held >= LEAST_ENTRIES && begins(at)) beginSegment(idAt(at));
      else if (held >= FULL_ENTRIES) beginSegment(separator(lastId ?? "", idAt(at)));
      const segment = all.at(-1) as HeldSegment;
      const most = Math.min(count, at + FULL_ENTRIES - segment.count);
      let end = at + 1;
      while (end < most && !(segment.count + end - at >= LEAST_ENTRIES && begins(end))) end += 1;
      const sum = createRangeSum();
      sum.addAll(fingerprints.subarray(at * FINGERPRINT_BYTES, end * FINGERPRINT_BYTES));
      cache.drop(segment);
      sums.add(segment.slot, sum.bytes(), 1);
      segment.count += end - at;
      dirty.add(segment);
      at = end;
      lastId = idAt(at - 1);
    }
  }

  function note(changes: readonly RangeChange[]): void {
    const all = segments();
    let index = 0;
    for (const { id, before, after } of changes) {
      if (before === undefined && after === undefined) continue;
      if (!isIn(index, id)) index = indexOf(id);
      if (before === undefined) index = placeOf(index, id);
      const segment = all[index] as HeldSegment;
      cache.drop(segment);
      dirty.add(segment);
      if (before !== undefined) {
        segment.count -= 1;
        sums.add(segment.slot, before, -1);
      }
      if (after !== undefined) {
        segment.count += 1;
        sums.add(segment.slot, after, 1);
      }
    }
  }

  return {
    note,
    noteNew(items) {
      const { count, idAt, fingerprints } = items;
      if (count === 0) return;
      if (isBehindAll(idAt(0))) return append(items);
      const one = (_: unknown, at: number): RangeChange => {
        const after = fingerprints.subarray(at * FINGERPRINT_BYTES, (at + 1) * FINGERPRINT_BYTES);
        return { id: idAt(at), before: undefined, after };
      };
      note(Array.from({ length: count }, one));
    },
    flush() {
      // In order, so that rows of one page are written together.
      const changed = [...dirty].sort((a, b) => compareIds(a.from, b.from));
      const cut = uncut;
      dirty = new Set();
      uncut = new Set();
      for (const segment of changed) {
        // What was read since it was noted may be from before it was written.
        cache.drop(segment);
        if (segment.count === 0 && segment.from !== "") {
          rows.remove(segment.from);
          replace(segment, []);
        } else if (segment.count > MOST_ENTRIES || cut.has(segment)) splitSegment(segment);
        else save(segment);
      }
    },
    get segments() {
      return loaded?.length ?? 0;
    },
    get work() {
      return itemsRead + itemsSeen * SEEN_WORK;
    },
    reset() {
      sums = createSumTable();
      loaded = undefined;
      dirty = new Set();
      uncut = new Set();
      lastId = undefined;
      notedId = "";
      cache.clear();
    },
    forget: cache.clear,
    total,
    split(interval, parts) {
      const { first: begin, end } = wholeSegments(interval);
      const first = segments()[begin]?.count === 0 ? begin + 1 : begin;
      // What is hardly more than one segment is cut itself.
      if (end - first < LEAST_SEGMENTS) return cutBlock(joinBlocks([...blocksIn(interval)]), interval, parts);
      const all = segments();
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
      for (const block of blocksIn(interval)) {
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
