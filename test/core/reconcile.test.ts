import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fingerprintOf } from "../../core/fingerprint.js";
import { createRangeSum, totalOf } from "../../core/range-sum.js";
import {
  compareItems,
  LEAF_ITEMS,
  partsFor,
  SHORT_PRINT_BYTES,
  sameShortTotal,
  shortPrintsOf,
  shortSumOf,
} from "../../core/reconcile.js";

const entry = (id: string, content = "1") => ({ id, fingerprint: fingerprintOf(id, content) });

describe("short sums", () => {
  it("are the same where the count and the low bytes are", () => {
    const sum = createRangeSum();
    for (const id of ["a", "b"]) sum.add(fingerprintOf(id, "1"));
    const total = totalOf(sum);
    const short = shortSumOf(total);
    expect(short).toHaveLength(8);
    expect(sameShortTotal(total, 2, short)).toBe(true);
    expect(sameShortTotal(total, 3, short)).toBe(false);
    expect(sameShortTotal(total, 2, Buffer.alloc(8))).toBe(false);
    expect(sameShortTotal(total, 2, short.subarray(0, 7))).toBe(false);
  });
});

describe("parts", () => {
  it("come down to what is compared item by item in few levels", () => {
    let levels = 0;
    for (let count = 1_000_000; count > LEAF_ITEMS; count /= partsFor(count)) levels += 1;
    expect(levels).toBeLessThanOrEqual(8);
    expect(partsFor(2)).toBeGreaterThan(1);
  });
});

describe("comparing item by item", () => {
  it("finds what either side does not have like the other", () => {
    const own = [entry("a"), entry("b", "2"), entry("d")];
    const theirs = [entry("a"), entry("b"), entry("c"), entry("d")];
    const { own: mine, theirs: differing } = compareItems(own, shortPrintsOf(theirs));
    expect(mine.map(({ id }) => id)).toEqual(["b"]);
    expect(differing).toEqual([1, 2]);
    expect(compareItems(own, shortPrintsOf(own))).toEqual({ own: [], theirs: [] });
    expect(compareItems([], Buffer.alloc(0))).toEqual({ own: [], theirs: [] });
  });

  it("reads prints that lie anywhere in their buffer, and no incomplete one", () => {
    const prints = shortPrintsOf([entry("a"), entry("b")]);
    const shifted = new Uint8Array(prints.length + 3 + 5);
    shifted.set(prints, 3);
    const inside = shifted.subarray(3, 3 + prints.length + 5);
    expect(compareItems([entry("a")], inside)).toEqual({ own: [], theirs: [1] });
  });

  it("is what two sets differ by", () => {
    const ids = fc.uniqueArray(fc.nat(40).map(String));
    const property = fc.property(ids, ids, (mine, other) => {
      const { own, theirs } = compareItems(
        mine.map((id) => entry(id)),
        shortPrintsOf(other.map((id) => entry(id))),
      );
      expect(own.map(({ id }) => id)).toEqual(mine.filter((id) => !other.includes(id)));
      expect(theirs.map((at) => other[at])).toEqual(other.filter((id) => !mine.includes(id)));
    });
    void fc.assert(property, { numRuns: 100, seed: 20_260_104 });
    expect(shortPrintsOf([entry("a")])).toHaveLength(SHORT_PRINT_BYTES);
  });
});
