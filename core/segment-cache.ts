import type { EntryBlock } from "./entry-block.js";

/**
 * Items of segments that were read, for a while: a recovery looks into thousands of segments, in the order of their ids and
 * level by level, and what it reads for one level is what it needs for the next. Blocks may be shared with whoever asks
 * next, and are not to be changed.
 */
export interface SegmentCache<S> {
  get(segment: S): EntryBlock | undefined;
  /** Keeps the items of a segment, which were read just now. */
  keep(segment: S, block: EntryBlock): void;
  /** The items of a segment have changed. */
  drop(segment: S): void;
  /** Forgets everything. */
  clear(): void;
}

/** Items that are kept, and what a segment counts beside its own. */
const MOST_KEPT = 131_072;
const SEGMENT_WEIGHT = 16;

/** A cache that keeps about `most` items at most, and begins anew where they would be more. */
export function createSegmentCache<S>(most = MOST_KEPT): SegmentCache<S> {
  const blocks = new Map<S, EntryBlock>();
  let kept = 0;

  function drop(segment: S): void {
    const block = blocks.get(segment);
    if (block === undefined) return;
    blocks.delete(segment);
    kept -= weightOf(block);
  }

  function clear(): void {
    blocks.clear();
    kept = 0;
  }

  return {
    get: (segment) => blocks.get(segment),
    keep(segment, block) {
      drop(segment);
      if (kept > most) clear();
      blocks.set(segment, block);
      kept += weightOf(block);
    },
    drop,
    clear,
  };
}

function weightOf({ ids }: EntryBlock): number {
  return SEGMENT_WEIGHT + ids.length;
}
