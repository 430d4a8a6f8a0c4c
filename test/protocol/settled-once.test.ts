import { expect, test } from "vitest";
import { createOutflow } from "../../client/protocol/outflow.js";
import { createReportBuilder } from "../../client/protocol/report.js";
import { settleVerdicts } from "../../client/protocol/settle-verdicts.js";
import { DEFAULT_LIMITS } from "../../core/limits.js";
import { PushOutcome, Verdict } from "../../gen/tercet/v1/sync.js";
import { newReplica } from "./world.js";

const SEQUENCE = 7;

/** The server already had what was pushed; the change feed told so before the verdict came, or not. */
function settledCount(agreedBefore: boolean): number {
  const outflow = createOutflow(newReplica(1).state(), () => DEFAULT_LIMITS);
  const report = createReportBuilder();
  outflow.window.add({
    id: "x",
    sequence: SEQUENCE,
    fingerprint: undefined,
    bytes: 1,
    trip: 1,
    again: false,
    resent: false,
  });
  if (agreedBefore) {
    report.counts.settled += 1;
    outflow.window.agree(SEQUENCE);
  }
  const verdict = { ...Verdict.create(), count: 1, outcome: PushOutcome.PUSH_OUTCOME_ALREADY_APPLIED, revision: 3 };
  const settlement = settleVerdicts([verdict], { outflow, report, revision: DEFAULT_LIMITS.inlineBytes });
  expect(settlement).toMatchObject({ actions: [{ kind: "settle", id: "x", revision: 3 }] });
  return report.counts.settled;
}

test("what both sides changed into the same is counted once, whether feed or verdict tells it first", () => {
  expect(settledCount(false)).toBe(1);
  expect(settledCount(true)).toBe(1);
});

test("a change that is not on its way leaves nothing behind", () => {
  const { window } = createOutflow(newReplica(1).state(), () => DEFAULT_LIMITS);
  window.agree(SEQUENCE);
  window.add({ id: "x", sequence: SEQUENCE, fingerprint: undefined, bytes: 1, trip: 1, again: false, resent: false });
  expect(window.agreed(SEQUENCE)).toBe(false);
});
