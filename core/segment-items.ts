import { type EntryBlock, firstFrom, sliceBlock } from "./entry-block.js";
import { compareIds } from "./id.js";
import type { IdInterval } from "./range.js";
import { createSegmentCache } from "./segment-cache.js";
import type { HeldSegment, SegmentTable } from "./segment-table.js";

/** The items of segments, which are read where they are asked for and kept for a while (segment-cache.ts). */
export interface SegmentItems {
  /** What there is in a range, segment by segment. */
  blocksIn(interval: IdInterval): Generator<EntryBlock>;
  /** The items of a segment have changed. */
  drop(segment: HeldSegment): void;
  /** Forgets what was read. */
  clear(): void;
  /** How much was done so far, in items that were read: others that were looked at count an eighth. */
  readonly work: number;
}

/** Segments that are read at once, where they seem to be read one by one: each by itself takes twice as long. */
const AHEAD_SEGMENTS = 8;
/** What it takes to look at an item that was read before, in items that are read. */
const SEEN_WORK = 1 / 8;

/** The items of the segments of a table; `read` answers all that are in a range. */
export function createSegmentItems(table: SegmentTable, read: (interval: IdInterval) => EntryBlock): SegmentItems {
  const cache = createSegmentCache<HeldSegment>();
  let itemsRead = 0;
  let itemsSeen = 0;

  /** The items of a segment; where the one before it was read, too, those of some behind it are likely to be asked for next. */
  function itemsOf(index: number): EntryBlock {
    const all = table.all();
    const segment = all[index] as HeldSegment;
    const known = cache.get(segment);
    if (known !== undefined) return known;
    const before = all[index - 1];
    const end = before !== undefined && cache.get(before) !== undefined ? index + AHEAD_SEGMENTS : index + 1;
    const items = read({ from: segment.from, to: all[end]?.from });
    itemsRead += items.ids.length;
    const blocks: EntryBlock[] = [];
    for (let at = index, first = 0; at < Math.min(end, all.length); at++) {
      const to = all[at + 1]?.from;
      const last = to === undefined ? items.ids.length : firstFrom(items, to);
      blocks.push(sliceBlock(items, first, last));
      first = last;
    }
    // The cache may have no room for all of them.
    for (const [at, block] of blocks.entries()) cache.keep(all[index + at] as HeldSegment, block);
    return blocks[0] as EntryBlock;
  }

  return {
    *blocksIn({ from, to }) {
      const all = table.all();
      for (let index = table.indexOf(from); index < all.length; index++) {
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
    },
    drop: cache.drop,
    clear: cache.clear,
    get work() {
      return itemsRead + itemsSeen * SEEN_WORK;
    },
  };
}
