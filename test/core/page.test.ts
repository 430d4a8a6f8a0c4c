import fc from "fast-check";
import { expect, test } from "vitest";
import { contentSize } from "../../core/content.js";
import { fingerprintOf } from "../../core/fingerprint.js";
import { type Change, fromPageChanges, toChangeInfo, toPageChanges } from "../../core/page.js";
import { ChangePage } from "../../gen/tercet/v1/sync.js";

const text = fc.string({ unit: "binary", maxLength: 20 }).filter((value) => value.isWellFormed());
const change = fc
  .record({
    id: text.filter((id) => id.length > 0),
    content: fc.oneof(text, fc.uint8Array({ maxLength: 20 })),
    shape: fc.constantFrom("inline", "told", "deleted"),
    step: fc.constantFrom(0, 1, 1, 1, 7),
    modifyTimeUs: fc.constantFrom(1, 2, 1_760_000_000_000_000),
  })
  .map((each) => each);

/** Changes as a store would read them: revisions that never go down, the same one for a commit of several. */
const changes = fc.array(change, { maxLength: 20 }).map((all) => {
  let revision = 0;
  return all.map(({ id, content, shape, step, modifyTimeUs }): Change => {
    revision = Math.max(revision + step, 1);
    const common = { id, revision, modifyTimeUs, group: step === 0 ? revision : 0 };
    if (shape === "deleted") return { ...common, fingerprint: undefined, size: 0, content: undefined };
    const size = contentSize(content);
    const carried = typeof content === "string" ? content : Buffer.from(content);
    return {
      ...common,
      fingerprint: fingerprintOf(id, content),
      size,
      content: shape === "inline" ? carried : undefined,
    };
  });
});

function overTheWire(page: ReturnType<typeof toPageChanges>): ChangePage {
  const message = { ...page, checkpoint: undefined, end: false, proof: undefined };
  return ChangePage.decode(ChangePage.encode(message).finish());
}

test("what a page leaves out, its reader fills in", () => {
  fc.assert(
    fc.property(changes, (original) => {
      const read = fromPageChanges(overTheWire(toPageChanges(original)));
      expect(read.doubtful).toEqual([]);
      expect(read.unknown).toEqual([]);
      expect(read.changes.map((each) => ({ ...each, size: 0 }))).toEqual(
        original.map((each) => ({ ...each, size: 0 })),
      );
    }),
  );
});

test("a content that was changed on the way is noticed", () => {
  fc.assert(
    fc.property(changes, fc.nat(), (original, which) => {
      const page = overTheWire(toPageChanges(original));
      const inline = page.changes.filter((info) => info.content !== undefined);
      const victim = inline[which % Math.max(inline.length, 1)];
      if (victim?.content === undefined) return;
      victim.content = { $case: "text", value: `${victim.content.value.toString()}!` };
      // Which of those that the page's sum covers it was can't be told.
      const read = fromPageChanges(page);
      expect(read.doubtful.map((each) => each.id)).toContain(victim.id);
      expect(read.changes.map((each) => each.id)).not.toContain(victim.id);
    }),
  );
});

test("an unknown kind or algorithm is that change's fault only", () => {
  const good = toChangeInfo({
    id: "a",
    revision: 1,
    fingerprint: fingerprintOf("a", "x"),
    size: 1,
    modifyTimeUs: 1,
    group: 0,
    content: undefined,
  });
  const read = fromPageChanges({
    changes: [
      good,
      { ...good, id: "b", kind: 9 as 1 },
      { ...good, id: "c", fingerprint: { algorithm: 7 as 1, value: Buffer.alloc(32) } },
      { ...good, id: "d", fingerprint: undefined },
    ],
    fingerprint: undefined,
  });
  expect(read.changes.map((each) => each.id)).toEqual(["a"]);
  expect(read.unknown.map((each) => each.id)).toEqual(["b", "c", "d"]);
});

test("a content that came with its own fingerprint is checked against that", () => {
  const change = { id: "a", revision: 1, fingerprint: fingerprintOf("a", "x"), size: 1, modifyTimeUs: 1, group: 0 };
  const info = toChangeInfo({ ...change, content: "x" });
  expect(fromPageChanges({ changes: [info], fingerprint: undefined })).toMatchObject({
    changes: [change],
    doubtful: [],
  });
  info.content = { $case: "text", value: "damaged" };
  const read = fromPageChanges({ changes: [info], fingerprint: undefined });
  expect(read.changes).toEqual([]);
  expect(read.doubtful).toMatchObject([{ id: "a" }]);
});
