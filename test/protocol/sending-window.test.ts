import fc from "fast-check";
import { expect, test } from "vitest";
import {
  createSendingWindow,
  isRun,
  runBytes,
  type SendingRun,
  sendingsOf,
} from "../../client/protocol/send-content.js";
import type { OutgoingColumns } from "../../client/replica/outgoing-columns.js";
import { fingerprintOf } from "../../core/fingerprint.js";

/** So many creations with empty contents. */
function columnsOf(count: number, firstSequence: number): OutgoingColumns {
  const ids = Array.from({ length: count }, (_, at) => `item-${firstSequence + at}`);
  let at = 0;
  const ends = Uint32Array.from(ids, (id) => {
    at += id.length + 1;
    return at;
  });
  return {
    count,
    firstSequence,
    bytes: Buffer.from(ids.map((id) => `${id}\0`).join("")),
    idEnds: ends.map((end) => end - 1),
    ends,
    maxSize: 0,
    isText: true,
    fingerprints: Buffer.concat(ids.map((id) => fingerprintOf(id, ""))),
    timesUs: new Float64Array(count),
  };
}

const step = fc.oneof(
  fc.record({ kind: fc.constant("run" as const), count: fc.integer({ min: 1, max: 6 }) }),
  fc.record({ kind: fc.constant("single" as const) }),
  fc.record({ kind: fc.constant("take" as const), count: fc.integer({ min: 1, max: 9 }) }),
  fc.record({ kind: fc.constant("agree" as const), sequence: fc.integer({ min: 1, max: 30 }) }),
  fc.record({ kind: fc.constant("displace" as const), sequence: fc.integer({ min: 1, max: 30 }) }),
);

test("creations on their way in a run are what they are one by one", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const runs = createSendingWindow();
      const singles = createSendingWindow();
      let sequence = 1;
      let ordinal = 0;
      const both = [runs, singles];
      for (const each of steps) {
        if (each.kind === "run") {
          const run: SendingRun = { columns: columnsOf(each.count, sequence), from: 0, to: each.count, trip: 2 };
          runs.addRun(run);
          for (const sending of sendingsOf(run)) singles.add(sending);
          expect(sendingsOf(run).reduce((sum, { bytes }) => sum + bytes, 0)).toBe(runBytes(run));
          sequence += each.count;
        } else if (each.kind === "single") {
          const [id, fingerprint] = [`item-${sequence}`, undefined];
          const sending = { id, sequence, fingerprint, bytes: 70, trip: 3, again: true, resent: true };
          for (const window of both) window.add(sending);
          sequence += 1;
        } else if (each.kind === "agree") for (const window of both) window.agree(each.sequence);
        else if (each.kind === "displace") for (const window of both) window.displace(`item-${each.sequence}`);
        else {
          const [some, others] = both.map((window) => {
            const parts = window.take(ordinal, each.count);
            return parts?.flatMap((part) => (isRun(part) ? sendingsOf(part) : [part]));
          });
          expect(some).toEqual(others);
          if (some === undefined || others === undefined) continue;
          ordinal += each.count;
          expect(some.map((sending) => runs.agreed(sending.sequence))).toEqual(
            others.map((sending) => singles.agreed(sending.sequence)),
          );
          // Only one by one can one be told from another.
          const displaced = others.map((sending) => singles.displaced(sending));
          if (displaced.includes(true)) expect(some.map((sending) => runs.displaced(sending))).toEqual(displaced);
        }
        expect([runs.items, runs.bytes]).toEqual([singles.items, singles.bytes]);
        for (let at = 1; at <= sequence; at++) {
          expect([runs.has(at), runs.isFirst(at)]).toEqual([singles.has(at), singles.isFirst(at)]);
        }
      }
    }),
  );
});
