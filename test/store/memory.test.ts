import { expect, it } from "vitest";
import { createMemoryStore, type MemoryStore } from "../../server/store/memory.js";
import { bytesOf, createCollection, EPOCH, put, writeOne } from "./build.js";
import { describeStore } from "./contract.js";

describeStore("memory", () => {
  let store: MemoryStore = createMemoryStore({ epoch: EPOCH });
  let epochs = 1;
  return Promise.resolve({
    store,
    reopen() {
      epochs += 1;
      store = store.clone(bytesOf(8, epochs));
      return Promise.resolve(store);
    },
    cleanup: () => Promise.resolve(),
  });
});

it("a copy and what it was made of go their own ways", async () => {
  const store = createMemoryStore({ epoch: EPOCH });
  await createCollection(store);
  await writeOne(store, put("a", "1"), put("b", "1"));
  const backup = store.clone(bytesOf(8, 2));
  await writeOne(store, put("a", "2", { overrides: 2 }), put("c", "1"));
  await writeOne(backup, put("b", "backup"));
  expect(await store.getCollection("c")).toMatchObject({ revision: 4, conflicts: 1, lineage: [{ firstRevision: 1 }] });
  expect(await backup.getCollection("c")).toMatchObject({
    revision: 3,
    conflicts: 0,
    lineage: [{ id: EPOCH }, { id: bytesOf(8, 2), firstRevision: 3 }],
  });
});
