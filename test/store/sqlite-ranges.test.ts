import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LEAST_ENTRIES } from "../../core/segment-boundary.js";
import { openDatabase } from "../../core/sqlite.js";
import { openSqliteStore } from "../../server/store/sqlite.js";
import { prepareRangeIndexes } from "../../server/store/sqlite-ranges.js";
import { openDataFile } from "../../server/store/sqlite-schema.js";
import { batchOf, bytesOf, createCollection, EPOCH, put, remove, UID, writeOne } from "./build.js";
import { askRanges } from "./contract-ranges.js";
import { checkSegments } from "./sqlite-segments.js";

const OTHER = bytesOf(16, 8);
const WHOLE = { from: "", to: undefined };
const NONE = { kind: "sum", interval: WHOLE, count: 0, shortSum: Buffer.alloc(16) } as const;

describe("range sums and tombstones of a SQLite store", () => {
  let directory: string;
  let path: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "tercet-store-"));
    path = join(directory, "tercet.db");
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const open = (maxPages?: number) =>
    openSqliteStore({ directory, epoch: EPOCH, ...(maxPages === undefined ? {} : { maxPages }) });

  const numbered = (count: number, from = 0) =>
    Array.from({ length: count }, (_, index) => put(`i${String(index + from).padStart(6, "0")}`, "1"));

  /** Reads a number from the file, beside the store. */
  function count(sql: string): number {
    const database = openDatabase(path, { readonly: true });
    try {
      return Number(database.prepare(sql).pluck().get());
    } finally {
      database.close();
    }
  }

  it("fills segments well with ids that come in order, one by one or many at once", async () => {
    const store = open();
    await createCollection(store);
    store.write([batchOf(numbered(5000))]);
    expect(checkSegments(path).length).toBeLessThan(5000 / 32);
    for (const write of numbered(500, 5000)) store.write([batchOf([write])]);
    const counts = checkSegments(path);
    expect(counts.length).toBeLessThan(5500 / 32);
    expect(Math.min(...counts.slice(0, -1))).toBeGreaterThanOrEqual(LEAST_ENTRIES);
    store.close();
  });

  it("splits what grows in its middle, and takes out what is empty", async () => {
    const store = open();
    await createCollection(store);
    store.write([batchOf([put("a", "1"), put("z", "1")])]);
    store.write([batchOf(numbered(1000))]);
    expect(checkSegments(path).length).toBeGreaterThan(8);
    store.write([batchOf(numbered(1000).map(({ id }) => remove(id)))]);
    expect(checkSegments(path).length).toBeLessThan(4);
    store.write([batchOf([remove("a"), remove("z")])]);
    expect(checkSegments(path)).toEqual([0]);
    store.write([batchOf(numbered(10))]);
    expect(checkSegments(path)).toEqual([10]);
    store.close();
  });

  it("forgets what a transaction that failed had noted, also when the disk is full", async () => {
    const store = open(80);
    await createCollection(store);
    await writeOne(store, ...numbered(300));
    const before = await askRanges(store, [NONE]);
    const large = Array.from({ length: 200 }, (_, index) => put(`large-${index}`, "x".repeat(10_000)));
    expect(() => store.write([batchOf(numbered(300, 300)), batchOf(large)])).toThrow("SQLITE_FULL");
    expect(await askRanges(store, [NONE])).toEqual(before);
    await writeOne(store, put("i000000", "2"));
    checkSegments(path);
    store.close();
  });

  it("forgets what it noted when the commit fails", async () => {
    const store = open();
    await createCollection(store);
    store.close();
    const database = openDataFile({ directory });
    const indexes = prepareRangeIndexes(database);
    const fingerprint = Buffer.alloc(32, 1);
    const failing = () => {
      database.exec("BEGIN");
      indexes.of(1).note([{ id: "a", before: undefined, after: fingerprint }]);
      indexes.of(1).flush();
      database.exec("ROLLBACK");
      throw new Error("the commit failed");
    };
    expect(indexes.of(1).total(WHOLE).count).toBe(0);
    expect(() => indexes.guard(failing)).toThrow("the commit failed");
    expect(indexes.of(1).total(WHOLE).count).toBe(0);
    database.close();
  });

  it("has the right sums with more collections than fit its memory", () => {
    openSqliteStore({ directory, epoch: EPOCH }).close();
    const database = openDataFile({ directory });
    const indexes = prepareRangeIndexes(database, 2);
    const fingerprint = Buffer.alloc(32, 1);
    for (const round of [1, 2, 3]) {
      for (const collection of [1, 2, 3, 4]) {
        const index = indexes.of(collection);
        index.note([{ id: `${round}`, before: undefined, after: fingerprint }]);
        index.flush();
        expect(index.total(WHOLE).count).toBe(round);
      }
    }
    for (const collection of [4, 3, 2, 1]) expect(indexes.of(collection).total(WHOLE).count).toBe(3);
    database.close();
  });

  it("lets go of the segments and time marks of a deleted collection", async () => {
    const store = open();
    await createCollection(store);
    await createCollection(store, "kept", OTHER);
    store.write([batchOf(numbered(3000)), batchOf(numbered(10), { uid: OTHER })]);
    store.deleteCollection(UID);
    for (let turns = 0; turns < 100 && count("SELECT count(*) FROM segments") !== 1; turns++) {
      await new Promise(setImmediate);
    }
    expect(count("SELECT count(*) FROM segments")).toBe(1);
    for (let turns = 0; turns < 100 && count("SELECT count(*) FROM time_marks") !== 1; turns++) {
      await new Promise(setImmediate);
    }
    expect(count("SELECT count(*) FROM time_marks")).toBe(1);
    expect(checkSegments(path)).toEqual([10]);
    store.close();
  });

  it("removes tombstones behind the horizon in slices, over a restart, and changes no sum", async () => {
    const store = open();
    await createCollection(store);
    store.write([batchOf(numbered(4000))]);
    store.write([batchOf(numbered(3500).map(({ id }) => remove(id)))]);
    const state = store.getCollection("c");
    const total = await askRanges(store, [NONE]);
    expect(store.compact({ uid: UID, through: 7400 })).toBe(7400);
    const tombstones = "SELECT count(*) FROM items WHERE fingerprint IS NULL";
    expect(count(tombstones)).toBe(3500);
    // Those that wait are told no more.
    const [answer] = await askRanges(store, [{ ...NONE, count: 1, interval: { from: "i0033", to: "i0035" } }]);
    expect(answer?.kind === "list" && answer.deleted).toHaveLength(100);
    await new Promise(setImmediate);
    expect(count(tombstones)).toBe(2500);
    store.close();
    const again = open();
    await new Promise(setImmediate);
    expect(count(tombstones)).toBe(1500);
    for (let turns = 0; turns < 10 && count(tombstones) !== 100; turns++) await new Promise(setImmediate);
    expect(count(tombstones)).toBe(100);
    await new Promise(setImmediate);
    expect(count("SELECT removed_revision FROM collections")).toBe(7400);
    expect(again.getCollection("c")).toEqual({ ...state, compactedRevision: 7400 });
    expect(await askRanges(again, [NONE])).toEqual(total);
    checkSegments(path);
    again.close();
  });

  it("finds waiting tombstones, and marks, without a scan", () => {
    openSqliteStore({ directory, epoch: EPOCH }).close();
    const database = openDataFile({ directory });
    const plan = (sql: string) => database.prepare<[], { detail: string }>(`EXPLAIN QUERY PLAN ${sql}`).all();
    const removal = plan(
      `DELETE FROM items WHERE (collection, revision, id) IN (SELECT collection, revision, id FROM items
        INDEXED BY tombstones WHERE collection = 1 AND fingerprint IS NULL AND revision <= 5 ORDER BY revision LIMIT 9)`,
    );
    const waiting = plan("SELECT * FROM collections WHERE removed_revision < compacted_revision ORDER BY key LIMIT 1");
    const details = [...removal, ...waiting].map(({ detail }) => detail);
    expect(details.filter((detail) => /USE TEMP B-TREE|SCAN (items|collections)$/.test(detail))).toEqual([]);
    database.close();
  });
});
