import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ConflictingVersions, type MergeJsonOptions, mergeJson, type ResolverAnswer } from "../../client/index.js";

type OnOverlap = MergeJsonOptions["onOverlap"];

function merge(base: unknown, mine: unknown, theirs: unknown, onOverlap: OnOverlap = "hold"): unknown {
  const answer = mergeJson({ onOverlap })(versions(base, mine, theirs)) as ResolverAnswer;
  if (answer === "mine") return mine;
  if (answer === "theirs") return theirs;
  return typeof answer === "object" && "content" in answer ? JSON.parse(String(answer.content)) : answer;
}

function versions(base: unknown, mine: unknown, theirs: unknown): ConflictingVersions {
  const text = (value: unknown) => (value === undefined ? undefined : JSON.stringify(value));
  const times = { mineTime: new Date(1), theirsTime: new Date(2) };
  return { id: "a", base: text(base), mine: text(mine), theirs: text(theirs), ...times };
}

const leaf = fc.oneof(
  fc.integer(),
  fc.boolean(),
  fc.constant(null),
  fc.string({ maxLength: 3 }),
  fc.array(fc.nat(3), { maxLength: 3 }),
);
const key = fc.constantFrom("a", "b", "c", "__proto__", "constructor");
/** Objects in objects, made of few keys so that they meet. JSON has no -0 and no prototypes. */
const { object } = fc.letrec<{ object: object; value: unknown }>((tie) => ({
  object: fc
    .array(fc.tuple(key, tie("value")), { maxLength: 4 })
    .map((entries) => JSON.parse(JSON.stringify(Object.fromEntries(entries))) as object),
  value: fc.oneof({ maxDepth: 2 }, leaf, tie("object")),
}));

describe("merging JSON by its base", () => {
  it("takes what one side changed, and nothing else", () => {
    fc.assert(
      fc.property(object, object, (base, changed) => {
        expect(merge(base, changed, base)).toEqual(changed);
        expect(merge(base, base, changed)).toEqual(changed);
        expect(merge(base, changed, changed)).toEqual(changed);
      }),
    );
  });

  it("does not merge by a base that is there, but not at hand", () => {
    const both = versions(undefined, { keep: 1, mine: 1 }, { removed: 1, keep: 1, theirs: 1 });
    for (const onOverlap of ["mine", "theirs", "hold"] as const) {
      expect(mergeJson({ onOverlap })({ ...both, baseSize: 2_000_000 })).toBe(onOverlap);
    }
  });

  it("refuses options that make no sense, when it is made", () => {
    for (const options of [undefined, {}, { onOverlap: "MINE" }, { onOverlap: "mine", base: 1 }]) {
      expect(() => mergeJson(options as never)).toThrow(expect.objectContaining({ reason: "INVALID_FIELD" }));
    }
  });

  it("comes to the same from either side, but for what overlaps", () => {
    fc.assert(
      fc.property(object, object, object, (base, mine, theirs) => {
        expect(merge(base, mine, theirs)).toEqual(merge(base, theirs, mine));
        expect(merge(base, mine, theirs, "mine")).toEqual(merge(base, theirs, mine, "theirs"));
      }),
    );
  });

  it("holds where it would have to choose, and only there", () => {
    fc.assert(
      fc.property(object, object, object, (base, mine, theirs) => {
        const overlaps = merge(base, mine, theirs) === "hold";
        const [one, other] = [merge(base, mine, theirs, "mine"), merge(base, mine, theirs, "theirs")];
        if (!overlaps) expect(one).toEqual(other);
        else expect(JSON.stringify(one)).not.toBe(JSON.stringify(other));
      }),
    );
  });

  it("merges changes of different members, also of nested objects", () => {
    const base = { name: "Zürich", at: { lat: 47, lon: 8 }, tags: ["a"], old: 1 };
    const mine = { name: "Zurich", at: { lat: 47.4, lon: 8 }, tags: ["a"], old: 1, here: true };
    const theirs = { name: "Zürich", at: { lat: 47, lon: 8.5 }, tags: ["a", "b"], there: true };
    const merged = { name: "Zurich", at: { lat: 47.4, lon: 8.5 }, tags: ["a", "b"], here: true, there: true };
    expect(merge(base, mine, theirs)).toEqual(merged);
  });

  it("leaves to the option what it can't merge", () => {
    const resolve = mergeJson({ onOverlap: "theirs" });
    const others = { ...versions({}, { a: 1 }, { a: 2 }) };
    expect(resolve(others)).toBe("theirs");
    for (const content of ["no JSON", "[1]", undefined, Buffer.from([255]), '{"n":12345678901234567890}']) {
      expect(resolve({ ...others, mine: content })).toBe("theirs");
    }
    expect(mergeJson({ onOverlap: "hold" })({ ...others, theirs: undefined })).toBe("hold");
    expect(mergeJson({ onOverlap: "mine" })({ ...others, base: undefined, mine: '{"b":1}' })).toEqual({
      content: '{"b":1,"a":2}',
    });
  });
});
