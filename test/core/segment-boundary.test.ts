import * as fc from "fast-check";
import { expect, it } from "vitest";
import { beginsSegment, bytesBeginSegment } from "../../core/segment-boundary.js";

const numbered = (count: number) => Array.from({ length: count }, (_, at) => `item-${String(at).padStart(8, "0")}`);

it("is the same for an id and for its bytes, wherever they stand", () => {
  const ids = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 });
  const property = fc.property(ids, fc.nat(9), (id, before) => {
    const bytes = Buffer.from(`${"x".repeat(before)}${id}\0more`);
    const end = before + Buffer.byteLength(id);
    expect(bytesBeginSegment(bytes, before, end)).toBe(beginsSegment(id));
  });
  void fc.assert(property, { numRuns: 2000, seed: 20_261_127 });
  // Few of the above begin one.
  for (const script of ["a", "é", "\uffee", "\u{1f600}", "日本"]) {
    const some = numbered(2000)
      .map((id) => script + id)
      .filter(beginsSegment);
    expect(some.length).toBeGreaterThan(20);
    for (const id of some) expect(bytesBeginSegment(Buffer.from(id), 0, Buffer.byteLength(id))).toBe(true);
  }
});

it("is so for about one id of 32, also where they are numbered", () => {
  const at = [...numbered(32_000).entries()].flatMap(([index, id]) => (beginsSegment(id) ? [index] : []));
  expect(at.length).toBeGreaterThan(900);
  expect(at.length).toBeLessThan(1100);
  expect(Math.max(...at.map((index, which) => index - (at[which - 1] ?? 0)))).toBeLessThan(512);
});

it("does not change: another version of this code would cut its files elsewhere", () => {
  expect(numbered(200).filter(beginsSegment)).toMatchInlineSnapshot(`
    [
      "item-00000081",
      "item-00000093",
      "item-00000094",
      "item-00000104",
      "item-00000119",
      "item-00000157",
      "item-00000169",
      "item-00000171",
    ]
  `);
  expect(["zürich", "日本", "\u{1f600}"].map(beginsSegment)).toEqual([false, false, false]);
});
