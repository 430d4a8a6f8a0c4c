import { createMemoryReplica } from "../../client/replica/memory.js";
import type { ReplicaStore } from "../../client/replica/store.js";
import type { Content } from "../../core/content.js";
import { fingerprintOf } from "../../core/fingerprint.js";
import { createRangeSum, totalOf } from "../../core/range-sum.js";
import type { ServerOperation, ServerResult } from "../../server/protocol/operation.js";
import type { CollectionState } from "../../server/store/collection-state.js";
import { createMemoryStore, type MemoryStore } from "../../server/store/memory.js";
import { after, runOperation } from "../../server/store/run-operation.js";
import type { Awaitable, Store } from "../../server/store/store.js";
import type { WriteBatch } from "../../server/store/write-batch.js";

export const COLLECTION = "things";

let clock = 1_760_000_000_000_000;
/** Microseconds that grow with every call. */
export function nowUs(): number {
  clock += 1000;
  return clock;
}

/** What runs a server's operations on a store, with a clock. */
export function operationsOn(
  store: Store,
  clockUs: () => number,
): (operation: ServerOperation) => Awaitable<ServerResult> {
  const world = {
    store,
    write: (batch: WriteBatch) => after(store.write([batch]), (written) => written[0]),
    newUid: () => Buffer.alloc(16, 7),
    nowUs: clockUs,
  };
  return (operation) => runOperation(world, operation);
}

/** What a synchronous store answers. */
export function now<T>(value: Awaitable<T>): T {
  if (value instanceof Promise) throw new Error("this store is not synchronous");
  return value;
}

/** A server's store in memory, with an empty collection. */
export function newStore(): MemoryStore {
  const store = createMemoryStore({ epoch: Buffer.alloc(8, 1) });
  store.createCollection({ name: COLLECTION, uid: Buffer.alloc(16, 9), standard: 0, nowUs: nowUs() });
  return store;
}

/** An empty replica in memory. */
export function newReplica(seed = 3): ReturnType<typeof createMemoryReplica> {
  return createMemoryReplica({ collection: COLLECTION, replicaId: Buffer.alloc(16, seed) });
}

/** Local changes in one transaction: contents, or null to delete. */
export function change(replica: ReplicaStore, changes: Readonly<Record<string, Content | null>>): void {
  replica.write(
    Object.entries(changes).map(([id, content]) => ({
      id,
      upsert: content === null ? undefined : { content, fingerprint: fingerprintOf(id, content) },
    })),
    nowUs(),
  );
}

/** What the application sees. */
export function contents(replica: ReplicaStore): Record<string, Content> {
  const items = replica.list({ prefix: "", after: "", limit: 1_000_000 });
  return Object.fromEntries(items.map((item) => [item.id, item.content]));
}

/** What the server holds. */
export function serverContents(store: Store): Record<string, Content> {
  const { uid } = serverState(store);
  const query = { uid, prefix: "", after: "", limit: 1_000_000, maxBytes: 1e9, inlineBytes: 1e9 };
  const items = now(store.listItems(query)) ?? [];
  return Object.fromEntries(items.map((item) => [item.id, item.content as Content]));
}

/** The collection as the server has it. */
export function serverState(store: Store): CollectionState {
  const state = now(store.getCollection(COLLECTION));
  if (state === undefined) throw new Error("no collection");
  return state;
}

/** The sum over contents, computed from nothing. */
export function sumOf(items: Readonly<Record<string, Content>>): { count: number; sum: Uint8Array } {
  const sum = createRangeSum();
  for (const [id, content] of Object.entries(items)) sum.add(fingerprintOf(id, content));
  return totalOf(sum);
}
