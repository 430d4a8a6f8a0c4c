import { beforeEach, expect, it } from "vitest";
import type { RangeEntry } from "../../core/range.js";
import { createRangeSum, totalOf } from "../../core/range-sum.js";
import { LIST_ITEMS, LISTED_WHOLE_ITEMS, SHORT_SUM_BYTES, shortPrintsOf, shortSumOf } from "../../core/reconcile.js";
import type { RangeAnswer, RangeAsk, RangesQuery } from "../../server/store/range-reads.js";
import type { Store } from "../../server/store/store.js";
import type { Write } from "../../server/store/write-batch.js";
import { batchOf, createCollection, ids, put, remove, UID, writeOne } from "./build.js";

const WHOLE = { from: "", to: undefined };
const NONE = {
  kind: "sum",
  interval: WHOLE,
  count: 0,
  shortSum: Buffer.alloc(SHORT_SUM_BYTES),
} as const satisfies RangeAsk;
const RANGES = { uid: UID, tombstonesAfter: 0, inlineBytes: -1, maxBytes: 1e9 } as const;

/** Asks for the ranges and answers what came of them. */
export async function askRanges(
  store: Store,
  asks: readonly RangeAsk[],
  more: Partial<RangesQuery> = {},
): Promise<readonly RangeAnswer[]> {
  const read = await store.readRanges({ ...RANGES, asks, ...more });
  if (read === undefined) throw new Error("the collection is not there");
  return read.answers;
}

function itemsAsk(entries: readonly RangeEntry[]): RangeAsk {
  return { kind: "items", interval: WHOLE, prints: shortPrintsOf(entries) };
}

function entryOf(write: Write): RangeEntry {
  return { id: write.id, fingerprint: write.upsert?.fingerprint ?? Buffer.alloc(32) };
}

function sumAsk(entries: readonly RangeEntry[], interval: RangeAsk["interval"] = WHOLE): RangeAsk {
  const sum = createRangeSum();
  for (const { fingerprint } of entries) sum.add(fingerprint);
  const total = totalOf(sum);
  return { kind: "sum", interval, count: total.count, shortSum: shortSumOf(total) };
}

const listed = (answer: RangeAnswer | undefined) =>
  answer?.kind === "list"
    ? { items: ids(answer.items), deleted: ids(answer.deleted), differing: answer.differing }
    : answer;

const numbered = (count: number, content = "1") =>
  Array.from({ length: count }, (_, index) => put(`i${String(index).padStart(5, "0")}`, content));

/** What readRanges must do. */
export function describeRanges(current: () => Store): void {
  beforeEach(() => createCollection(current()));

  it("says that ranges with the same count and sum are equal", async () => {
    const store = current();
    expect(await askRanges(store, [NONE])).toEqual([{ kind: "equal" }]);
    const writes = numbered(300);
    await writeOne(store, ...writes);
    await writeOne(store, remove("i00007"));
    const entries = writes.filter(({ id }) => id !== "i00007").map(entryOf);
    const interval = { from: "i00005", to: "i00250" };
    const inside = entries.filter(({ id }) => id >= interval.from && id < interval.to);
    const asks = [sumAsk(entries), sumAsk(inside, interval), itemsAsk(entries), itemsAsk(entries.toReversed())];
    expect(await askRanges(store, asks)).toEqual(asks.map(() => ({ kind: "equal" })));
    const other = await askRanges(store, [sumAsk(entries.slice(1)), { ...NONE, count: entries.length }]);
    expect(other.map((answer) => answer.kind)).toEqual(["split", "split"]);
  });

  it("lists what is small with its tombstones, and splits what is larger", async () => {
    const store = current();
    await writeOne(store, ...numbered(LISTED_WHOLE_ITEMS), put("x", "1"), put("y", "1"));
    await writeOne(store, remove("x"), remove("y"), remove("never", { fence: true }));
    const revision = LISTED_WHOLE_ITEMS + 2;
    const items = numbered(LISTED_WHOLE_ITEMS).map(({ id }) => id);
    const [all] = await askRanges(store, [NONE]);
    expect(listed(all)).toEqual({ items, deleted: ["never", "x", "y"], differing: [] });
    const [later] = await askRanges(store, [NONE], { tombstonesAfter: revision + 1 });
    expect(listed(later)).toEqual({ items, deleted: ["never", "y"], differing: [] });
    await writeOne(store, put("z", "1"));
    const [split] = await askRanges(store, [NONE]);
    expect(split?.kind === "split" && split.parts.map(({ total }) => total.count)).toEqual([1, 1, 1]);
    const [part] = await askRanges(store, [{ ...NONE, interval: { from: "i00001", to: "x" } }]);
    expect(listed(part)).toEqual({ items: ["i00001"], deleted: ["never"], differing: [] });
  });

  it("compares item by item, and tells what either side does not have like that", async () => {
    const store = current();
    await writeOne(store, ...numbered(3), put("gone", "1"));
    await writeOne(store, remove("gone"), put("i00001", "2"));
    const theirs = [put("gone", "1"), ...numbered(2), put("new", "1")].map(entryOf);
    const [answer] = await askRanges(store, [itemsAsk(theirs)]);
    expect(listed(answer)).toEqual({ items: ["i00001", "i00002"], deleted: ["gone"], differing: [0, 2, 3] });
    const [theirsOnly] = await askRanges(store, [{ ...itemsAsk(theirs), interval: { from: "o", to: "p" } }]);
    expect(listed(theirsOnly)).toEqual({ items: [], deleted: [], differing: [0, 1, 2, 3] });
  });

  it("splits where too many items differ for a list", async () => {
    const store = current();
    const writes = numbered(LIST_ITEMS + 10);
    await writeOne(store, ...writes);
    const ask = (known: number) => askRanges(store, [itemsAsk(writes.slice(0, known).map(entryOf))]);
    expect((await ask(9))[0]?.kind).toBe("split");
    const [list] = await ask(10);
    expect(list?.kind === "list" && list.items).toHaveLength(LIST_ITEMS);
    // As many as here, but others.
    const others = numbered(LIST_ITEMS + 1, "2").map(entryOf);
    expect((await askRanges(store, [itemsAsk(others)]))[0]?.kind).toBe("split");
  });

  it("splits where there are too many tombstones for a list, until they are told", async () => {
    const store = current();
    const writes = numbered(1500);
    await writeOne(store, ...writes);
    await writeOne(store, ...writes.slice(1).map(({ id }) => remove(id)));
    const deleted: string[] = [];
    let asks: RangeAsk[] = [{ ...NONE, count: 1500 }];
    for (let rounds = 0; asks.length > 0; rounds++) {
      expect(rounds).toBeLessThan(4);
      const answers = await askRanges(store, asks);
      asks = answers.flatMap((answer) => {
        if (answer.kind === "list") deleted.push(...(ids(answer.deleted) ?? []));
        return answer.kind === "split"
          ? answer.parts.map(({ from, to }) => ({ ...NONE, count: 9, interval: { from, to } }))
          : [];
      });
    }
    expect(deleted).toEqual(writes.slice(1).map(({ id }) => id));
  });

  it("reads contents along as far as they go", async () => {
    const store = current();
    await writeOne(store, put("a", ""), put("b", "x".repeat(300)), put("c", "x".repeat(2000)), put("d", "12345"));
    const withContent = async (more: Partial<RangesQuery>) => {
      const [answer] = await askRanges(store, [{ kind: "items", interval: WHOLE, prints: Buffer.alloc(0) }], more);
      return answer?.kind === "list" && ids(answer.items.filter(({ content }) => content !== undefined));
    };
    expect(await withContent({})).toEqual([]);
    expect(await withContent({ inlineBytes: 0 })).toEqual(["a"]);
    expect(await withContent({ inlineBytes: 300 })).toEqual(["a", "b", "d"]);
    expect(await withContent({ inlineBytes: 1e6 })).toEqual(["a", "b", "c", "d"]);
    expect(await withContent({ inlineBytes: 1e6, maxBytes: 2304 })).toEqual(["a", "b", "c"]);
    expect(await withContent({ inlineBytes: 1e6, maxBytes: 2004 })).toEqual(["a", "b", "d"]);
  });

  it("stops once it has about the bytes asked for, after one answer at least", async () => {
    const store = current();
    await writeOne(store, put("a", "1"), put("b", "1"));
    const asks = Array<RangeAsk>(10).fill({ ...NONE, interval: { from: "b", to: "c" } });
    expect(await askRanges(store, asks, { maxBytes: 1 })).toHaveLength(1);
    expect(await askRanges(store, asks, { maxBytes: 200 })).toHaveLength(3);
    expect(await askRanges(store, asks)).toHaveLength(10);
    expect(await askRanges(store, [])).toEqual([]);
  });

  it("answers a part of what would take long, and the rest when it is asked for again", async () => {
    const store = current();
    const writes = numbered(20_000);
    await writeOne(store, ...writes);
    const asks = Array.from({ length: 40 }, (_, at) => {
      const [from, to] = [at * 500, (at + 1) * 500].map((index) => writes[index]?.id);
      return { kind: "items", interval: { from: from ?? "", to }, prints: Buffer.alloc(8) } as const;
    });
    const counts: number[] = [];
    for (let left: readonly RangeAsk[] = asks; left.length > 0; left = left.slice(counts.at(-1))) {
      counts.push((await askRanges(store, left, { maxBytes: 1e9 })).length);
      expect(counts.at(-1)).toBeGreaterThan(0);
    }
    expect(Math.max(...counts)).toBeLessThan(20);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(asks.length);
  });

  it("tells the collection of the same snapshot", async () => {
    const store = current();
    await writeOne(store, put("a", "1"), remove("never", { fence: true }));
    await store.compact({ uid: UID, through: 1 });
    expect(await store.readRanges({ ...RANGES, asks: [NONE] })).toMatchObject({
      revision: 2,
      compactedRevision: 1,
      lineage: [{ firstRevision: 1 }],
    });
    await store.deleteCollection(UID);
    expect(await store.readRanges({ ...RANGES, asks: [NONE] })).toBeUndefined();
    expect(await store.compact({ uid: UID, through: 1 })).toBeUndefined();
  });

  it("answers for ranges without any ids", async () => {
    const store = current();
    await writeOne(store, ...numbered(200));
    const empty = ["zz", "i00100", "i00200"].map((from) => ({ ...NONE, interval: { from, to: from } }));
    const backwards = { ...NONE, interval: { from: "i00150", to: "i00050" } };
    expect(await askRanges(store, [...empty, backwards])).toEqual(Array(4).fill({ kind: "equal" }));
  });
}

/** What compact must do. */
export function describeCompaction(current: () => Store, reopen: () => Promise<Store>): void {
  const MINUTE = 60_000_000;
  beforeEach(() => createCollection(current()));

  const deletedIn = async (store: Store, tombstonesAfter = 0) => {
    const [answer] = await askRanges(store, [{ ...NONE, count: 99 }], { tombstonesAfter });
    return answer?.kind === "list" ? ids(answer.deleted) : answer;
  };

  it("moves the horizon, never back and never beyond the head, for good", async () => {
    const store = current();
    await writeOne(store, put("a", "1"), put("b", "1"), put("c", "1"));
    await writeOne(store, remove("a"), remove("b"));
    const before = await store.getCollection("c");
    expect(await store.compact({ uid: UID, through: 4 })).toBe(4);
    expect(await deletedIn(store)).toEqual(["b"]);
    expect(await store.compact({ uid: UID, through: 2 })).toBe(4);
    expect(await store.getCollection("c")).toEqual({ ...before, compactedRevision: 4 });
    expect(
      await store.readChanges({ uid: UID, after: 5, tombstonesAfter: 0, maxBytes: 1, maxChanges: 1, inlineBytes: -1 }),
    ).toMatchObject({ compactedRevision: 4 });
    expect(await store.compact({ uid: UID, through: 99 })).toBe(5);
    expect(await deletedIn(store)).toEqual([]);
    const again = await reopen();
    expect(await again.getCollection("c")).toEqual({ ...before, compactedRevision: 5 });
    expect(await deletedIn(again)).toEqual([]);
  });

  it("tells tombstones after the horizon alone, whatever a reader asks", async () => {
    const store = current();
    await writeOne(store, put("a", "1"), put("b", "1"), put("c", "1"));
    await writeOne(store, remove("a"), remove("b"), remove("c"));
    await store.compact({ uid: UID, through: 4 });
    expect(await deletedIn(store, 1)).toEqual(["b", "c"]);
    expect(await deletedIn(store, 5)).toEqual(["c"]);
  });

  it("refuses a creation by who has not seen a tombstone that may be gone", async () => {
    const store = current();
    await writeOne(store, put("a", "1"), put("b", "1"));
    await writeOne(store, remove("a"));
    await store.compact({ uid: UID, through: 3 });
    const create = (id: string, seen: number | undefined) =>
      writeOne(store, put(id, "new", { expected: undefined, seen }));
    expect((await create("a", 2))[0]).toMatchObject({
      kind: "conflict",
      current: { id: "a", fingerprint: undefined, revision: 3 },
    });
    expect((await create("never", 2))[0]).toMatchObject({ kind: "conflict", current: { id: "never", revision: 3 } });
    expect((await create("a", 3))[0]).toMatchObject({ kind: "applied" });
    expect((await create("never", undefined))[0]).toMatchObject({ kind: "applied" });
    expect((await writeOne(store, remove("nothing", { expected: undefined, seen: 0 })))[0]?.kind).toBe("already");
    expect((await writeOne(store, put("any", "1", { seen: 0 })))[0]).toMatchObject({ kind: "applied" });
  });

  it("finds the last commit before a time, to the minute", async () => {
    const store = current();
    const start = Math.floor(1_700_000_000_000_000 / MINUTE) * MINUTE;
    let count = 0;
    const commitAt = (timeUs: number) => store.write([batchOf([put("a", `${++count}`)], { nowUs: start + timeUs })]);
    for (const timeUs of [0, 5, MINUTE - 1, MINUTE, 3 * MINUTE, 3 * MINUTE + 10]) await commitAt(timeUs);
    const compact = (timeUs: number) => store.compact({ uid: UID, beforeUs: start + timeUs });
    expect(await compact(MINUTE - 1)).toBe(0);
    expect(await compact(MINUTE)).toBe(3);
    expect(await compact(2 * MINUTE + 5)).toBe(4);
    const again = await reopen();
    expect(await again.compact({ uid: UID, beforeUs: start + 3 * MINUTE + 59 })).toBe(4);
    // The clock is set back: what is committed then is no older than what was before.
    await again.write([batchOf([put("a", "back")], { nowUs: start })]);
    expect(await again.compact({ uid: UID, beforeUs: start + 3 * MINUTE })).toBe(4);
    expect(await again.compact({ uid: UID, beforeUs: start + 4 * MINUTE })).toBe(7);
    expect(await again.compact({ uid: UID, beforeUs: start + 9 * MINUTE })).toBe(7);
  });

  it("keeps what a call in which one batch throws would have marked", async () => {
    const store = current();
    await store.write([batchOf([put("a", "1")])]);
    const answer = (): Uint8Array => {
      throw new Error("no answer");
    };
    const later = { nowUs: 1_800_000_000_000_000 };
    const bad = batchOf([put("b", "1")], { ...later, remember: { requestId: "r", digest: Buffer.alloc(32), answer } });
    await expect((async () => store.write([bad]))()).rejects.toThrow("no answer");
    await store.write([batchOf([put("b", "1")])]);
    expect(await store.compact({ uid: UID, beforeUs: later.nowUs })).toBe(2);
  });
}

/** What pruneConflicts must do. */
export function describePruning(current: () => Store): void {
  beforeEach(() => createCollection(current()));

  it("removes the oldest records of all collections, and counts what is left", async () => {
    const store = current();
    const uid = Buffer.alloc(16, 8);
    await createCollection(store, "d", uid);
    const large = (time: number) => put("a", `${time}`.padEnd(2000, "x"), { overrides: 2 });
    for (const time of [0, 10, 20, 30]) {
      await store.write([batchOf([large(time)], { nowUs: time }), batchOf([large(time)], { uid, nowUs: time + 5 })]);
    }
    const numbers = async () =>
      Promise.all(
        [UID, uid].map(async (each) =>
          (await store.listConflicts({ uid: each, id: "", before: 1e9, limit: 100 })).map(({ number }) => number),
        ),
      );
    expect(await numbers()).toEqual([
      [3, 2, 1],
      [3, 2, 1],
    ]);
    expect(await store.pruneConflicts(10, 100)).toBe(0);
    expect(await store.pruneConflicts(26, 3)).toBe(3);
    expect(await numbers()).toEqual([[3], [3, 2]]);
    expect(await store.getCollection("c")).toMatchObject({ conflicts: 1 });
    expect(await store.getCollection("d")).toMatchObject({ conflicts: 2 });
    expect(await store.getConflict(UID, 1)).toBeUndefined();
    expect(await store.pruneConflicts(26, 3)).toBe(1);
    await store.deleteCollection(uid);
    expect(await store.pruneConflicts(1e9, 100)).toBe(1);
    await store.write([batchOf([large(50)], { nowUs: 50 })]);
    // Numbers are never used again.
    expect((await numbers())[0]).toEqual([4]);
    expect(await store.getCollection("c")).toMatchObject({ conflicts: 1, total: { count: 1 } });
  });
}
