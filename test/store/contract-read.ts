import { beforeEach, expect, it } from "vitest";
import type { StoredChange } from "../../server/store/item-reads.js";
import type { Store } from "../../server/store/store.js";
import { ALL, createCollection, ids, LIST, put, remove, UID, writeOne } from "./build.js";
import { byteOrder } from "./model.js";

/** What readChanges, readItems and listItems must do. */
export function describeReads(current: () => Store): void {
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
