import { expect, it } from "vitest";
import { createSegmentCache } from "../../core/segment-cache.js";

const block = (size: number) => ({ ids: Array.from({ length: size }, (_, at) => `${at}`), prints: Buffer.alloc(0) });

it("keeps what was read until it changes", () => {
  const cache = createSegmentCache<string>();
  const [one, other] = [block(3), block(4)];
  cache.keep("a", one);
  expect(cache.get("a")).toBe(one);
  cache.keep("a", other);
  expect(cache.get("a")).toBe(other);
  cache.drop("a");
  cache.drop("never there");
  expect(cache.get("a")).toBeUndefined();
});

it("keeps no more than it may, of empty segments either", () => {
  for (const size of [0, 30]) {
    const cache = createSegmentCache<number>(1000);
    for (let segment = 0; segment < 500; segment++) cache.keep(segment, block(size));
    const kept = Array.from({ length: 500 }, (_, segment) => cache.get(segment)).filter((each) => each !== undefined);
    expect(kept.length).toBeGreaterThan(0);
    expect(kept.length).toBeLessThan(2 + 1000 / (size + 16));
    cache.clear();
    expect(cache.get(499)).toBeUndefined();
  }
});
