import fc from "fast-check";
import { expect, test } from "vitest";
import { compareIds, separator } from "../../core/id.js";
import { decodeBounds, encodeBounds } from "../../core/id-bounds.js";

const id = fc.string({ unit: "binary", minLength: 1, maxLength: 6 }).filter((text) => text.isWellFormed());
const near = fc.array(fc.constantFrom("a", "b", "é", "ê", "\uffee", "\u{10000}", "\u{10001}"), { minLength: 1 });
const bound = fc.oneof(
  id,
  near.map((points) => points.join("")),
);

test("bounds come back as they were, and share what they have in common", () => {
  fc.assert(
    fc.property(fc.uniqueArray(bound, { maxLength: 20 }), (bounds) => {
      const sorted = [...bounds].sort(compareIds);
      const coded = encodeBounds(sorted);
      expect(decodeBounds(coded)).toEqual(sorted);
    }),
  );
  expect(encodeBounds(["item-0001", "item-0002"])).toEqual({ shared: [0, 8], rest: ["item-0001", "2"] });
});

test("bounds that do not ascend, share too much, cut a character or do not match are refused", () => {
  const bad = [
    { shared: [0, 0], rest: ["b", "a"] },
    { shared: [0, 1], rest: ["b", ""] },
    { shared: [0], rest: [""] },
    { shared: [0, 3], rest: ["b", "c"] },
    { shared: [0, 1], rest: ["é", "x"] },
    { shared: [0], rest: [] },
    { shared: [0], rest: ["\ud800"] },
  ];
  for (const coded of bad) expect(decodeBounds(coded)).toBeUndefined();
});

test("a separator lies between two ids and is no longer than it must be", () => {
  fc.assert(
    fc.property(bound, bound, (a, b) => {
      fc.pre(a !== b);
      const [before, after] = compareIds(a, b) < 0 ? [a, b] : [b, a];
      const between = separator(before, after);
      expect(compareIds(before, between)).toBeLessThan(0);
      expect(compareIds(between, after)).toBeLessThanOrEqual(0);
      expect(after.startsWith(between)).toBe(true);
      const shorter = [...between].slice(0, -1).join("");
      expect(compareIds(shorter, before)).toBeLessThanOrEqual(0);
    }),
  );
});
