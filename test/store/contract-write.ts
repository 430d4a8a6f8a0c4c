import { beforeEach, expect, it } from "vitest";
import { fingerprintOf } from "../../core/fingerprint.js";
import type { StoredChange } from "../../server/store/item-reads.js";
import type { Store } from "../../server/store/store.js";
import { ALL, batchOf, bytesOf, createCollection, ids, LIST, put, remove, UID, writeOne } from "./build.js";

/** What Store.write must do. */
export function describeWrites(current: () => Store): void {
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
