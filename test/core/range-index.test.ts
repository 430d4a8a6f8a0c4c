import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cutEntries } from "../../core/cut-entries.js";
import { toEntryBlock } from "../../core/entry-block.js";
import { fingerprintOf } from "../../core/fingerprint.js";
import { compareIds } from "../../core/id.js";
import type { IdInterval, RangeEntry } from "../../core/range.js";
import { createRangeIndex, type RangeIndex, type SegmentRows } from "../../core/range-index.js";
import { createRangeSum, type RangeTotal, totalOf } from "../../core/range-sum.js";
import { beginsSegment } from "../../core/segment-boundary.js";
import type { Segment } from "../../core/segment-table.js";

const WHOLE = { from: "", to: undefined };

/** Items and segments as a store would keep them. */
interface World {
  readonly index: RangeIndex;
  readonly items: Map<string, Uint8Array>;
  readonly segments: Map<string, Segment>;
  /** Entries that were read. */
  reads: number;
}

function createWorld(): World {
  const items = new Map<string, Uint8Array>();
  const segments = new Map<string, Segment>();
  const rows: SegmentRows = {
    load: () => [...segments.values()].sort((a, b) => compareIds(a.from, b.from)),
    save: (segment) => void segments.set(segment.from, segment),
    remove: (from) => void segments.delete(from),
    entries(interval, limit) {
      const found = entriesIn(items, interval).slice(0, limit);
      world.reads += found.length;
      return toEntryBlock(found);
    },
  };
  const world: World = { index: createRangeIndex(rows), items, segments, reads: 0 };
  return world;
}

function entriesIn(items: ReadonlyMap<string, Uint8Array>, { from, to }: IdInterval): RangeEntry[] {
  return [...items]
    .map(([id, fingerprint]) => ({ id, fingerprint }))
    .filter(({ id }) => compareIds(id, from) >= 0 && (to === undefined || compareIds(id, to) < 0))
    .sort((a, b) => compareIds(a.id, b.id));
}

function sumOf(entries: readonly RangeEntry[]): RangeTotal {
  const sum = createRangeSum();
  for (const { fingerprint } of entries) sum.add(fingerprint);
  return totalOf(sum);
}

/** One transaction; `content` undefined deletes. */
function write(world: World, ids: readonly string[], content: string | undefined): void {
  const changes = ids.map((id) => {
    const after = content === undefined ? undefined : fingerprintOf(id, content);
    return { id, before: world.items.get(id), after };
  });
  world.index.note(changes);
  for (const { id, after } of changes) {
    if (after === undefined) world.items.delete(id);
    else world.items.set(id, after);
  }
  world.index.flush();
}

/** One transaction of new items, in the order of their ids. */
function writeNew(world: World, ids: readonly string[], content: string): void {
  const sorted = [...new Set(ids)].filter((id) => !world.items.has(id)).sort(compareIds);
  const fingerprints = sorted.map((id) => fingerprintOf(id, content));
  const idAt = (at: number): string => sorted[at] as string;
  const begins = (at: number): boolean => beginsSegment(idAt(at));
  world.index.noteNew({ count: sorted.length, idAt, begins, fingerprints: Buffer.concat(fingerprints) });
  for (const [at, id] of sorted.entries()) world.items.set(id, fingerprints[at] as Buffer);
  world.index.flush();
}

/** Segments are those of the items, and none is too large or empty. */
function check(world: World): void {
  const sorted = [...world.segments.values()].sort((a, b) => compareIds(a.from, b.from));
  for (const [at, { from, count, sum }] of sorted.entries()) {
    const own = sumOf(entriesIn(world.items, { from, to: sorted[at + 1]?.from }));
    expect({ from, count, sum: Buffer.from(sum) }).toEqual({ from, ...own });
    expect(count).toBeLessThanOrEqual(512);
    if (from !== "") expect(count).toBeGreaterThan(0);
  }
  expect(world.index.total(WHOLE)).toEqual(sumOf(entriesIn(world.items, WHOLE)));
}

/** Which part of the cuts of one are cuts of another, too. */
function sharedCuts(one: World, other: World): number {
  const shared = [...one.segments.keys()].filter((from) => other.segments.has(from));
  return shared.length / one.segments.size;
}

const numbered = (count: number, from = 0) =>
  Array.from({ length: count }, (_, at) => `i${String(at + from).padStart(6, "0")}`);

/** The same mixture in every run. */
function shuffled(ids: readonly string[]): string[] {
  return ids
    .map((id) => ({ id, key: fingerprintOf(id, "order").toString("hex") }))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
    .map(({ id }) => id);
}

describe("a range index", () => {
  it("is empty at first", () => {
    const { index } = createWorld();
    expect(index.total(WHOLE)).toEqual({ count: 0, sum: Buffer.alloc(32) });
    expect(index.split(WHOLE, 4)).toEqual([{ ...WHOLE, total: { count: 0, sum: Buffer.alloc(32) } }]);
  });

  it("reads nothing again for ids that come in order", () => {
    const world = createWorld();
    for (let from = 0; from < 1000; from += 10) write(world, numbered(10, from), "1");
    expect(world.reads).toBe(0);
    check(world);
    expect(world.segments.size).toBeLessThan(32);
    // Nor after a start, but for the last segment.
    world.index.reset();
    world.reads = 0;
    write(world, numbered(200, 1000), "1");
    expect(world.reads).toBeLessThan(257);
    check(world);
  });

  it("takes new items in a row as it takes them one by one", () => {
    const [inRow, single] = [createWorld(), createWorld()];
    const batches = [numbered(40), numbered(300, 100), numbered(200, 50), numbered(1, 1000), numbered(96, 1001)];
    for (const ids of batches) {
      writeNew(inRow, ids, "1");
      const left = ids.filter((id) => !single.items.has(id));
      write(single, left, "1");
      check(inRow);
      expect(inRow.segments).toEqual(single.segments);
    }
    expect(inRow.reads).toBe(single.reads);
  });

  it("reads each item little more than once while ids come at random", () => {
    const world = createWorld();
    const ids = shuffled(numbered(6000));
    for (let at = 0; at < ids.length; at += 100) write(world, ids.slice(at, at + 100), "1");
    check(world);
    expect(world.reads).toBeLessThan(2 * ids.length);
    expect(world.segments.size).toBeLessThan(ids.length / 32);
  });

  it("takes a change back and forth, and emptied segments out", () => {
    const world = createWorld();
    const ids = numbered(1000);
    write(world, ids, "1");
    write(world, ids, "2");
    write(world, ids.slice(100, 900), undefined);
    check(world);
    write(world, shuffled(ids), "3");
    check(world);
    write(world, ids, undefined);
    check(world);
    expect([...world.segments.keys()]).toEqual([""]);
    write(world, ["a deletion of nothing"], undefined);
    expect(world.index.total(WHOLE)).toEqual({ count: 0, sum: Buffer.alloc(32) });
  });

  it("knows what was noted behind all, though that is not written yet", () => {
    const world = createWorld();
    write(world, numbered(10), "1");
    world.index.reset();
    const [begins = ""] = numbered(2000, 100).filter(beginsSegment);
    // It would begin a segment, and these be in the one before it.
    const noted = numbered(3, Number(begins.slice(1)) + 1);
    world.index.note(noted.map((id) => ({ id, before: undefined, after: fingerprintOf(id, "1") })));
    const after = fingerprintOf(begins, "1");
    world.index.noteNew({ count: 1, idAt: () => begins, begins: () => true, fingerprints: after });
    for (const id of [begins, ...noted]) world.items.set(id, fingerprintOf(id, "1"));
    world.index.flush();
    check(world);
  });

  it("forgets what was noted and rolled back", () => {
    const world = createWorld();
    write(world, numbered(500), "1");
    const before = world.index.total(WHOLE);
    world.index.note(numbered(300, 300).map((id) => ({ id, before: undefined, after: fingerprintOf(id, "x") })));
    world.index.reset();
    expect(world.index.total(WHOLE)).toEqual(before);
    write(world, numbered(300, 400), "2");
    check(world);
  });

  it("cuts the same items at the same places, in whatever order they came", () => {
    const ids = numbered(6000);
    const [inRow, atRandom, oneByOne] = [createWorld(), createWorld(), createWorld()];
    writeNew(inRow, ids, "1");
    const mixed = shuffled(ids);
    for (let at = 0; at < mixed.length; at += 200) write(atRandom, mixed.slice(at, at + 200), "1");
    for (const id of mixed.slice(0, 2000).sort(compareIds)) write(oneByOne, [id], "1");
    const some = createWorld();
    writeNew(some, mixed.slice(0, 2000), "1");
    // Not all: where two beginnings are close to one another, the one that came first holds.
    expect(sharedCuts(inRow, atRandom)).toBeGreaterThan(0.85);
    expect(oneByOne.segments).toEqual(some.segments);
  });

  it("answers about the ranges of another that has about the same items, and reads next to nothing", () => {
    const ids = numbered(20_000);
    const [own, other] = [createWorld(), createWorld()];
    writeNew(own, ids, "1");
    const mixed = shuffled(ids);
    for (let at = 0; at < mixed.length; at += 1000) write(other, mixed.slice(at, at + 1000), "1");
    write(other, mixed.slice(0, 20), undefined);
    write(other, mixed.slice(20, 40), "2");
    own.index.forget();
    own.reads = 0;
    let asked = 0;
    for (const range of other.index.split(WHOLE, 16)) {
      for (const part of other.index.split(range, 8)) {
        expect(own.index.total(part)).toEqual(sumOf(entriesIn(own.items, part)));
        asked += 1;
      }
    }
    expect(asked).toBeGreaterThan(100);
    expect(own.reads).toBeLessThan(asked * 64);
  });

  it("makes no more segments of ids that were chosen for it", () => {
    const world = createWorld();
    const chosen = numbered(40_000).filter(beginsSegment);
    expect(chosen.length).toBeGreaterThan(500);
    writeNew(world, chosen.slice(0, 300), "1");
    for (const id of shuffled(chosen.slice(300))) write(world, [id], "1");
    check(world);
    expect(world.segments.size).toBeLessThanOrEqual(chosen.length / 3);
  });

  it("cuts a segment in which no id begins another", () => {
    const none = numbered(3000).filter((id) => !beginsSegment(id));
    const [inRow, atRandom] = [createWorld(), createWorld()];
    writeNew(inRow, none, "1");
    for (const id of shuffled(none)) write(atRandom, [id], "1");
    check(inRow);
    check(atRandom);
    expect(inRow.reads).toBe(0);
    expect(atRandom.reads).toBeLessThan(2 * none.length);
  });

  it("answers by what is written, also before it is flushed", () => {
    const world = createWorld();
    write(world, numbered(50), "1");
    const part = { from: "i000005", to: "i000015" };
    expect(world.index.entries(part, 99)).toHaveLength(10);
    for (const [id, before, after] of [
      ["i000010", world.items.get("i000010"), fingerprintOf("i000010", "2")],
      ["i000010b", undefined, fingerprintOf("i000010b", "2")],
    ] as const) {
      world.index.note([{ id, before, after }]);
      world.items.set(id, after);
      expect(world.index.entries(part, 99)).toEqual(entriesIn(world.items, part));
      expect(world.index.total(part)).toEqual(sumOf(entriesIn(world.items, part)));
    }
    world.index.flush();
    check(world);
    const behind = numbered(60, 100);
    world.index.total(WHOLE);
    world.index.entries({ from: "i000045", to: undefined }, 99);
    writeNew(world, behind, "1");
    expect(world.index.entries({ from: "i000045", to: undefined }, 999)).toHaveLength(65);
  });

  it("counts what it reads, and what it looks at again for less", () => {
    const world = createWorld();
    writeNew(world, numbered(10_000), "1");
    const all = { from: "", to: undefined };
    const before = world.index.work;
    world.index.entries(all, 10_000);
    const first = world.index.work - before;
    world.index.entries(all, 10_000);
    const again = world.index.work - before - first;
    expect(first).toBeGreaterThanOrEqual(10_000);
    expect(again).toBeGreaterThan(1000);
    expect(again).toBeLessThan(first / 4);
  });

  it("takes up where another left off", () => {
    const world = createWorld();
    write(world, shuffled(numbered(2000)), "1");
    world.index.reset();
    check(world);
    write(world, numbered(2000, 1000), "2");
    check(world);
  });

  it("takes what comes behind all there is in one", () => {
    const world = createWorld();
    const append = (ids: readonly string[]): void => {
      writeNew(world, ids, "1");
    };
    for (const [count, from] of [
      [5, 0],
      [90, 5],
      [1, 95],
      [1, 96],
      [500, 97],
    ] as const) {
      append(numbered(count, from));
      check(world);
    }
    append([]);
    world.index.reset();
    append(numbered(200, 597));
    write(world, numbered(300, 700), "2");
    check(world);
    expect(world.segments.size).toBeLessThan(32);
  });

  it("begins a segment behind what was noted, also where that is not written yet", () => {
    const world = createWorld();
    write(world, numbered(10, 0), "1");
    world.index.reset();
    write(world, numbered(50, 10), "1");
    write(world, [...numbered(300, 60), ...shuffled(numbered(50, 10))], "2");
    check(world);
  });

  it("splits large ranges by whole segments, into parts of about the same size", () => {
    const world = createWorld();
    write(world, shuffled(numbered(20_000)), "1");
    world.reads = 0;
    const parts = world.index.split({ from: "i000123", to: "i019877" }, 16);
    expect(world.reads).toBeLessThanOrEqual(256);
    expect(parts).toHaveLength(16);
    const sizes = parts.map(({ total }) => total.count);
    expect(sizes.reduce((all, size) => all + size, 0)).toBe(19_754);
    expect(Math.max(...sizes)).toBeLessThan(2 * Math.min(...sizes));
  });

  it("has the sums of any range, and parts that come to it", () => {
    const letters = fc.constantFrom("a", "b", "é", "\uffee", "\u{10000}", "\u{1f600}");
    const id = fc.array(letters, { minLength: 1, maxLength: 4 }).map((points) => points.join(""));
    const batch = fc.record({
      ids: fc.uniqueArray(id, { minLength: 1, maxLength: 300, size: "max" }),
      content: fc.option(fc.constantFrom("1", "2"), { nil: undefined, freq: 3 }),
      reset: fc.boolean(),
      inRow: fc.boolean(),
    });
    const property = fc.property(fc.array(batch, { maxLength: 6 }), fc.array(id, { maxLength: 6 }), (batches, cuts) => {
      const world = createWorld();
      for (const { ids, content, reset, inRow } of batches) {
        if (inRow && content !== undefined) writeNew(world, ids, content);
        else write(world, ids, content);
        if (reset) world.index.reset();
      }
      check(world);
      for (const from of ["", ...cuts]) for (const to of [undefined, ...cuts]) checkRange(world, { from, to });
    });
    void fc.assert(property, { numRuns: 60, seed: 20_260_103, endOnFailure: true });
  });
});

function checkRange({ index, items }: World, interval: IdInterval): void {
  const entries = entriesIn(items, interval);
  expect(index.total(interval)).toEqual(sumOf(entries));
  for (const wanted of [2, 4]) {
    const parts = index.split(interval, wanted);
    expect(parts.length).toBeGreaterThanOrEqual(Math.min(2, Math.max(1, entries.length)));
    expect(parts.length).toBeLessThanOrEqual(wanted);
    expect([parts[0]?.from, parts.at(-1)?.to]).toEqual([interval.from, interval.to]);
    for (const [at, { from, to, total }] of parts.entries()) {
      if (at > 0) expect(parts[at - 1]?.to).toBe(from);
      expect(total).toEqual(sumOf(entriesIn(items, { from, to })));
      if (entries.length > 0) expect(total.count).toBeGreaterThan(0);
    }
  }
}

describe("cutting entries", () => {
  it("makes no more parts than there are entries, with bounds between them", () => {
    const entries = ["ab", "abc", "b"].map((id) => ({ id, fingerprint: fingerprintOf(id, "") }));
    const parts = cutEntries(entries, { from: "a", to: "c" }, 9);
    expect(parts.map(({ from, to, total }) => [from, to, total.count])).toEqual([
      ["a", "abc", 1],
      ["abc", "b", 1],
      ["b", "c", 1],
    ]);
    expect(cutEntries([], WHOLE, 4)).toHaveLength(1);
  });
});
