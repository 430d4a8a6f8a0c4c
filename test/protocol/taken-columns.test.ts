import { expect, test } from "vitest";
import type { MemoryReplica } from "../../client/replica/memory.js";
import type { ReplicaStore } from "../../client/replica/store.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import type { ExchangeResponse } from "../../gen/tercet/v1/sync.js";
import type { MemoryStore } from "../../server/store/memory.js";
import { exchange } from "./pair.js";
import { change, newReplica, newStore } from "./world.js";

const CLIENT = ChangeStandard.CHANGE_STANDARD_CLIENT;
const id = (at: number) => `é${String(at).padStart(4, "0")}`;

function storeOf(items: Record<string, string | null>): MemoryStore {
  const store = newStore();
  const other = newReplica(99);
  change(other, items);
  exchange({ store, replica: other, standard: CLIENT });
  return store;
}

/** Counts what comes in columns, and by actions. */
function counted(replica: MemoryReplica): { replica: ReplicaStore; items: number; actions: number } {
  const count = { items: 0, actions: 0, replica: replica as ReplicaStore };
  count.replica = {
    ...replica,
    apply(batch) {
      count.items += batch.items?.count ?? 0;
      count.actions += batch.actions.length;
      return replica.apply(batch);
    },
  };
  return count;
}

/** A copy of a page has no columns. */
function withoutColumns(response: ExchangeResponse): ExchangeResponse {
  const { message } = response;
  return message?.$case === "page" ? { message: { $case: "page", value: { ...message.value } } } : response;
}

const all = Object.fromEntries(Array.from({ length: 300 }, (_, at) => [id(at), `content ${at}`]));

test("a first pull is taken in columns", () => {
  const store = storeOf(all);
  const count = counted(newReplica(1));
  const { report } = exchange({ store, replica: count.replica });
  expect(count).toMatchObject({ items: 300, actions: 0 });
  expect(report).toMatchObject({ verified: true, inline: 300, received: 300 });
  expect(count.replica.get(id(7))?.content).toBe("content 7");
});

test("what is known is compared, with columns and without", () => {
  const store = storeOf(all);
  const outcomes = [withoutColumns, (same: ExchangeResponse) => same].map((tamperResponse) => {
    const replica = newReplica(1);
    change(replica, { [id(3)]: "content 3", [id(5)]: "mine", other: "mine" });
    const count = counted(replica);
    const { report } = exchange({ store: store.clone(Buffer.alloc(8, 7)), replica: count.replica, tamperResponse });
    const items = replica.list({ prefix: "", after: "", limit: 1000 }).map(({ id: of, content }) => [of, content]);
    return { took: count.items, told: { report, items } };
  });
  expect(outcomes.map(({ took }) => took)).toEqual([0, 300]);
  expect(outcomes[1]?.told).toEqual(outcomes[0]?.told);
});
