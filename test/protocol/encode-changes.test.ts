import fc from "fast-check";
import { expect, test } from "vitest";
import { contentBytes } from "../../core/content.js";
import { fingerprintOf } from "../../core/fingerprint.js";
import { toPageChanges } from "../../core/page.js";
import { ChangePage } from "../../gen/tercet/v1/sync.js";
import { encodedPage, toColumnsPage } from "../../server/protocol/encode-changes.js";
import { type ChangeColumns, columnsOf, readOf } from "../../server/store/change-columns.js";
import type { StoredChange } from "../../server/store/item-reads.js";

const STATE = { through: 9, end: true, revision: 9, total: { count: 0, sum: Buffer.alloc(32) }, lineage: [] };

const drafts = fc.record({
  isText: fc.boolean(),
  items: fc.array(
    fc.record({
      id: fc.string({ unit: "grapheme", minLength: 1 }).filter((id) => !/\p{Cc}/u.test(id)),
      content: fc.string({ unit: "binary", maxLength: 300 }),
      step: fc.constantFrom(1, 1, 2, 300, 2 ** 40),
      timeUs: fc.constantFrom(0, 1, 127, 128, 1.7e15),
    }),
    { minLength: 1, maxLength: 20 },
  ),
});

/** Where each of these ends, one behind the other. */
function endsOf(parts: readonly Buffer[]): Uint32Array {
  let at = 0;
  return Uint32Array.from(parts, (part) => {
    at += part.length;
    return at;
  });
}

type Draft = typeof drafts extends fc.Arbitrary<infer T> ? T : never;

/** The changes, and the same as columns. */
function build({ isText, items }: Draft) {
  let revision = 0;
  const changes = items.map(({ id, content, step, timeUs }): StoredChange => {
    revision += step;
    const bytes = contentBytes(content);
    const fingerprint = fingerprintOf(id, content);
    const own = isText ? content : Buffer.from(bytes);
    return { id, revision, fingerprint, size: bytes.length, modifyTimeUs: timeUs, group: 0, content: own };
  });
  const ids = changes.map(({ id }) => Buffer.from(`${id}\n`));
  const contents = items.map(({ content }) => Buffer.from(content));
  const columns: ChangeColumns = {
    count: changes.length,
    ids: Buffer.concat(ids),
    idEnds: endsOf(ids).map((end) => end - 1),
    contents: Buffer.concat(contents),
    contentEnds: endsOf(contents),
    isText,
    fingerprints: Buffer.concat(changes.map(({ fingerprint }) => fingerprint as Buffer)),
    revisions: Float64Array.from(changes, (change) => change.revision),
    timesUs: Float64Array.from(changes, (change) => change.modifyTimeUs),
  };
  return { changes, columns };
}

test("a page of columns is the page of the same changes, also on the wire", () => {
  fc.assert(
    fc.property(drafts, (draft) => {
      const { changes, columns } = build(draft);
      const read = readOf(columns, { ...STATE, compactedRevision: 0 });
      expect(columnsOf(read)).toBe(columns);
      expect(columnsOf({ ...read })).toBeUndefined();
      expect(read.changes).toEqual(changes);
      const rest = { checkpoint: { token: Buffer.from("t"), revision: 9 }, end: true, proof: undefined };
      const page = toColumnsPage(read, columns, rest);
      const plain: ChangePage = { ...toPageChanges(changes), ...rest };
      expect({ ...page }).toEqual(plain);
      expect(Buffer.concat(encodedPage(page) ?? [])).toEqual(Buffer.from(ChangePage.encode(plain).finish()));
      expect(encodedPage(plain)).toBeUndefined();
    }),
  );
});
