import { expect, test } from "vitest";
import { fingerprintOf } from "../../core/fingerprint.js";
import { createLiveStore } from "../../server/store/live-store.js";
import { createMemoryStore } from "../../server/store/memory.js";
import type { Awaitable } from "../../server/store/store.js";

const uid = Buffer.alloc(16, 9);

function now<T>(value: Awaitable<T>): T {
  if (value instanceof Promise) throw new Error("this store is not synchronous");
  return value;
}

function setUp() {
  const told: number[] = [];
  const held = createMemoryStore({ epoch: Buffer.alloc(8, 1) });
  let reads = 0;
  const store = createLiveStore(
    {
      ...held,
      readChanges(query) {
        reads += 1;
        return held.readChanges(query);
      },
    },
    (_, revision) => void told.push(revision),
  );
  void store.createCollection({ name: "c", uid, standard: 0, nowUs: 1 });
  const put = (id: string, expected: "any" | undefined = undefined) => {
    const upsert = { content: "1", fingerprint: fingerprintOf(id, "1"), size: 1 };
    const write = { id, upsert, modifyTimeUs: 1, expected, seen: 0, group: 0, fence: false, overrides: undefined };
    return now(store.write([{ uid, nowUs: 1, writes: [write] }]))[0];
  };
  const read = (after = 0, inlineBytes = 100) =>
    now(store.readChanges({ uid, after, tombstonesAfter: 0, maxBytes: 1000, maxChanges: 10, inlineBytes }));
  return { store, told, put, read, reads: () => reads };
}

test("readers of the same place get the same page, read once, until something is written", () => {
  const { put, read, reads } = setUp();
  put("a");
  const page = read();
  expect(page?.changes.map(({ id }) => id)).toEqual(["a"]);
  expect(read()).toBe(page);
  expect(reads()).toBe(1);
  expect(read(0, 0)).not.toBe(page);
  expect(read(1)?.changes).toEqual([]);
  put("b");
  expect(read()?.changes.map(({ id }) => id)).toEqual(["a", "b"]);
  expect(read(1)?.changes.map(({ id }) => id)).toEqual(["b"]);
});

test("writes that change something are told, and that a collection is gone", () => {
  const { store, told, put, read } = setUp();
  put("a");
  put("b");
  // There already: nothing is written.
  put("b");
  expect(told).toEqual([1, 2]);
  read();
  now(store.deleteCollection(uid));
  expect(told).toEqual([1, 2, Number.POSITIVE_INFINITY]);
  expect(read()).toBeUndefined();
});

test("a horizon that moves is seen at once", () => {
  const { store, put, read } = setUp();
  put("a");
  expect(read()?.compactedRevision).toBe(0);
  now(store.compact({ uid, through: 1 }));
  expect(read()?.compactedRevision).toBe(1);
});
