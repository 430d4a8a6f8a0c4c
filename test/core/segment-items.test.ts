import { expect, it } from "vitest";
import { createRangeIndex } from "../../core/range-index.js";
import type { Segment } from "../../core/segment-table.js";

/** An index of so many items of which nothing is written any more; each has 32 zero bytes for a fingerprint. */
function indexOf(items: number, segmentItems: number) {
  const ids = Array.from({ length: items }, (_, at) => `i${String(at).padStart(6, "0")}`);
  const numberOf = (id: string): number => (id === "" ? 0 : Number(id.slice(1)));
  const segments = ids.flatMap((id, at): Segment[] => {
    if (at % segmentItems !== 0) return [];
    const count = Math.min(segmentItems, items - at);
    return [{ from: at === 0 ? "" : id, count, sum: Buffer.alloc(32) }];
  });
  const calls: number[] = [];
  const index = createRangeIndex({
    load: () => segments,
    save: () => undefined,
    remove: () => undefined,
    entries({ from, to }, limit) {
      const first = numberOf(from);
      const found = ids.slice(first, Math.min(first + limit, to === undefined ? items : numberOf(to)));
      calls.push(found.length);
      return { ids: found, prints: Buffer.alloc(found.length * 32) };
    },
  });
  return { ids, index, calls };
}

it("reads all of a large collection, segment by segment, whatever is kept of it", () => {
  const { ids, index } = indexOf(300_000, 39);
  for (let at = 0; at < ids.length; at += 39) {
    const part = { from: ids[at] as string, to: ids[at + 20] };
    expect(index.entries(part, 100)).toHaveLength(Math.min(20, ids.length - at));
  }
  expect(index.entries({ from: "", to: undefined }, 400_000)).toHaveLength(ids.length);
});

it("reads ahead where segments are read one by one, and only there", () => {
  const { ids, index, calls } = indexOf(3900, 39);
  for (let at = 0; at < ids.length; at += 390) index.entries({ from: ids[at] as string, to: ids[at + 39] }, 100);
  expect(calls).toEqual(Array(10).fill(39));
  index.forget();
  calls.length = 0;
  for (let at = 0; at < ids.length; at += 39) index.entries({ from: ids[at] as string, to: ids[at + 39] }, 100);
  expect(calls.length).toBeLessThan(20);
  expect(calls.reduce((sum, count) => sum + count, 0)).toBe(ids.length);
});
