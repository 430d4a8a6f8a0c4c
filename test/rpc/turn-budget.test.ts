import { expect, test } from "vitest";
import { streamOver } from "../../scripts/conformance/stream-client.js";
import { createTurnBudget } from "../../server/rpc/turn-budget.js";
import { createMemoryStore } from "../../server/store/memory.js";
import { startBareServer } from "./bare-server.js";
import { batch, upsert } from "./build.js";

/** A budget on a clock and with turns by hand. */
function byHand() {
  let nowMs = 0;
  let waiting: (() => void)[] = [];
  const budget = createTurnBudget(
    () => nowMs,
    (next) => void waiting.push(next),
  );
  const events: string[] = [];
  return {
    events,
    take(stream: string, ms: number) {
      budget.spend(
        () => {
          nowMs += ms;
        },
        () => {
          events.push(`${stream} rests`);
          return () => void events.push(`${stream} goes on`);
        },
      );
    },
    nextTurn() {
      const due = waiting;
      waiting = [];
      for (const next of due) next();
    },
  };
}

test("a stream rests once a turn's time is used up, and goes on in the next turn with all of it", () => {
  const { events, take, nextTurn } = byHand();
  take("a", 3);
  take("a", 1);
  expect(events).toEqual([]);
  take("a", 1);
  expect(events).toEqual(["a rests"]);
  nextTurn();
  expect(events).toEqual(["a rests", "a goes on"]);
  take("a", 4);
  nextTurn();
  expect(events).toHaveLength(2);
});

test("all streams share a turn's time", () => {
  const { events, take, nextTurn } = byHand();
  take("a", 5);
  take("b", 1);
  nextTurn();
  expect(events).toEqual(["a rests", "b rests", "a goes on", "b goes on"]);
});

test("work that throws counts, too, and throws", () => {
  const waiting: (() => void)[] = [];
  let nowMs = 0;
  const budget = createTurnBudget(
    () => nowMs,
    (next) => void waiting.push(next),
  );
  let rested = 0;
  const fail = () =>
    budget.spend(
      () => {
        nowMs += 5;
        throw new Error("no message");
      },
      () => {
        rested += 1;
        return () => undefined;
      },
    );
  expect(fail).toThrow("no message");
  expect(rested).toBe(1);
  expect(waiting).toHaveLength(1);
});

test("an exchange that rests after every message takes all of them, and ends", async () => {
  let nowMs = 0;
  let turns = 0;
  const budget = createTurnBudget(
    () => {
      nowMs += 5;
      return nowMs;
    },
    (next) => {
      turns += 1;
      setImmediate(next);
    },
  );
  const bare = await startBareServer(createMemoryStore({ epoch: Buffer.alloc(8, 1) }), budget);
  try {
    const stream = streamOver(bare.client);
    stream.open({ collection: "c", create: true });
    const ids = Array.from({ length: 12 }, (_, index) => `item ${index}`);
    for (const id of ids) stream.send(batch([upsert(id, id.repeat(5000))]));
    stream.done();
    stream.end();
    await stream.skipTo("opened");
    const { verdicts } = await stream.untilProof();
    expect(verdicts.reduce((sum, { count }) => sum + count, 0)).toBe(ids.length);
    expect(await stream.status()).toMatchObject({ code: 0 });
    expect(turns).toBe(ids.length);
  } finally {
    bare.stop();
  }
});
