import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Store } from "../../server/store/store.js";
import type { BatchWritten } from "../../server/store/write-batch.js";
import { ALL, batchOf, bytesOf, createCollection, EPOCH, LIST, NOW, put, remove, UID, writeOne } from "./build.js";
import { describeCreations } from "./contract-creations.js";
import { describeStoreModel } from "./contract-model.js";
import { describeCompaction, describePruning, describeRanges } from "./contract-ranges.js";
import { describeRangesModel } from "./contract-ranges-model.js";
import { describeReads } from "./contract-read.js";
import { describeUploads } from "./contract-uploads.js";
import { describeUploadsModel } from "./contract-uploads-model.js";
import { describeWrites } from "./contract-write.js";
import { plain } from "./model.js";

/** A store under test. */
export interface OpenedStore {
  /** Opened in EPOCH. */
  readonly store: Store;
  /** Closes the store that is open and opens the same data again in another epoch, `bytesOf(8, n)` with n from 2 on. */
  reopen(): Promise<Store>;
  /** Checks what the store keeps beside what it tells. */
  check?(): void | Promise<void>;
  cleanup(): Promise<void>;
}

/** Runs the obligations of server/store/store.ts over a store. */
export function describeStore(name: string, open: () => Promise<OpenedStore>): void {
  describe(`${name} store`, () => {
    let opened: OpenedStore;
    let store: Store;
    beforeEach(async () => {
      opened = await open();
      store = opened.store;
    });
    afterEach(() => opened.cleanup());

    const current = () => store;
    describe("collections", () => describeCollections(current));
    describe("writes", () => describeWrites(current));
    describe("reads", () => describeReads(current));
    describe("ranges", () => describeRanges(current));
    describe("compaction", () => describeCompaction(current, () => opened.reopen()));
    describe("pruning", () => describePruning(current));
    describe("conflict records", () => describeConflicts(current));
    describe("uploads", () => describeUploads(current, () => opened));
    describe("remembered requests", () => describeRequests(current));
    describe("history", () => describeHistory(current, () => opened));
  });
  describe(`creations of the ${name} store`, () => describeCreations(open));
  describeStoreModel(name, open);
  describeRangesModel(name, open);
  describeUploadsModel(name, open);
}

function describeCollections(current: () => Store): void {
  it("creates a collection that is empty and has its first epoch", async () => {
    const store = current();
    const { created, state } = await store.createCollection({ name: "c", uid: UID, standard: 2, nowUs: NOW });
    expect(created).toBe(true);
    expect(state).toMatchObject({ name: "c", standard: 2, revision: 0, createTimeUs: NOW, compactedRevision: 0 });
    expect(state).toMatchObject({ conflicts: 0, lineage: [{ id: EPOCH, firstRevision: 1 }] });
    expect(state.total.count).toBe(0);
    expect(Buffer.from(state.total.sum)).toEqual(Buffer.alloc(32));
    expect(Buffer.from(state.uid)).toEqual(UID);
    expect(await store.getCollection("c")).toEqual(state);
    expect(await store.getCollection("C")).toBeUndefined();
  });

  it("answers the collection that has the name, as it is", async () => {
    const store = current();
    const first = await store.createCollection({ name: "c", uid: UID, standard: 1, nowUs: NOW });
    const again = await store.createCollection({ name: "c", uid: bytesOf(16, 9), standard: 2, nowUs: NOW + 1 });
    expect(again).toEqual({ created: false, state: first.state });
  });

  it("lists collections in the order of their names, in pages", async () => {
    const store = current();
    for (const [index, name] of ["b", "a", "B", "c-1"].entries()) {
      await createCollection(store, name, bytesOf(16, 20 + index));
    }
    const names = async (after: string, limit: number) =>
      (await store.listCollections(after, limit)).map((state) => state.name);
    expect(await names("", 10)).toEqual(["B", "a", "b", "c-1"]);
    expect(await names("a", 1)).toEqual(["b"]);
    expect(await names("c-1", 10)).toEqual([]);
  });

  it("deletes a collection with all it has and remembers its uid", async () => {
    const store = current();
    await createCollection(store);
    await createCollection(store, "other", bytesOf(16, 8));
    await writeOne(store, put("a", "1"), put("big", "x".repeat(10_000)));
    await writeOne(store, put("a", "2", { overrides: 2 }));
    expect(await store.wasDeleted(UID)).toBe(false);
    expect(await store.deleteCollection(UID)).toBe(true);
    expect(await store.deleteCollection(UID)).toBe(false);
    expect(await store.wasDeleted(UID)).toBe(true);
    expect(await store.getCollection("c")).toBeUndefined();
    expect((await store.listCollections("", 10)).map((state) => state.name)).toEqual(["other"]);
    expect(await store.readChanges(ALL)).toBeUndefined();
    expect(await store.readItems({ uid: UID, ids: ["a"], maxBytes: 100 })).toBeUndefined();
    expect(await store.listItems(LIST)).toBeUndefined();
    expect(await store.listConflicts({ uid: UID, id: "", before: 100, limit: 10 })).toEqual([]);
    expect(await store.getConflict(UID, 1)).toBeUndefined();
    expect(await store.write([batchOf([put("a", "3")])])).toEqual([undefined]);
  });

  it("lets a new collection have the name of a deleted one, and nothing else of it", async () => {
    const store = current();
    await createCollection(store);
    await writeOne(store, put("a", "1"));
    await store.deleteCollection(UID);
    const uid = bytesOf(16, 8);
    await createCollection(store, "c", uid);
    expect(await store.getCollection("c")).toMatchObject({ revision: 0, total: { count: 0 } });
    expect((await store.readChanges({ ...ALL, uid }))?.changes).toEqual([]);
    expect(await store.wasDeleted(UID)).toBe(true);
    expect(await store.wasDeleted(uid)).toBe(false);
  });
}

function describeConflicts(current: () => Store): void {
  beforeEach(() => createCollection(current()));

  it("keeps what gives way, and nothing where nothing does", async () => {
    const store = current();
    await writeOne(
      store,
      put("a", "mine", { modifyTimeUs: 5 }),
      put("b", Buffer.alloc(4000, 1)),
      put("new", "1", { overrides: 2 }),
    );
    await writeOne(
      store,
      put("a", "theirs", { overrides: 2 }),
      remove("b", { overrides: 0 }),
      put("new", "1", { overrides: 2 }),
    );
    await writeOne(store, put("b", "again", { overrides: 3 }));
    await writeOne(store, put("b", "again", { overrides: 3, fence: true }));
    const list = await store.listConflicts({ uid: UID, id: "", before: 1e9, limit: 10 });
    expect(list).toMatchObject([
      { number: 3, id: "b", fingerprint: undefined, size: 0, standard: 3, content: undefined },
      { number: 2, id: "b", prevailed: undefined, size: 4000, standard: 0, content: undefined },
      { number: 1, id: "a", size: 4, standard: 2, modifyTimeUs: 5, recordTimeUs: NOW, content: undefined },
    ]);
    expect(await store.getCollection("c")).toMatchObject({ conflicts: 3 });
    expect((await store.getConflict(UID, 1))?.content).toBe("mine");
    const second = await store.getConflict(UID, 2);
    expect(Buffer.from(second?.content as Uint8Array)).toEqual(Buffer.alloc(4000, 1));
    expect((await store.getConflict(UID, 3))?.content).toBeUndefined();
    expect(await store.getConflict(UID, 4)).toBeUndefined();
  });

  it("lists in pages and by item", async () => {
    const store = current();
    for (const content of ["1", "2", "3", "4"]) {
      await writeOne(store, put("a", content, { overrides: 2 }), put("b", content, { overrides: 2 }));
    }
    const numbers = async (id: string, before: number, limit: number) =>
      (await store.listConflicts({ uid: UID, id, before, limit })).map((conflict) => conflict.number);
    expect(await numbers("", 1e9, 4)).toEqual([6, 5, 4, 3]);
    expect(await numbers("", 3, 4)).toEqual([2, 1]);
    expect(await numbers("b", 1e9, 2)).toEqual([6, 4]);
    expect(await numbers("b", 4, 2)).toEqual([2]);
    expect(await numbers("none", 1e9, 2)).toEqual([]);
  });
}

function describeRequests(current: () => Store): void {
  const DAY_US = 24 * 3600 * 1_000_000;
  const digest = bytesOf(32, 3);
  const asking = (requestId: string, nowUs: number, text: string) =>
    batchOf([put("a", text)], { nowUs, remember: { requestId, digest, answer: () => Buffer.from(text) } });
  beforeEach(() => createCollection(current()));

  it("remembers the first answer, made from what was written", async () => {
    const store = current();
    const seen: BatchWritten[] = [];
    const answer = (written: BatchWritten) => {
      seen.push(written);
      return Buffer.from("first");
    };
    const written = await store.write([batchOf([put("a", "1")], { remember: { requestId: "r", digest, answer } })]);
    expect(seen).toEqual(written);
    await store.write([asking("r", NOW + 1, "second")]);
    const request = await store.getRequest("r");
    expect(Buffer.from(request?.answer ?? []).toString()).toBe("first");
    expect(Buffer.from(request?.digest ?? [])).toEqual(digest);
    expect(await store.getRequest("other")).toBeUndefined();
  });

  it("forgets after a day, and lets the id be used again", async () => {
    const store = current();
    await store.write([asking("old", NOW, "1"), asking("older", NOW - 5, "2")]);
    await store.write([asking("at the last moment", NOW + DAY_US - 5, "3")]);
    expect(await store.getRequest("older")).toBeDefined();
    await store.write([asking("old", NOW + DAY_US + 1, "4")]);
    expect(await store.getRequest("older")).toBeUndefined();
    expect(Buffer.from((await store.getRequest("old"))?.answer ?? []).toString()).toBe("4");
    expect(await store.getRequest("at the last moment")).toBeDefined();
  });

  it("remembers nothing for a collection that is not there", async () => {
    const store = current();
    await store.deleteCollection(UID);
    await store.write([asking("r", NOW, "1")]);
    expect(await store.getRequest("r")).toBeUndefined();
  });
}

function describeHistory(current: () => Store, opened: () => OpenedStore): void {
  beforeEach(() => createCollection(current()));

  it("appends its epoch with the first commit it makes, and not before", async () => {
    await writeOne(current(), put("a", "1"), put("b", "1"));
    const store = await opened().reopen();
    const lineage = async () => (await store.getCollection("c"))?.lineage.map((epoch) => epoch.firstRevision);
    await writeOne(store, put("a", "1"), put("x", "1", { expected: EPOCH }));
    expect(await lineage()).toEqual([1]);
    const [written] = await store.write([batchOf([put("a", "2")])]);
    expect(written?.lineage.map((epoch) => epoch.firstRevision)).toEqual([1, 3]);
    await writeOne(store, put("a", "3"));
    expect(await lineage()).toEqual([1, 3]);
    expect((await store.readChanges(ALL))?.lineage).toMatchObject([{ id: EPOCH }, { id: bytesOf(8, 2) }]);
  });

  it("keeps an epoch in which nothing was committed", async () => {
    const store = await opened().reopen();
    await writeOne(store, put("a", "1"));
    const state = await store.getCollection("c");
    expect(state?.lineage).toMatchObject([{ firstRevision: 1 }, { id: bytesOf(8, 2), firstRevision: 1 }]);
  });

  it("has everything after it is opened again", async () => {
    const first = current();
    await writeOne(first, put("a", "1"), put("big", "x".repeat(3000)), put("b", "1"));
    await writeOne(first, put("a", "2", { overrides: 2 }), remove("b"));
    const state = await first.getCollection("c");
    const changes = (await first.readChanges(ALL))?.changes.map(plain);
    await createCollection(first, "gone", bytesOf(16, 8));
    await first.deleteCollection(bytesOf(16, 8));
    const store = await opened().reopen();
    expect(await store.getCollection("c")).toEqual(state);
    expect((await store.readChanges(ALL))?.changes.map(plain)).toEqual(changes);
    expect((await store.getConflict(UID, 1))?.content).toBe("1");
    expect(await store.wasDeleted(bytesOf(16, 8))).toBe(true);
  });
}
