import fc from "fast-check";
import { expect, test } from "vitest";
import { ErrorReason } from "../../gen/tercet/v1/error.js";
import { PushOutcome } from "../../gen/tercet/v1/sync.js";
import { mergeResults, type PushResult, toVerdicts } from "../../server/protocol/verdict.js";

const fault = { reason: ErrorReason.ERROR_REASON_INVALID_ID, message: "no" };

test("a deletion of an item that there is no trace of is settled as of now, later than any base", () => {
  const validated = [{ write: 1 }, { fault }, { write: 2 }];
  const outcomes = [
    { kind: "already" as const, revision: 0 },
    { kind: "already" as const, revision: 3 },
  ];
  expect(mergeResults(validated, { outcomes, revision: 9 })).toEqual([
    { kind: "already", revision: 9 },
    { kind: "rejected", fault },
    { kind: "already", revision: 3 },
  ]);
});

test("verdicts on pushes in a row say the same as one for each", () => {
  const result: fc.Arbitrary<PushResult> = fc.oneof(
    fc.record({
      kind: fc.constant("applied" as const),
      revision: fc.integer({ min: 1, max: 5 }),
      group: fc.constantFrom(0, 0, 2),
    }),
    fc.record({ kind: fc.constant("already" as const), revision: fc.integer({ min: 1, max: 3 }) }),
    fc.constant({ kind: "compare-first" as const }),
    fc.constant({ kind: "rejected" as const, fault }),
  );
  fc.assert(
    fc.property(fc.array(result, { maxLength: 30 }), fc.nat(1000), (results, first) => {
      const verdicts = toVerdicts(results, first);
      const spread = verdicts.flatMap((verdict) =>
        Array.from({ length: verdict.count }, (_, index) => ({
          ordinal: verdict.ordinal + index,
          outcome: verdict.outcome,
          revision: verdict.revision + (verdict.outcome === 1 && !verdict.oneRevision ? index : 0),
        })),
      );
      const expected = results.map((each, index) => ({
        ordinal: first + index,
        outcome: {
          applied: PushOutcome.PUSH_OUTCOME_APPLIED,
          already: PushOutcome.PUSH_OUTCOME_ALREADY_APPLIED,
          "compare-first": PushOutcome.PUSH_OUTCOME_COMPARE_FIRST,
          rejected: PushOutcome.PUSH_OUTCOME_REJECTED,
          conflict: PushOutcome.PUSH_OUTCOME_CONFLICT,
          "group-conflict": PushOutcome.PUSH_OUTCOME_CONFLICT,
        }[each.kind],
        revision: "revision" in each ? each.revision : 0,
      }));
      expect(spread).toEqual(expected);
    }),
  );
});
