import fc from "fast-check";
import { expect, test } from "vitest";
import { cutRun, encodedRequest, toColumnsBatch } from "../../client/protocol/encode-pushes.js";
import { runBytes, toPushBatch } from "../../client/protocol/send-content.js";
import type { OutgoingChange } from "../../client/replica/outgoing-batch.js";
import { batchOf, changesOf, columnsOf, type OutgoingColumns } from "../../client/replica/outgoing-columns.js";
import { contentBytes } from "../../core/content.js";
import { fingerprintOf } from "../../core/fingerprint.js";
import { ExchangeRequest, type PushBatch } from "../../gen/tercet/v1/sync.js";

const drafts = fc.record({
  isText: fc.boolean(),
  firstSequence: fc.integer({ min: 1, max: 2 ** 40 }),
  items: fc.array(
    fc.record({
      id: fc.string({ unit: "grapheme", minLength: 1 }).filter((id) => !/\p{Cc}/u.test(id)),
      content: fc.string({ unit: "binary", maxLength: 300 }),
      timeUs: fc.constantFrom(1, 1, 127, 128, 1.7e15),
    }),
    { minLength: 1, maxLength: 20 },
  ),
  seen: fc.constantFrom(undefined, 0, 7, 2 ** 40),
  messageBytes: fc.integer({ min: 1, max: 2000 }),
});

type Draft = typeof drafts extends fc.Arbitrary<infer T> ? T : never;

/** The changes, and the same as columns. */
function build({ isText, firstSequence, items }: Draft) {
  const changes = items.map(({ id, content, timeUs }, at): OutgoingChange => {
    const own = isText ? content : Buffer.from(content);
    const size = contentBytes(content).length;
    const upsert = { content: own, fingerprint: fingerprintOf(id, content), size, upload: undefined };
    const rest = { base: undefined, overrides: undefined, resent: false, group: 0 };
    return { id, sequence: firstSequence + at, upsert, modifyTimeUs: timeUs, ...rest };
  });
  const bytes = items.map(({ id, content }) => Buffer.from(`${id}\0${content}`));
  let at = 0;
  const ends = Uint32Array.from(bytes, (each) => {
    at += each.length;
    return at;
  });
  const columns: OutgoingColumns = {
    count: items.length,
    firstSequence,
    bytes: Buffer.concat(bytes),
    idEnds: ends.map((end, index) => end - Buffer.byteLength(items[index]?.content ?? "") - 1),
    ends,
    maxSize: Math.max(...changes.map(({ upsert }) => upsert?.size ?? 0)),
    isText,
    fingerprints: Buffer.concat(changes.map(({ upsert }) => upsert?.fingerprint as Buffer)),
    timesUs: Float64Array.from(changes, ({ modifyTimeUs }) => modifyTimeUs),
  };
  return { changes, columns };
}

const request = (value: PushBatch) => ExchangeRequest.encode({ message: { $case: "push", value } }).finish();

test("pushes of columns are those of the same changes, also on the wire", () => {
  fc.assert(
    fc.property(drafts, (draft) => {
      const { changes, columns } = build(draft);
      const { seen, messageBytes } = draft;
      const batch = batchOf(columns, true);
      expect(columnsOf(batch)).toBe(columns);
      expect(columnsOf({ ...batch })).toBeUndefined();
      expect({ ...batch }).toEqual({ changes, more: true, skipped: false });
      const runs = cutRun(columns, messageBytes);
      expect(runs.flatMap(changesOf)).toEqual(changes);
      for (const run of runs) {
        expect(run.to === run.from + 1 || runBytes(run) <= messageBytes).toBe(true);
        const plain = toPushBatch(changesOf(run), seen, 0);
        const pushes = toColumnsBatch(run, seen);
        const encoded = encodedRequest(pushes);
        expect({ ...pushes }).toEqual(plain);
        expect(encoded).toEqual(Buffer.from(request(plain)));
        expect(encodedRequest(plain)).toBeUndefined();
      }
    }),
  );
});
