import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openSqliteStore, type SqliteStore } from "../../server/store/sqlite.js";
import { createLogSync } from "../../server/store/sqlite-sync.js";
import { createSyncedStore } from "../../server/store/sqlite-synced.js";
import type { BatchWritten } from "../../server/store/write-batch.js";
import { ALL, batchOf, bytesOf, createCollection, EPOCH, NOW, put, UID } from "./build.js";

type Written = readonly (BatchWritten | undefined)[];

let directory: string;
let sqlite: SqliteStore;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "tercet-synced-"));
  sqlite = openSqliteStore({ directory, epoch: EPOCH });
  await createCollection(sqlite);
});
afterEach(() => {
  sqlite.close();
  rmSync(directory, { recursive: true, force: true });
});

/** A store whose disk is done when the test says so. */
function heldBack() {
  let reach: ((error?: Error) => void) | undefined;
  const store = createSyncedStore({
    ...sqlite,
    writeAside(batches) {
      const written = sqlite.write(batches);
      return new Promise<Written>((resolve, reject) => {
        reach = (error) => (error === undefined ? resolve(written) : reject(error));
      });
    },
  });
  return { store, reach: (error?: Error) => reach?.(error) };
}

test("nobody reads a collection between its commit and the disk, and others are not held up", async () => {
  await createCollection(sqlite, "other", bytesOf(16, 9));
  const { store, reach } = heldBack();
  const written = store.write([batchOf([put("a", "1")])]);
  let onDisk = false;
  const query = { uid: UID, ids: ["a"], maxBytes: 100 };
  const creation = { name: "c", uid: UID, standard: 0, nowUs: NOW } as const;
  const reads = [
    store.getCollection("c"),
    store.listCollections("", 10),
    store.createCollection(creation),
    store.readChanges(ALL),
    store.readItems(query),
  ];
  for (const read of reads) expect(read).toBeInstanceOf(Promise);
  const allRead = Promise.all(reads.map((read) => Promise.resolve(read).then(() => expect(onDisk).toBe(true))));
  expect(store.getCollection("other")).toMatchObject({ revision: 0 });
  expect(store.readChanges({ ...ALL, uid: bytesOf(16, 9) })).toMatchObject({ revision: 0 });
  onDisk = true;
  reach();
  expect(await written).toMatchObject([{ revision: 1 }]);
  await allRead;
  expect(await reads[0]).toMatchObject({ revision: 1 });
  expect(store.getCollection("c")).toMatchObject({ revision: 1 });
});

test("what did not reach the disk is read by nobody any more", async () => {
  const { store, reach } = heldBack();
  const written = store.write([batchOf([put("a", "1")])]);
  const read = store.readChanges(ALL);
  const failure = new Error("the disk is gone");
  reach(failure);
  await expect(written).rejects.toBe(failure);
  await expect(read).rejects.toBe(failure);
  await expect(store.getCollection("c")).rejects.toBe(failure);
});

test("after what did not reach the disk nothing is changed any more, in any collection", async () => {
  await createCollection(sqlite, "other", bytesOf(16, 9));
  const { store, reach } = heldBack();
  const written = store.write([batchOf([put("a", "1")])]);
  const failure = new Error("the disk is gone");
  reach(failure);
  await expect(written).rejects.toBe(failure);
  const [uid, uploadId] = [bytesOf(16, 9), bytesOf(16, 1)];
  const piece = { uid, uploadId, id: "b", size: 1, offset: 0, data: Buffer.from("b"), text: false, nowUs: NOW };
  for (const change of [
    () => store.write([{ uid, nowUs: NOW, writes: [put("b", "1")] }]),
    () => store.createCollection({ name: "new", uid: bytesOf(16, 3), standard: 0, nowUs: NOW }),
    () => store.deleteCollection(uid),
    () => store.upload(piece),
    () => store.dropUpload(uid, uploadId),
    () => store.pruneUploads(NOW, 10),
    () => store.compact({ uid, through: 1 }),
    () => store.pruneConflicts(NOW, 10),
  ]) {
    expect(change).toThrow(failure);
  }
  expect(sqlite.getCollection("other")).toMatchObject({ revision: 0 });
  expect(sqlite.getCollection("new")).toBeUndefined();
  expect(store.readChanges({ ...ALL, uid })).toMatchObject({ revision: 0 });
});

test("a transaction that fails leaves nothing behind that has to be waited for", () => {
  const failure = new Error("full");
  const store = createSyncedStore({
    ...sqlite,
    writeAside() {
      throw failure;
    },
  });
  expect(() => store.write([batchOf([put("a", "1")])])).toThrow(failure);
  expect(store.getCollection("c")).toMatchObject({ revision: 0 });
});

test("after a failure the disk is not tried again", async () => {
  const failure = new Error("EIO");
  for (const failsAside of [true, false]) {
    let times = 0;
    const log = createLogSync(join(directory, "tercet.db"), {
      aside(_descriptor, done) {
        times += 1;
        setImmediate(done, times === 1 ? null : failure);
      },
      now() {
        times += 1;
        throw failure;
      },
    });
    await log.sync();
    if (failsAside) await expect(log.sync()).rejects.toBe(failure);
    else expect(() => log.syncNow()).toThrow(failure);
    await expect(log.sync()).rejects.toBe(failure);
    expect(() => log.syncNow()).toThrow(failure);
    expect(times).toBe(2);
    log.close();
  }
});

test("only a small batch that comes alone is waited for, and not while another one is on its way to the disk", async () => {
  const store = createSyncedStore(sqlite);
  const lone = (id: string): unknown => store.write([batchOf([put(id, "1")])]);
  expect(lone("a")).toMatchObject([{ revision: 1 }]);
  const two = store.write([batchOf([put("b", "1")]), batchOf([put("c", "1")])]);
  expect(two).toBeInstanceOf(Promise);
  const behind = lone("d");
  expect(behind).toBeInstanceOf(Promise);
  expect(await two).toMatchObject([{ revision: 2 }, { revision: 3 }]);
  expect(await behind).toMatchObject([{ revision: 4 }]);
  const large = store.write([batchOf([put("e", "x".repeat(100_000))])]);
  expect(large).toBeInstanceOf(Promise);
  expect(await large).toMatchObject([{ revision: 5 }]);
  expect(lone("f")).toMatchObject([{ revision: 6 }]);
});

test("the log is written back on the way, and everything is there afterwards", async () => {
  const store = createSyncedStore(sqlite);
  for (let round = 0; round < 12; round++) {
    const writes = Array.from({ length: 1_000 }, (_, index) => put(`item-${round}-${index}`, "x".repeat(300)));
    await store.write([batchOf(writes)]);
  }
  sqlite.close();
  sqlite = openSqliteStore({ directory, epoch: bytesOf(8, 2) });
  expect(sqlite.getCollection("c")).toMatchObject({ revision: 12_000, total: { count: 12_000 } });
});
