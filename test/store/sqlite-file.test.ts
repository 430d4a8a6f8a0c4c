import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openDatabase } from "../../core/sqlite.js";
import { StorageError } from "../../core/storage-error.js";
import { openSqliteStore } from "../../server/store/sqlite.js";
import { batchOf, bytesOf, createCollection, EPOCH, put, remove, UID, writeOne } from "./build.js";

describe("the file of a SQLite store", () => {
  let parent: string;
  let directory: string;
  let path: string;
  beforeEach(() => {
    parent = mkdtempSync(join(tmpdir(), "tercet-store-"));
    directory = join(parent, "new", "data");
    path = join(directory, "tercet.db");
  });
  afterEach(() => rmSync(parent, { recursive: true }));

  const open = (maxPages?: number) =>
    openSqliteStore({ directory, epoch: EPOCH, ...(maxPages === undefined ? {} : { maxPages }) });

  function failure(run: () => unknown): StorageError {
    try {
      run();
    } catch (error) {
      if (error instanceof StorageError) return error;
      throw error;
    }
    throw new Error("did not fail");
  }

  function alter(sql: string): void {
    const database = openDatabase(path);
    database.exec(sql);
    database.close();
  }

  it("is created with its directory, in WAL mode, and marked as ours", () => {
    open().close();
    const database = openDatabase(path, { readonly: true });
    expect(database.pragma("journal_mode", { simple: true })).toBe("wal");
    expect(database.pragma("application_id", { simple: true })).toBe(Buffer.from("Terc").readInt32BE());
    expect(database.pragma("user_version", { simple: true })).toBe(1);
    database.close();
  });

  it("is refused to a second store of the same process, under any name of its directory", () => {
    const store = open();
    const error = failure(() => open());
    expect(error).toMatchObject({ kind: "busy" });
    expect(error.message).toContain(directory);
    expect(failure(() => openSqliteStore({ directory: `${directory}/../data`, epoch: EPOCH }))).toMatchObject({
      kind: "busy",
    });
    store.close();
    open().close();
  });

  it("can be read by others while it is open", async () => {
    const store = open();
    await createCollection(store);
    await writeOne(store, put("a", "1"));
    const other = openDatabase(path, { readonly: true });
    const copy = join(parent, "copy.db");
    await other.backup(copy);
    other.close();
    const copied = openDatabase(copy, { readonly: true });
    expect(copied.prepare("SELECT id FROM items").pluck().all()).toEqual(["a"]);
    copied.close();
    store.close();
  });

  it("is refused where it has a later schema version, and left as it is", () => {
    open().close();
    alter("PRAGMA user_version = 99");
    const error = failure(() => open());
    expect(error).toMatchObject({ kind: "foreign" });
    expect(error.message).toMatch(/tercet\.db has schema version 99; this server knows versions up to 1/);
    alter("PRAGMA user_version = 1");
    open().close();
  });

  it("is refused where it belongs to another application, and left as it is", () => {
    mkdirSync(directory, { recursive: true });
    alter("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)");
    const error = failure(() => open());
    expect(error).toMatchObject({ kind: "foreign" });
    expect(error.message).toContain("another application");
    const database = openDatabase(path, { readonly: true });
    expect(database.pragma("journal_mode", { simple: true })).toBe("delete");
    expect(database.prepare("SELECT name FROM sqlite_schema").pluck().all()).toEqual(["theirs"]);
    database.close();
  });

  it("is refused where it is no SQLite file", () => {
    mkdirSync(directory, { recursive: true });
    writeFileSync(path, "not a database, but long enough to be taken for one".repeat(50));
    const error = failure(() => open());
    expect(error).toMatchObject({ kind: "damaged" });
    expect(error.message).toContain(`${path}: file is not a database (SQLITE_NOTADB). Put a backup of it in its place`);
    // The lock was let go.
    rmSync(path);
    open().close();
  });

  it("cannot be opened where the directory, or a parent of it, is a file", () => {
    const file = join(parent, "file");
    writeFileSync(file, "");
    for (const inIt of [file, join(file, "data"), join(file, "a", "b")]) {
      const error = failure(() => openSqliteStore({ directory: inIt, epoch: EPOCH }));
      expect(error).toMatchObject({ kind: "failed" });
      expect(error.message).toBe(`cannot create the data directory ${inIt}: ${file} is not a directory`);
    }
  });

  it.runIf(existsSync("/proc/self"))("cannot be created where the system has no room for directories", () => {
    // Node's recursive mkdir never returns from this.
    const error = failure(() => openSqliteStore({ directory: "/proc/nope/x", epoch: EPOCH }));
    expect(error).toMatchObject({ kind: "failed" });
    expect(error.message).toMatch(/^cannot create the data directory \/proc\/nope\/x: ENOENT/);
  });

  it("says what to do where it is damaged, when it is opened and when it is read", async () => {
    const store = open();
    const ids = Array.from({ length: 400 }, (_, index) => `item-${index}`);
    await createCollection(store);
    await writeOne(store, ...ids.map((id) => put(id, "x".repeat(500))));
    store.close();
    const advice = /tercet\.db: .*\(SQLITE_CORRUPT.*\)\. Put a backup of it in its place; replicas keep their copies$/;
    const pages = statSync(path).size / 4096;
    const file = openSync(path, "r+");
    for (let page = 30; page < pages; page++) writeSync(file, Buffer.alloc(4096, 0x55), 0, 4096, page * 4096);
    const damaged = open();
    const error = failure(() => damaged.readItems({ uid: UID, ids, maxBytes: 1e9 }));
    expect(error).toMatchObject({ kind: "damaged" });
    expect(error.message).toMatch(advice);
    damaged.close();
    // The page of the schema, behind the header.
    writeSync(file, Buffer.alloc(3996, 0x55), 0, 3996, 100);
    closeSync(file);
    const atStart = failure(() => open());
    expect(atStart).toMatchObject({ kind: "damaged" });
    expect(atStart.message).toMatch(advice);
  });

  it("stores nothing of a batch when it is full, and goes on after", async () => {
    const store = open(60);
    await createCollection(store);
    await writeOne(store, put("a", "x".repeat(10_000)), put("b", "1"));
    const before = store.getCollection("c");
    const large = Array.from({ length: 50 }, (_, index) => put(`large-${index}`, "x".repeat(10_000)));
    expect(failure(() => store.write([batchOf([put("b", "2")]), batchOf(large)]))).toMatchObject({ kind: "full" });
    expect(store.getCollection("c")).toEqual(before);
    expect(store.readItems({ uid: UID, ids: ["b", "large-0"], maxBytes: 100 })?.items).toMatchObject([
      { content: "1" },
      undefined,
    ]);
    await writeOne(store, remove("a"));
    await writeOne(store, put("b", "3"));
    expect(store.getCollection("c")).toMatchObject({ revision: 4, total: { count: 1 } });
    store.close();
  });

  it("lets go of everything that a deleted collection had, in slices, and over a restart", async () => {
    const store = open();
    await createCollection(store);
    await createCollection(store, "kept", bytesOf(16, 8));
    store.write([batchOf([put("kept", "x".repeat(1000))], { uid: bytesOf(16, 8) })]);
    const some = Array.from({ length: 2500 }, (_, index) =>
      put(`i${index}`, "x".repeat(index % 900), { overrides: 2 }),
    );
    store.write([batchOf(some), batchOf(some.map((write) => put(write.id, "y".repeat(800), { overrides: 2 })))]);
    store.deleteCollection(UID);
    store.close();
    const again = open();
    const rest = openDatabase(path, { readonly: true });
    const count = rest
      .prepare(
        "SELECT (SELECT count(*) FROM items) + (SELECT count(*) FROM conflicts) + (SELECT count(*) FROM contents)",
      )
      .pluck();
    expect(count.get()).toBeGreaterThan(5000);
    // One item that is kept, and its content; every turn of the event loop removes a slice.
    for (let turns = 0; turns < 100 && count.get() !== 2; turns++) await new Promise(setImmediate);
    expect(count.get()).toBe(2);
    rest.close();
    again.close();
    expect(existsSync(`${path}-wal`)).toBe(false);
    expect(statSync(path).size).toBeGreaterThan(0);
  });
});
