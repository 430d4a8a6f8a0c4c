import { FINGERPRINT_BYTES } from "./fingerprint.js";
import { compareIds } from "./id.js";
import type { IdInterval, RangeEntry } from "./range.js";
import type { RangeSum } from "./range-sum.js";

/** Items in the order of their ids, in little memory: some 70 bytes each. */
export interface EntryBlock {
  readonly ids: readonly string[];
  /** Their fingerprints, one behind the other. */
  readonly prints: Uint8Array;
}

/**
 * Items that were read, for a while. A recovery looks at the ends of thousands of ranges, in the order of their ids and
 * level by level: what it reads of one is what it needs of the next, and of the next level.
 */
export interface EntryWindows {
  /** The items in a range in the order of their ids, at most `limit`. */
  entries(interval: IdInterval, limit: number): readonly RangeEntry[];
  /** All of them in one block. It may share memory with what is kept, and is not to be changed. */
  block(interval: IdInterval): EntryBlock;
  /** Adds the fingerprints of the items in a range. */
  addTo(sum: RangeSum, interval: IdInterval): void;
  /** The items of these ids have changed. */
  changed(ids: readonly { readonly id: string }[]): void;
  /** Forgets everything. */
  clear(): void;
}

/** All items from one id on, up to where another window may begin; `to` undefined: up to the end. */
interface Window extends IdInterval, EntryBlock {}

/** Entries of a window: as many as a segment of the range index may have. */
const WINDOW_ENTRIES = 128;
/** Those of a window behind one that was not enough: what is read at once costs a third less. */
const FURTHER_ENTRIES = 512;
/** Entries that are kept, and what a window counts by itself: one of a place where there is nothing takes memory, too. */
const MAX_ENTRIES = 131_072;
const WINDOW_WEIGHT = 16;

/** Where more than so many have changed, nothing is kept: to look for them costs more than to read again. */
const MOST_LOOKED_UP = 64;

/** Keeps what `read` answers: the items in a range, at most `limit`. */
export function createEntryWindows(read: (interval: IdInterval, limit: number) => EntryBlock): EntryWindows {
  /** In the order of their ids; they do not overlap. */
  let windows: Window[] = [];
  let kept = 0;

  /** Index of the last window that begins at an id or before it, -1 for none. */
  function lastAt(id: string): number {
    let low = -1;
    let high = windows.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (compareIds((windows[middle] as Window).from, id) <= 0) low = middle;
      else high = middle;
    }
    return low;
  }

  function isIn(window: Window | undefined, id: string): window is Window {
    return window !== undefined && (window.to === undefined || compareIds(id, window.to) < 0);
  }

  /** The window that an id lies in, read if need be, with at most `limit` entries. */
  function windowAt(id: string, limit: number): Window {
    const at = lastAt(id);
    const found = windows[at];
    if (isIn(found, id)) return found;
    if (kept > MAX_ENTRIES) {
      clear();
      return windowAt(id, limit);
    }
    const end = windows[at + 1]?.from;
    const { ids, prints } = read({ from: id, to: end }, limit);
    // No id is between this one and itself with a control character behind it.
    const to = ids.length < limit ? end : `${ids.at(-1)}\u0000`;
    const window = { from: id, to, ids, prints };
    windows.splice(at + 1, 0, window);
    kept += weightOf(window);
    return window;
  }

  /** Gives what of the windows is in a range to `take`, in order, until that answers false. */
  function walk({ from, to }: IdInterval, take: (block: EntryBlock, first: number, end: number) => boolean): void {
    let limit = WINDOW_ENTRIES;
    for (let at: string | undefined = from; at !== undefined; limit = FURTHER_ENTRIES) {
      if (to !== undefined && compareIds(at, to) >= 0) return;
      const window: Window = windowAt(at, limit);
      const { ids } = window;
      const first = firstFrom(ids, at);
      const isWhole = to === undefined || (window.to !== undefined && compareIds(window.to, to) <= 0);
      if (!take(window, first, isWhole ? ids.length : firstFrom(ids, to))) return;
      at = window.to;
    }
  }

  function clear(): void {
    windows = [];
    kept = 0;
  }

  return {
    entries(interval, limit) {
      const found: RangeEntry[] = [];
      walk(interval, (block, first, end) => {
        for (let index = first; index < end && found.length < limit; index++) found.push(entryAt(block, index));
        return found.length < limit;
      });
      return found;
    },
    block(interval) {
      const parts: EntryBlock[] = [];
      walk(interval, ({ ids, prints }, first, end) => {
        const own = prints.subarray(first * FINGERPRINT_BYTES, end * FINGERPRINT_BYTES);
        parts.push({ ids: ids.slice(first, end), prints: own });
        return true;
      });
      const [one, ...others] = parts;
      if (one !== undefined && others.length === 0) return one;
      return { ids: parts.flatMap(({ ids }) => ids), prints: Buffer.concat(parts.map(({ prints }) => prints)) };
    },
    addTo(sum, interval) {
      walk(interval, ({ prints }, first, end) => {
        sum.addAll(prints.subarray(first * FINGERPRINT_BYTES, end * FINGERPRINT_BYTES));
        return true;
      });
    },
    changed(ids) {
      if (ids.length > MOST_LOOKED_UP) clear();
      for (const { id } of ids) {
        if (windows.length === 0) return;
        const at = lastAt(id);
        const window = windows[at];
        if (!isIn(window, id)) continue;
        kept -= weightOf(window);
        windows.splice(at, 1);
      }
    },
    clear,
  };
}

function weightOf({ ids }: Window): number {
  return WINDOW_WEIGHT + ids.length;
}

/** The items of a block one by one. */
export function entriesOf(block: EntryBlock): RangeEntry[] {
  return block.ids.map((_, index) => entryAt(block, index));
}

/** Items as a block. */
export function toEntryBlock(entries: readonly RangeEntry[]): EntryBlock {
  return { ids: entries.map(({ id }) => id), prints: Buffer.concat(entries.map(({ fingerprint }) => fingerprint)) };
}

function entryAt({ ids, prints }: EntryBlock, index: number): RangeEntry {
  const at = index * FINGERPRINT_BYTES;
  return { id: ids[index] as string, fingerprint: prints.subarray(at, at + FINGERPRINT_BYTES) };
}

/** Index of the first of these ids that is this one or a later one. */
function firstFrom(ids: readonly string[], id: string): number {
  let low = 0;
  let high = ids.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareIds(ids[middle] as string, id) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
