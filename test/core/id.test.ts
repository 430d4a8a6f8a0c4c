import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkCollectionName, checkId, compareIds, idProblem, MAX_ID_BYTES, prefixEnd } from "../../core/id.js";

const text = fc.string({ unit: "binary", maxLength: 12 }).filter((value) => value.isWellFormed());
/** Characters around the places where UTF-16 order and UTF-8 order differ. */
const tricky = fc
  .array(fc.constantFrom("a", "z", "\u00e9", "\ud7ff", "\ue000", "\uffee", "\u{10000}", "\u{10ffff}"), { maxLength: 5 })
  .map((parts) => parts.join(""));

describe("order of ids", () => {
  test("is the order of their UTF-8 bytes", () => {
    fc.assert(
      fc.property(fc.oneof(text, tricky), fc.oneof(text, tricky), (a, b) => {
        expect(Math.sign(compareIds(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
      }),
      { numRuns: 2000 },
    );
  });

  test("a prefix is the range up to its end", () => {
    fc.assert(
      fc.property(fc.oneof(text, tricky), fc.oneof(text, tricky), (prefix, id) => {
        const end = prefixEnd(prefix);
        const within = compareIds(id, prefix) >= 0 && (end === undefined || compareIds(id, end) < 0);
        expect(within).toBe(id.startsWith(prefix));
        expect(end === undefined || end.isWellFormed()).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("ids", () => {
  test("up to 512 bytes of UTF-8, not characters", () => {
    expect(idProblem("x".repeat(MAX_ID_BYTES))).toBeUndefined();
    expect(idProblem("x".repeat(MAX_ID_BYTES + 1))).toMatch(/512/);
    expect(idProblem("é".repeat(256))).toBeUndefined();
    expect(idProblem("é".repeat(257))).toMatch(/514/);
    expect(idProblem("\u{1F30D}".repeat(128))).toBeUndefined();
    expect(idProblem("\u{1F30D}".repeat(129))).toMatch(/516/);
  });

  test("not empty, no control characters, no lone surrogates", () => {
    for (const id of ["", "a\0b", "a\nb", "\u007f", "\u0085", "\ud800", "x\udfff"]) {
      expect(checkId(id)?.fields?.[0]?.field).toBe("id");
    }
    for (const id of [" ", "a/b", "__proto__", "\ufffd", "\ufeff", "ß", "日本", "👩‍🚀"])
      expect(checkId(id)).toBeUndefined();
  });

  test("names of collections", () => {
    for (const name of ["a", "0", "Places", "a.b-c_d", "x".repeat(128)])
      expect(checkCollectionName(name)).toBeUndefined();
    for (const name of ["", ".a", "-a", "_a", "a b", "a/b", "é", "x".repeat(129), "a\n"]) {
      expect(checkCollectionName(name)).toBeDefined();
    }
  });
});
