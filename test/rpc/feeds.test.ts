import { expect, test } from "vitest";
import { createFeeds } from "../../server/rpc/feeds.js";

const A = Buffer.alloc(16, 1);
const B = Buffer.alloc(16, 2);

/** Feeds whose turns of the event loop are taken by hand. */
function byHand() {
  const turns: (() => void)[] = [];
  const feeds = createFeeds(
    (next) => void turns.push(next),
    (first) => void turns.push(first),
  );
  const turn = (): boolean => {
    const next = turns.shift();
    next?.();
    return next !== undefined;
  };
  return { feeds, turn };
}

test("listeners hear of their collection, once for all that came in one turn", () => {
  const { feeds, turn } = byHand();
  const heard: [string, number][] = [];
  feeds.listen(A, (revision) => heard.push(["a", revision]));
  feeds.listen(B, (revision) => heard.push(["b", revision]));
  feeds.advanced(A, 1);
  feeds.advanced(A, 3);
  feeds.advanced(A, 2);
  expect(heard).toEqual([]);
  while (turn());
  expect(heard).toEqual([["a", 3]]);
  feeds.advanced(A, 3);
  expect(turn()).toBe(false);
});

test("many listeners are told over several turns, and what comes meanwhile with the next round", () => {
  const { feeds, turn } = byHand();
  const heard: number[] = [];
  for (let index = 0; index < 1000; index++) feeds.listen(A, (revision) => void heard.push(revision));
  feeds.advanced(A, 1);
  turn();
  const first = heard.length;
  expect(first).toBeGreaterThan(0);
  expect(first).toBeLessThan(1000);
  feeds.advanced(A, 2);
  while (turn());
  // Whoever was not told yet hears of both at once, and the round that follows misses nobody.
  expect(heard.filter((revision) => revision === 1)).toHaveLength(first);
  expect(heard.slice(-1000)).toEqual(new Array(1000).fill(2));
});

test("a listener that throws is heard of, and keeps nobody from hearing", async () => {
  const { feeds, turn } = byHand();
  const heard: number[] = [];
  feeds.listen(A, () => {
    throw new Error("of its own");
  });
  feeds.listen(A, (revision) => void heard.push(revision));
  const thrown = new Promise((resolve) => process.once("uncaughtException", resolve));
  const others = process.listeners("uncaughtException").slice(0, -1);
  for (const other of others) process.off("uncaughtException", other);
  feeds.advanced(A, 1);
  while (turn());
  expect(await thrown).toMatchObject({ message: "of its own" });
  for (const other of others) process.on("uncaughtException", other);
  feeds.advanced(A, 2);
  expect(heard).toEqual([1]);
});

test("who has left hears nothing, even of a round that is under way", () => {
  const { feeds, turn } = byHand();
  const leave: (() => void)[] = [];
  let heard = 0;
  const count = (): void => {
    heard += 1;
  };
  for (let index = 0; index < 300; index++) leave.push(feeds.listen(A, count));
  feeds.advanced(A, 1);
  turn();
  for (const each of leave) each();
  const before = heard;
  while (turn());
  expect(heard).toBe(before);
});
