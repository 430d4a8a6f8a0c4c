import { expect, test } from "vitest";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import { exchange, type PairOutcome } from "./pair.js";
import { clean, elsewhere, together } from "./together.js";
import { change, contents, serverContents } from "./world.js";

const CLIENT = ChangeStandard.CHANGE_STANDARD_CLIENT;

/** What the server said, in its order. */
function said({ responses }: PairOutcome): (string | undefined)[] {
  return responses.map(({ message }) => message?.$case);
}

/** Both sides have changed something, the client so much; what it sends with its opening message arrives with it. */
function bothChanged(bytes: number) {
  const { store, replica } = together({ x: "old", y: "old" });
  change(replica, { x: "mine".padEnd(bytes, ".") });
  elsewhere(store, { y: "theirs" });
  const outcome = clean(exchange({ store, replica, gathers: true, lockstep: true }));
  expect(contents(replica)).toEqual(serverContents(store));
  expect(outcome.report).toMatchObject({ sent: 1, received: 1, conflictCount: 0 });
  expect([outcome.trips, outcome.report.roundTrips]).toEqual([1, 1]);
  return outcome;
}

test("what others have made goes out before long pushes are worked on", () => {
  expect(said(bothChanged(40_000))).toEqual(["opened", "page", "verdicts", "page"]);
});

test("short pushes are worked on at once, and all is in one page", () => {
  expect(said(bothChanged(1000))).toEqual(["opened", "verdicts", "page"]);
});

test("only some pages go before them, however much others have made", () => {
  const { store, replica } = together({ x: "old" });
  change(replica, { x: "mine".padEnd(40_000, ".") });
  elsewhere(store, Object.fromEntries(Array.from({ length: 100 }, (_, at) => [`item-${at}`, "x".repeat(10_000)])));
  const outcome = clean(exchange({ store, replica, gathers: true, lockstep: true }));
  const kinds = said(outcome);
  expect(kinds.slice(0, 6)).toEqual(["opened", "page", "page", "page", "page", "verdicts"]);
  expect(kinds.filter((kind) => kind === "page").length).toBeGreaterThan(7);
  expect(contents(replica)).toEqual(serverContents(store));
});

test("a conflict that a page tells of before the verdict takes as many round trips as one that a verdict tells of", () => {
  for (const bytes of [1000, 40_000]) {
    const { store, replica } = together({ x: "old" });
    change(replica, { x: "mine".padEnd(bytes, ".") });
    elsewhere(store, { x: "theirs" });
    const outcome = clean(exchange({ store, replica, gathers: true, lockstep: true, standard: CLIENT }));
    expect(outcome.report).toMatchObject({ conflictCount: 1, sent: 1 });
    expect([outcome.trips, outcome.report.roundTrips]).toEqual([2, 2]);
    expect(serverContents(store)).toEqual({ x: "mine".padEnd(bytes, ".") });
  }
});
