/**
 * The revisions that this stream's own pushes made and that its change feed has not passed yet: they are not echoed to
 * it. Kept as ranges, which are few, since a push commits in a row.
 */
export interface OwnRevisions {
  /** Adds the revisions first..last, which come after all that were added before. */
  add(first: number, last: number): void;
  has(revision: number): boolean;
  /** There are none that were not passed. */
  readonly isEmpty: boolean;
  /** The furthest revision that a feed at `cursor` can jump to over own revisions only; forgets those up to there. */
  advance(cursor: number): number;
}

/** No revisions. */
export function createOwnRevisions(): OwnRevisions {
  let ranges: { first: number; last: number }[] = [];
  return {
    add(first, last) {
      const end = ranges.at(-1);
      if (end !== undefined && end.last + 1 === first) end.last = last;
      else ranges.push({ first, last });
    },
    get isEmpty() {
      return ranges.length === 0;
    },
    has(revision) {
      let low = 0;
      let high = ranges.length - 1;
      while (low <= high) {
        const middle = (low + high) >> 1;
        const range = ranges[middle] as { first: number; last: number };
        if (revision < range.first) high = middle - 1;
        else if (revision > range.last) low = middle + 1;
        else return true;
      }
      return false;
    },
    advance(cursor) {
      let at = cursor;
      let passed = 0;
      for (const range of ranges) {
        if (range.first > at + 1) break;
        at = Math.max(at, range.last);
        passed += 1;
      }
      if (passed > 0) ranges = ranges.slice(passed);
      return at;
    },
  };
}
