import { expect, test } from "vitest";
import { decide } from "../../client/protocol/compare-changes.js";
import { createRecovery } from "../../client/protocol/recovery.js";
import type { FinerRange } from "../../client/protocol/refine-ranges.js";
import type { LocalState } from "../../client/replica/local-state.js";
import { fingerprintOf } from "../../core/fingerprint.js";
import { LEAF_ITEMS, MAX_QUERY_ITEMS, MAX_QUERY_RANGES, SHORT_PRINT_BYTES } from "../../core/reconcile.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import { type RangeAnswers, RangeOutcome, type RangeQuery } from "../../gen/tercet/v1/sync.js";

const NOTHING = createBlank();

/** A range whose bases are all compared item by item. */
function leaf(at: number): FinerRange {
  const from = `i${String(at).padStart(6, "0")}`;
  return { interval: { from, to: `${from}x` }, total: { count: LEAF_ITEMS, sum: Buffer.alloc(32) }, byItems: true };
}

function createBlank(): Omit<RangeAnswers, "outcomes"> {
  const head = { token: Buffer.of(1), revision: 1 };
  const none = { parts: [], counts: [], sums: Buffer.alloc(0), lists: [], ends: { shared: [], rest: [] } };
  return { ...none, head, forkRevision: 0, compactedRevision: 0, lineage: [], witness: undefined };
}

test("however many ranges differ, a query is within its limits, and few items are without an answer", () => {
  const ranges = Array.from({ length: 10_000 }, (_, at) => leaf(at));
  const queries: RangeQuery[] = [];
  let held = 0;
  let complete = false;
  const recovery = createRecovery({
    ask(operation, then) {
      if (operation.kind === "refine") then({ kind: "refine", ranges });
      if (operation.kind === "creations") then({ kind: "creations", states: [] });
      if (operation.kind !== "entries") return;
      const entries = Array.from({ length: LEAF_ITEMS }, () => ({ id: "", fingerprint: Buffer.alloc(32) }));
      held += operation.ranges.length * LEAF_ITEMS;
      then({
        kind: "entries",
        ranges: operation.ranges.map(({ interval, total }) => ({ interval, total, entries })),
      });
    },
    send: (query) => queries.push(query),
    found: (_changes, _doubtful, _trip, then) => then(),
    complete: () => {
      complete = true;
    },
    fail: (fault) => expect.unreachable(fault.message),
    lostAfter: () => 0,
    rebinds: () => false,
    windowItems: () => 100_000,
  });
  recovery.begin();
  let answered = 0;
  for (let at = 0; at < queries.length; at++) {
    const { counts, kinds, items } = queries[at] as RangeQuery;
    expect(items.length / SHORT_PRINT_BYTES).toBe(counts.reduce((sum, count) => sum + count, 0));
    expect(items.length / SHORT_PRINT_BYTES).toBeLessThanOrEqual(MAX_QUERY_ITEMS / 2);
    expect(kinds.length).toBeLessThanOrEqual(MAX_QUERY_RANGES);
    expect(held).toBeLessThanOrEqual(MAX_QUERY_ITEMS);
    const outcomes = counts.map(() => RangeOutcome.RANGE_OUTCOME_EQUAL);
    held -= counts.length * LEAF_ITEMS;
    answered += counts.length;
    recovery.receive({ ...NOTHING, outcomes });
  }
  expect(answered).toBe(ranges.length);
  expect(complete).toBe(true);
});

test("a creation that was sent, and deleted here since, stays to be deleted where the server knows nothing of it", () => {
  // What was sent may be under way yet, and would be made by the time it comes (simulation, seed 1900).
  const local = {
    id: "x",
    sequence: 2,
    sent: undefined,
    base: undefined,
    modifyTimeUs: 1,
    group: 0,
    pending: { fingerprint: undefined, modifyTimeUs: 1, held: false },
    sendings: [fingerprintOf("x", "sent")],
  } as unknown as LocalState;
  const change = {
    id: "x",
    revision: 3,
    fingerprint: undefined,
    size: 0,
    modifyTimeUs: 0,
    group: 0,
    content: undefined,
  };
  const circumstances = {
    standard: ChangeStandard.CHANGE_STANDARD_SERVER,
    ceilingUs: 9,
    fork: { shared: 3, lostAfter: 3, head: 3, isOther: false },
    follows: false,
    rejudges: false,
    stops: false,
  };
  expect(decide(local, { ...change, presumed: true }, circumstances, false)).toBeUndefined();
  // Its deletion was told: nothing that was sent before it can be made any more.
  expect(decide(local, change, circumstances, false)?.comparison).toBe("agreed");
});
