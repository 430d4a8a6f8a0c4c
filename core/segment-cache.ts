import type { EntryBlock } from "./entry-block.js";

/**
 * Items of segments that were read, for a while: a recovery looks into thousands of segments, in the order of their ids and
 * level by level, and what it reads for one level is what it needs for the next.
 */
export interface SegmentCache<S> {
  /** The items of a segment. They may be shared with whoever asks next, and are not to be changed. */
  get(segment: S): EntryBlock;
  /** The items of a segment have changed. */
  drop(segment: S): void;
  /** Forgets everything. */
  clear(): void;
  /** Items that were read so far. */
  readonly itemsRead: number;
}

/** Items that are kept, and what a segment counts beside its own. */
const MOST_KEPT = 131_072;
const SEGMENT_WEIGHT = 16;

/** Keeps what `read` answers. */
export function createSegmentCache<S>(read: (segment: S) => EntryBlock): SegmentCache<S> {
  const blocks = new Map<S, EntryBlock>();
  let kept = 0;
  let itemsRead = 0;

  function clear(): void {
    blocks.clear();
    kept = 0;
  }

  return {
    get(segment) {
      const known = blocks.get(segment);
      if (known !== undefined) return known;
      if (kept > MOST_KEPT) clear();
      const block = read(segment);
      blocks.set(segment, block);
      kept += weightOf(block);
      itemsRead += block.ids.length;
      return block;
    },
    drop(segment) {
      const block = blocks.get(segment);
      if (block === undefined) return;
      blocks.delete(segment);
      kept -= weightOf(block);
    },
    clear,
    get itemsRead() {
      return itemsRead;
    },
  };
}

function weightOf({ ids }: EntryBlock): number {
  return SEGMENT_WEIGHT + ids.length;
}
