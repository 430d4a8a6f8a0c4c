import { expect } from "vitest";
import { createRangeSum } from "../../core/range-sum.js";
import { MOST_ENTRIES } from "../../core/segment-boundary.js";
import { openDatabase } from "../../core/sqlite.js";
import { byteOrder } from "./model.js";

interface SegmentRow {
  readonly collection: number;
  readonly first: string;
  readonly count: number;
  readonly sum: Buffer;
}

/** Adds up every segment of a data file anew, and checks what the file says of it. Answers the counts of the segments. */
export function checkSegments(path: string): number[] {
  const database = openDatabase(path, { readonly: true });
  try {
    const segments = database.prepare<[], SegmentRow>("SELECT * FROM segments ORDER BY collection, first").all();
    const items = database
      .prepare<[], { collection: number; id: string; fingerprint: Buffer }>(
        "SELECT collection, id, fingerprint FROM items WHERE fingerprint IS NOT NULL ORDER BY collection, id",
      )
      .all();
    const found = segments.map((segment, index) => {
      const next = segments[index + 1];
      const end = next?.collection === segment.collection ? next.first : undefined;
      const sum = createRangeSum();
      for (const { collection, id, fingerprint } of items) {
        if (collection !== segment.collection || byteOrder(id, segment.first) < 0) continue;
        if (end === undefined || byteOrder(id, end) < 0) sum.add(fingerprint);
      }
      return { ...segment, count: sum.count, sum: sum.bytes() };
    });
    expect(segments).toEqual(found);
    const counts = segments.map(({ count }) => count);
    expect(counts.reduce((all, count) => all + count, 0)).toBe(items.length);
    expect(segments.filter(({ count, first }) => count > MOST_ENTRIES || (count === 0 && first !== ""))).toEqual([]);
    return counts;
  } finally {
    database.close();
  }
}
