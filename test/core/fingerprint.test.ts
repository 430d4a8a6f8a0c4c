import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkFingerprint, fingerprintOf, sameFingerprint, toFingerprint } from "../../core/fingerprint.js";
import { createRangeSum, sameTotal, toRangeFingerprint, totalOf } from "../../core/range-sum.js";
import { ErrorReason } from "../../gen/tercet/v1/error.js";

const text = fc.string({ unit: "binary", maxLength: 200 }).filter((value) => value.isWellFormed());

describe("item fingerprint", () => {
  test("is what sha256sum says: printf 'id\\0content' | sha256sum", () => {
    expect(fingerprintOf("id", "content").toString("hex")).toBe(
      "4ec95a770f0f7405d154efdc96c912a4c517ed1dff9ae98619148bb31f32f9b1",
    );
    expect(fingerprintOf("é", "").toString("hex")).toBe(
      "6133f2d2dc6cad8dbbfc80f0fb587d3e61469954c82d906cce85239e4c6c8bbd",
    );
  });

  test("is SHA-256 over id, zero byte and content, of text and of bytes alike", () => {
    fc.assert(
      fc.property(text, text, (id, content) => {
        const expected = createHash("sha256").update(id).update(Buffer.of(0)).update(content).digest();
        expect(fingerprintOf(id, content)).toEqual(expected);
        expect(fingerprintOf(id, Buffer.from(content))).toEqual(expected);
        expect(fingerprintOf(id, new Uint8Array(Buffer.from(content)))).toEqual(expected);
      }),
    );
  });

  test("of contents around the size where it is hashed in pieces, with the longest ids", () => {
    const id = "\u{1F30D}".repeat(128);
    for (const size of [0, 1, 16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 1024 * 1024]) {
      const content = Buffer.alloc(size, 0xa5);
      const expected = createHash("sha256").update(id).update(Buffer.of(0)).update(content).digest();
      expect(fingerprintOf(id, content)).toEqual(expected);
    }
  });

  test("of another algorithm or length is refused", () => {
    const good = toFingerprint(fingerprintOf("a", "b"));
    expect(checkFingerprint(good, "f")).toBeUndefined();
    expect(checkFingerprint(undefined, "f")).toBeUndefined();
    expect(checkFingerprint({ ...good, algorithm: 2 as 1 }, "f")?.reason).toBe(
      ErrorReason.ERROR_REASON_UNKNOWN_ALGORITHM,
    );
    expect(checkFingerprint({ ...good, value: Buffer.alloc(31) }, "f")?.reason).toBe(
      ErrorReason.ERROR_REASON_FINGERPRINT_MISMATCH,
    );
  });

  test("no item equals only no item", () => {
    expect(sameFingerprint(undefined, undefined)).toBe(true);
    expect(sameFingerprint(undefined, Buffer.alloc(32))).toBe(false);
    expect(sameFingerprint(new Uint8Array(32), Buffer.alloc(32))).toBe(true);
  });
});

describe("range fingerprint", () => {
  const fingerprint = fc.uint8Array({ minLength: 32, maxLength: 32 });
  const toNumber = (bytes: Uint8Array): bigint => bytes.reduceRight((sum, byte) => (sum << 8n) + BigInt(byte), 0n);

  test("is the sum of little-endian integers modulo 2^256, in any order, added and taken out", () => {
    const step = fc.record({ fingerprint, adds: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fingerprint, (steps, start) => {
        const sum = createRangeSum(5, start);
        let expected = toNumber(start);
        let count = 5;
        for (const { fingerprint: value, adds } of steps) {
          if (adds) sum.add(value);
          else sum.subtract(value);
          expected += adds ? toNumber(value) : -toNumber(value);
          count += adds ? 1 : -1;
        }
        expect(toNumber(sum.bytes())).toBe(BigInt.asUintN(256, expected));
        expect(sum.count).toBe(count);
        // At rest and taken up again it is the same.
        expect(createRangeSum(count, sum.bytes()).bytes()).toEqual(sum.bytes());
      }),
    );
  });

  test("adds many at once, wherever they lie in memory, as one by one", () => {
    fc.assert(
      fc.property(fc.array(fingerprint, { maxLength: 40 }), fc.nat(7), fingerprint, (values, offset, start) => {
        const bytes = new Uint8Array(offset + values.length * 32);
        const [atOnce, single] = [createRangeSum(1, start), createRangeSum(1, start)];
        for (const [at, value] of values.entries()) bytes.set(value, offset + at * 32);
        for (const value of values) single.add(value);
        atOnce.addAll(bytes.subarray(offset));
        for (const value of values.slice(1)) for (const sum of [atOnce, single]) sum.subtract(value);
        expect(totalOf(atOnce)).toEqual(totalOf(single));
      }),
    );
  });

  test("carries through all bytes", () => {
    const sum = createRangeSum();
    sum.add(Buffer.alloc(32, 0xff));
    sum.add(Buffer.from(`01${"00".repeat(31)}`, "hex"));
    expect(sum.bytes()).toEqual(Buffer.alloc(32));
    sum.subtract(Buffer.from(`01${"00".repeat(31)}`, "hex"));
    expect(sum.bytes()).toEqual(Buffer.alloc(32, 0xff));
  });

  test("is exact beyond what its limbs hold at once", () => {
    const times = 2 ** 21 + 3;
    const most = Buffer.alloc(32, 255);
    const sum = createRangeSum();
    for (let time = 0; time < times; time++) sum.add(most);
    const expected = (2n ** 256n - (BigInt(times) % 2n ** 256n)).toString(16).padStart(64, "0");
    expect(sum.bytes().reverse().toString("hex")).toBe(expected);
    for (let time = 0; time < times; time++) sum.subtract(most);
    expect([sum.count, sum.bytes()]).toEqual([0, Buffer.alloc(32)]);
  });

  test("of nothing travels as empty, and an unset one says the same", () => {
    const nothing = totalOf(createRangeSum());
    expect(toRangeFingerprint(nothing).sum.length).toBe(0);
    expect(sameTotal(undefined, nothing)).toBe(true);
    expect(sameTotal(toRangeFingerprint(nothing), nothing)).toBe(true);
    const one = createRangeSum();
    one.add(fingerprintOf("a", "b"));
    expect(sameTotal(undefined, totalOf(one))).toBe(false);
    expect(sameTotal(toRangeFingerprint(totalOf(one)), totalOf(one))).toBe(true);
    expect(sameTotal({ ...toRangeFingerprint(totalOf(one)), count: 2 }, totalOf(one))).toBe(false);
    expect(sameTotal({ ...toRangeFingerprint(totalOf(one)), algorithm: 0 }, totalOf(one))).toBe(false);
  });
});
