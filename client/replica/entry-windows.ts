import { compareIds } from "../../core/id.js";
import type { IdInterval, RangeEntry } from "../../core/range-index.js";

/**
 * Bases that were read, for a while. A recovery looks at the ends of thousands of ranges, in the order of their ids and
 * level by level: what it reads of one is what it needs of the next.
 */
export interface EntryWindows {
  /** The bases in a range in the order of their ids, at most `limit`. */
  entries(interval: IdInterval, limit: number): readonly RangeEntry[];
  /** The bases of these ids have changed. */
  changed(ids: readonly { readonly id: string }[]): void;
  /** Forgets everything. */
  clear(): void;
}

/** All bases from one id on, up to where another window may begin; `to` undefined: up to the end. */
interface Window extends IdInterval {
  readonly entries: readonly RangeEntry[];
}

/** Entries of a window: as many as a segment of the range index may have. */
const WINDOW_ENTRIES = 128;
/** Entries that are kept, some 300 bytes each. */
const MAX_ENTRIES = 65_536;

/** Where more than so many have changed, nothing is kept: to look for them costs more than to read again. */
const MOST_LOOKED_UP = 64;

/** Keeps what `read` answers, which is as `entries`. */
export function createEntryWindows(read: EntryWindows["entries"]): EntryWindows {
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

  /** The window that an id lies in, read if need be. */
  function windowAt(id: string): Window {
    const at = lastAt(id);
    const found = windows[at];
    if (isIn(found, id)) return found;
    if (kept > MAX_ENTRIES) {
      clear();
      return windowAt(id);
    }
    const end = windows[at + 1]?.from;
    const entries = read({ from: id, to: end }, WINDOW_ENTRIES);
    // No id is between this one and itself with a control character behind it.
    const to = entries.length < WINDOW_ENTRIES ? end : `${entries.at(-1)?.id}\u0000`;
    const window = { from: id, to, entries };
    windows.splice(at + 1, 0, window);
    kept += entries.length;
    return window;
  }

  function clear(): void {
    windows = [];
    kept = 0;
  }

  return {
    entries({ from, to }, limit) {
      const found: RangeEntry[] = [];
      for (let at: string | undefined = from; at !== undefined && found.length < limit; ) {
        if (to !== undefined && compareIds(at, to) >= 0) break;
        const window: Window = windowAt(at);
        for (let index = firstFrom(window.entries, at); index < window.entries.length; index++) {
          const entry = window.entries[index] as RangeEntry;
          if (found.length === limit || (to !== undefined && compareIds(entry.id, to) >= 0)) break;
          found.push(entry);
        }
        at = window.to;
      }
      return found;
    },
    changed(ids) {
      if (ids.length > MOST_LOOKED_UP) clear();
      for (const { id } of ids) {
        if (windows.length === 0) return;
        const at = lastAt(id);
        const window = windows[at];
        if (!isIn(window, id)) continue;
        kept -= window.entries.length;
        windows.splice(at, 1);
      }
    },
    clear,
  };
}

/** Index of the first entry with this id or a later one. */
function firstFrom(entries: readonly RangeEntry[], id: string): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareIds((entries[middle] as RangeEntry).id, id) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
