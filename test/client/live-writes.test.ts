import { setImmediate as turn } from "node:timers/promises";
import { expect, it } from "vitest";
import { noticeWrites } from "../../client/live-writes.js";
import { createMemoryReplica } from "../../client/replica/memory.js";
import { fingerprintOf } from "../../core/fingerprint.js";

const upsert = (id: string, content: string) => ({ id, upsert: { content, fingerprint: fingerprintOf(id, content) } });

it("tells of all changes of a turn at once, after it, and of none that an exchange makes", async () => {
  let told = 0;
  const notify = (): void => {
    told += 1;
  };
  const store = noticeWrites(createMemoryReplica({ collection: "c" }), { notify, sendsAtOnce: () => false });
  for (let i = 0; i < 10; i++) store.write([upsert(`item ${i}`, "x")], i + 1);
  expect(told).toBe(0);
  await turn();
  expect(told).toBe(1);
  store.settleConflict(1, false, 20);
  store.write([upsert("x", "y")], 21);
  await turn();
  expect(told).toBe(2);
  store.takeOutgoing({ select: { after: 0, through: 100 }, maxBytes: 1000, maxChanges: 10, eager: false });
  store.apply({ actions: [], nowUs: 22 });
  store.get("x");
  await turn();
  expect(told).toBe(2);
});

it("remembers as sent what is sent at once", () => {
  let atOnce = false;
  const listener = { notify: () => undefined, sendsAtOnce: () => atOnce };
  const store = noticeWrites(createMemoryReplica({ collection: "c" }), listener);
  store.write([upsert("a", "x")], 1);
  atOnce = true;
  store.write([upsert("b", "x")], 2);
  expect(store.lookup(["a", "b"]).map(({ sendings }) => sendings.length)).toEqual([0, 1]);
});
