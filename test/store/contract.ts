import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { fingerprintOf } from "../../core/fingerprint.js";
import type { BatchWritten, Store, StoredChange } from "../../server/store/store.js";
import { batchOf, bytesOf, createCollection, EPOCH, NOW, put, remove, UID, writeOne } from "./build.js";
import { describeStoreModel } from "./contract-model.js";
import { byteOrder, plain } from "./model.js";

/** A store under test. */
export interface OpenedStore {
  /** Opened in EPOCH. */
  readonly store: Store;
  /** Closes the store that is open and opens the same data again in another epoch, `bytesOf(8, n)` with n from 2 on. */
  reopen(): Promise<Store>;
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
    describe("conflict records", () => describeConflicts(current));
    describe("remembered requests", () => describeRequests(current));
    describe("history", () => describeHistory(current, () => opened));
  });
  describeStoreModel(name, open);
}

const ALL = { uid: UID, after: 0, tombstonesAfter: 0, maxBytes: 1e9, maxChanges: 1e6, inlineBytes: 1e9 };
const LIST = { uid: UID, prefix: "", after: "", limit: 1e6, maxBytes: 1e9, inlineBytes: -1 };

function ids(changes: readonly StoredChange[] | undefined): string[] | undefined {
  return changes?.map((change) => change.id);
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

function describeWrites(current: () => Store): void {
  beforeEach(() => createCollection(current()));

  it("gives every write a revision of its own and a group one together", async () => {
    const group = (id: string) => put(id, id, { group: 5 });
    const outcomes = await writeOne(current(), put("a", "1"), group("x"), group("y"), put("b", "2"));
    expect(outcomes).toEqual([
      { kind: "applied", revision: 1, group: 0 },
      { kind: "applied", revision: 2, group: 2 },
      { kind: "applied", revision: 2, group: 2 },
      { kind: "applied", revision: 3, group: 0 },
    ]);
  });

  it("stores nothing of a group that one member keeps from its expected state", async () => {
    const store = current();
    await writeOne(store, put("a", "1"));
    const outcomes = await writeOne(
      store,
      put("new", "1", { group: 1, expected: undefined }),
      put("a", "2", { group: 1, expected: undefined }),
      put("a-same", "2"),
    );
    expect(outcomes.map((outcome) => outcome.kind)).toEqual(["group-conflict", "conflict", "applied"]);
    expect(ids(await store.listItems(LIST))).toEqual(["a", "a-same"]);
  });

  it("answers 'already' for a group that is repeated, and for the deletion of what was never there", async () => {
    const store = current();
    const group = [put("a", "1", { group: 1, expected: undefined }), put("b", "1", { group: 1, expected: undefined })];
    await writeOne(store, ...group);
    const [again] = await store.write([batchOf(group)]);
    expect(again).toMatchObject({
      revisionBefore: 1,
      revision: 1,
      outcomes: Array(2).fill({ kind: "already", revision: 1 }),
    });
    expect(await writeOne(store, remove("never"))).toEqual([{ kind: "already", revision: 0 }]);
  });

  it("refuses a write over a state, or a revision, that its writer has not seen", async () => {
    const store = current();
    await writeOne(store, put("a", "1"), put("a2", "1"));
    await writeOne(store, put("a", "2"));
    await writeOne(store, put("a", "1"));
    const expected = fingerprintOf("a", "1");
    // There and back again: the fingerprint is the one expected, the revision is not.
    const [unseen] = await writeOne(store, put("a", "3", { expected, seen: 3 }));
    expect(unseen).toMatchObject({ kind: "conflict", current: { id: "a", revision: 4, content: undefined, size: 1 } });
    expect((await writeOne(store, put("a", "3", { expected, seen: 4 })))[0]).toMatchObject({ kind: "applied" });
    expect((await writeOne(store, put("unknown", "1", { expected })))[0]).toEqual({
      kind: "conflict",
      current: plainDeletion("unknown", 5),
    });
  });

  it("commits a fenced repetition once more, so that what was sent before it comes too late", async () => {
    const store = current();
    await writeOne(store, put("a", "1"));
    const [fenced] = await writeOne(store, put("a", "1", { fence: true, expected: undefined }));
    expect(fenced).toMatchObject({ kind: "applied", revision: 2 });
    const late = put("a", "0", { expected: fingerprintOf("a", "1"), seen: 1 });
    expect((await writeOne(store, late))[0]).toMatchObject({ kind: "conflict" });
    expect((await writeOne(store, remove("never", { fence: true })))[0]).toMatchObject({
      kind: "applied",
      revision: 3,
    });
    expect(await store.getCollection("c")).toMatchObject({ revision: 3, total: { count: 1 }, conflicts: 0 });
  });

  it("writes batches of several collections in order, and skips those that are not there", async () => {
    const store = current();
    const uid = bytesOf(16, 8);
    await createCollection(store, "d", uid);
    const written = await store.write([
      batchOf([put("a", "1")]),
      batchOf([put("a", "1")], { uid: bytesOf(16, 99) }),
      batchOf([put("a", "d")], { uid }),
      batchOf([put("a", "2", { expected: fingerprintOf("a", "1"), seen: 1 })]),
    ]);
    expect(written.map((one) => one && [one.revisionBefore, one.revision])).toEqual([
      [0, 1],
      undefined,
      [0, 1],
      [1, 2],
    ]);
  });

  it("makes nothing of a call in which one batch throws", async () => {
    const store = current();
    await writeOne(store, put("a", "1"), put("b", "1"));
    const before = await store.getCollection("c");
    const answer = (): Uint8Array => {
      throw new Error("no answer");
    };
    const remember = { requestId: "r", digest: bytesOf(32, 1), answer };
    const good = batchOf([put("a", "2", { overrides: 2 }), remove("b"), put("big", "x".repeat(5000))]);
    const write = async () => store.write([good, batchOf([put("c", "1")], { remember })]);
    await expect(write()).rejects.toThrow("no answer");
    expect(await store.getCollection("c")).toEqual(before);
    expect(ids((await store.readChanges(ALL))?.changes)).toEqual(["a", "b"]);
    expect(await store.getConflict(UID, 1)).toBeUndefined();
    expect(await store.getRequest("r")).toBeUndefined();
  });

  it("returns contents as they came", async () => {
    const store = current();
    const contents = [
      "",
      Buffer.alloc(0),
      "nul\0nul",
      "x\0".repeat(600),
      Buffer.from("x\0"),
      "ü\u{1f600}",
      Buffer.alloc(300_000, 5),
    ];
    for (const [index, content] of contents.entries()) await writeOne(store, put(`i${index}`, content));
    await writeOne(store, put("array", new Uint8Array([0, 255])));
    const read = await store.readChanges(ALL);
    const expected = [...contents, Buffer.from([0, 255])];
    for (const [index, change] of (read?.changes ?? []).entries()) {
      const { content } = change;
      expect(typeof content).toBe(typeof expected[index]);
      expect(
        content === undefined || Buffer.from(content as string).equals(Buffer.from(expected[index] as string)),
      ).toBe(true);
      expect(Buffer.from(fingerprintOf(change.id, content ?? "?"))).toEqual(Buffer.from(change.fingerprint ?? []));
    }
    expect(read?.changes).toHaveLength(expected.length);
  });
}

function plainDeletion(id: string, revision: number): StoredChange {
  return { id, revision, fingerprint: undefined, size: 0, modifyTimeUs: 0, group: 0, content: undefined };
}

function describeReads(current: () => Store): void {
  beforeEach(() => createCollection(current()));

  it("reads changes of an empty collection to their end", async () => {
    expect(await current().readChanges(ALL)).toMatchObject({ changes: [], through: 0, end: true, revision: 0 });
  });

  it("never cuts a commit, and reads one however large it is", async () => {
    const store = current();
    const group = Array.from({ length: 20 }, (_, index) => put(`g${index}`, "x".repeat(100), { group: 1 }));
    await writeOne(store, put("a", "1"), ...group, put("z", "1"));
    const first = await store.readChanges({ ...ALL, maxChanges: 1 });
    expect(first).toMatchObject({ through: 1, end: false, revision: 3 });
    const second = await store.readChanges({ ...ALL, after: 1, maxChanges: 1, maxBytes: 1 });
    expect(second?.changes).toHaveLength(20);
    expect(second).toMatchObject({ through: 2, end: false });
    expect(await store.readChanges({ ...ALL, after: 2, maxChanges: 1 })).toMatchObject({ through: 3, end: true });
  });

  it("is at the end when only tombstones that are left out would follow", async () => {
    const store = current();
    await writeOne(store, put("a", "1"), put("b", "1"));
    await writeOne(store, remove("b"));
    const read = await store.readChanges({ ...ALL, maxChanges: 1, tombstonesAfter: 3 });
    expect(ids(read?.changes)).toEqual(["a"]);
    expect(read).toMatchObject({ through: 3, end: true, revision: 3 });
    expect(ids((await store.readChanges({ ...ALL, tombstonesAfter: 2 }))?.changes)).toEqual(["a", "b"]);
  });

  it("ends a page once it has the bytes asked for, counting 64 an item", async () => {
    const store = current();
    await writeOne(store, ...["a", "b", "c", "d"].map((id) => put(id, "x".repeat(35))));
    expect((await store.readChanges({ ...ALL, maxBytes: 200 }))?.changes).toHaveLength(2);
    expect((await store.readChanges({ ...ALL, maxBytes: 201 }))?.changes).toHaveLength(3);
    expect((await store.readChanges({ ...ALL, maxBytes: 195, inlineBytes: 34 }))?.changes).toHaveLength(3);
    expect(await store.listItems({ ...LIST, maxBytes: 130 })).toHaveLength(2);
    expect(await store.listItems({ ...LIST, maxBytes: 1 })).toHaveLength(1);
    expect(await store.listItems({ ...LIST, limit: 3 })).toHaveLength(3);
  });

  it("reads contents up to the inline limit along", async () => {
    const store = current();
    await writeOne(store, put("empty", ""), put("five", "12345"), put("large", "x".repeat(2000)), put("gone", "1"));
    await writeOne(store, remove("gone"));
    const read = async (inlineBytes: number) => {
      const changes = (await store.readChanges({ ...ALL, inlineBytes }))?.changes ?? [];
      const listed = (await store.listItems({ ...LIST, inlineBytes })) ?? [];
      const withContent = (some: readonly StoredChange[]) => ids(some.filter((one) => one.content !== undefined));
      expect(withContent(listed)).toEqual(withContent(changes));
      return withContent(changes);
    };
    expect(await read(-1)).toEqual([]);
    expect(await read(0)).toEqual(["empty"]);
    expect(await read(4)).toEqual(["empty"]);
    expect(await read(5)).toEqual(["empty", "five"]);
    expect(await read(2000)).toEqual(["empty", "five", "large"]);
  });

  it("reads items in the order asked for, up to the bytes asked for", async () => {
    const store = current();
    await writeOne(store, put("a", "12345"), put("b", "x".repeat(1000)), put("c", "1"), put("gone", "1"));
    await writeOne(store, remove("gone"));
    const read = async (wanted: string[], maxBytes: number) =>
      (await store.readItems({ uid: UID, ids: wanted, maxBytes }))?.items.map((item) => item && [item.id, item.size]);
    expect(await read(["c", "none", "a", "gone"], 100)).toEqual([["c", 1], undefined, ["a", 5], ["gone", 0]]);
    expect(await read(["a", "b", "c"], 1004)).toEqual([["a", 5]]);
    expect(await read(["a", "b", "c"], 1005)).toEqual([
      ["a", 5],
      ["b", 1000],
    ]);
    expect(await read(["b", "none", "gone", "c"], 10)).toEqual([["b", 1000]]);
    expect(await read([], 10)).toEqual([]);
    const whole = await store.readItems({ uid: UID, ids: ["b", "gone"], maxBytes: 5000 });
    expect(whole?.revision).toBe(5);
    expect(whole?.items.map((item) => item?.content)).toEqual(["x".repeat(1000), undefined]);
  });

  it("lists ids in the order of their UTF-8 bytes, by prefix", async () => {
    const store = current();
    const names = [
      "\u{10ffff}",
      "\u{10ffff}z",
      "\u{10000}",
      "\uffff",
      "\ue000",
      "\ud7ff",
      "é",
      "z",
      "a",
      "a%",
      "ab",
      "A",
      "a_",
    ];
    await writeOne(store, ...names.map((id) => put(id, "1")), put("gone", "1"));
    await writeOne(store, remove("gone"));
    expect(ids(await store.listItems(LIST))).toEqual(names.toSorted(byteOrder));
    for (const prefix of ["a", "\u{10ffff}", "\ud7ff", "\uffff", "\u{10000}", "é", "none"]) {
      const expected = names.filter((id) => id.startsWith(prefix)).sort(byteOrder);
      expect(ids(await store.listItems({ ...LIST, prefix }))).toEqual(expected);
      expect(ids(await store.listItems({ ...LIST, prefix, after: prefix }))).toEqual(
        expected.filter((id) => id !== prefix),
      );
    }
    expect(ids(await store.listItems({ ...LIST, prefix: "b", after: "a" }))).toEqual([]);
    expect(ids(await store.listItems({ ...LIST, prefix: "a", after: "b" }))).toEqual([]);
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
