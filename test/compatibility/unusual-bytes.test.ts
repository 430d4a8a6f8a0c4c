import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeExchangeResponse } from "../../client/decode-exchange.js";
import { changeAt, proveColumns } from "../../core/item-columns.js";
import { fromPageChanges, toPageChanges } from "../../core/page.js";
import { columnsOf } from "../../core/page-columns.js";
import { ExchangeResponse } from "../../gen/tercet/v1/sync.js";
import { SyncServiceService } from "../../gen/tercet/v1/sync_service.js";
import { pushColumnsOf } from "../../server/protocol/push-columns.js";
import { decodeExchangeRequest, decodeRequest } from "../../server/rpc/strict-decode.js";

/*
 * Messages as no encoder that we know writes them, and as any may: longer integers than need be, fields that come twice, in
 * another order, or that nobody knows. What reads them by hand has to take them for what the generated decoder does.
 */

/** An integer in LEB128, of up to 64 bits, in some bytes more than need be. */
function varint(value: bigint, more: number): number[] {
  const digits = [];
  let rest = BigInt.asUintN(64, value);
  for (; rest > 127n; rest >>= 7n) digits.push(Number(rest & 127n) | 128);
  const least = [...digits, Number(rest)];
  const bytes = [...least, ...new Array<number>(Math.min(more, 10 - least.length)).fill(0)];
  return bytes.map((byte, at) => (at < bytes.length - 1 ? byte | 128 : byte));
}

const long = fc.oneof({ weight: 8, arbitrary: fc.constant(0) }, fc.nat(4));
const integer = fc.oneof(
  { weight: 3, arbitrary: fc.bigInt({ min: 0n, max: 300n }) },
  fc.constantFrom(1n, 2n, 2n ** 31n, 2n ** 32n + 1n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n),
);
const part = fc.oneof(
  { weight: 6, arbitrary: fc.string({ minLength: 1, maxLength: 6 }).map((text) => [...Buffer.from(text)]) },
  fc.constantFrom("", "a", "é", "\ufeff", "\0", "a\0b", "\ufffd", "\u{10000}").map((text) => [...Buffer.from(text)]),
  fc.constantFrom([0xc3], [0xa9], [0xed, 0xa0, 0x80], [0xc0, 0x80], [0xe2, 0x82]),
);
/** Fields that nobody knows, an empty group, tags of 0 and in two bytes, and the end of a group that never began. */
const stranger = fc.constantFrom<number[][]>(
  [0xf8, 6, 1],
  [0xfa, 6, 1, 65],
  [0x9b, 6, 0x9c, 6],
  [0],
  [0x8a, 0, 1, 65],
  [0x9c, 6],
);
const field = (integers: readonly number[], parts: readonly number[]): fc.Arbitrary<number[]> =>
  fc.oneof(
    {
      weight: 5,
      arbitrary: fc
        .tuple(fc.constantFrom(...integers), integer, long)
        .map(([tag, value, more]) => [tag, ...varint(value, more)]),
    },
    {
      weight: 5,
      arbitrary: fc
        .tuple(fc.constantFrom(...parts), part, long)
        .map(([tag, bytes, more]) => delimited(tag, bytes, more)),
    },
    { weight: 1, arbitrary: stranger },
  );

function delimited(tag: number, bytes: readonly number[], more = 0): number[] {
  return [tag, ...varint(BigInt(bytes.length), more), ...bytes];
}

/** One of these fields somewhere among the others, seldom. */
const withAny = (fields: fc.Arbitrary<number[][]>, any: fc.Arbitrary<number[]>): fc.Arbitrary<number[]> =>
  fc
    .tuple(fields, fc.oneof({ weight: 12, arbitrary: fc.constant([]) }, any), fc.nat(4), long)
    .map(([all, other, at, more]) => delimited(10, [...all.slice(0, at), other, ...all.slice(at)].flat(), more));

/** Of a page of change info (ChangeInfo), and of a batch of pushes (Push): with numbers of sync.proto and item.proto. */
const change = withAny(
  fc.tuple(part, integer, integer, part).map(([id, revision, timeUs, text]) => {
    return [delimited(10, id), [16, 1], [24, ...varint(revision, 0)], [48, ...varint(timeUs, 0)], delimited(74, text)];
  }),
  field([16, 24, 32, 40, 48, 56], [10, 66, 74]),
);
const push = withAny(
  fc.tuple(part, part, integer).map(([id, text, timeUs]) => {
    return [delimited(10, id), [16, 1], delimited(34, text), [72, ...varint(timeUs, 0)]];
  }),
  field([16, 56, 72, 80], [10, 26, 34]),
);
const plainPush = fc.tuple(fc.string({ minLength: 1, maxLength: 3 }), fc.string({ maxLength: 6 })).map((fields) => {
  const [id, text] = fields.map((each) => [...Buffer.from(each)]) as [number[], number[]];
  return delimited(10, [...delimited(10, id), 16, 1, ...delimited(34, text)]);
});
const message = (items: fc.Arbitrary<number[][]>, rest: readonly number[][]): fc.Arbitrary<Buffer> =>
  fc
    .tuple(items, fc.array(fc.oneof(fc.constantFrom(...rest), stranger, fc.constant([10, 0])), { maxLength: 1 }), long)
    .map(([all, more, length]) => Buffer.from(delimited(18, [...all, ...more].flat(), length)));

const pages = message(fc.array(change, { maxLength: 4 }), [
  [26, 2, 16, 5],
  [32, 1],
  [42, 2, 8, 1],
]);
const batches = message(
  fc
    .tuple(fc.array(push, { maxLength: 1 }), fc.array(plainPush, { minLength: 7, maxLength: 9 }))
    .map((all) => all.flat()),
  [
    [18, 2, 8, 1],
    [24, 5],
  ],
);

interface Decoded {
  readonly message?: { readonly $case: string; readonly value: object } | undefined;
}

/** What a decoder answers, or that it refuses. */
function outcome(decode: (bytes: Buffer) => Decoded, bytes: Buffer): unknown {
  try {
    const { message: decoded } = decode(bytes);
    return decoded && { $case: decoded.$case, value: { ...decoded.value } };
  } catch {
    return "refused";
  }
}

test("pages of any encoder are read as the generated decoder reads them, and so are their columns", () => {
  let columns = 0;
  fc.assert(
    fc.property(pages, (bytes) => {
      const found = outcome(ExchangeResponse.decode, bytes);
      expect(outcome(decodeExchangeResponse, bytes)).toEqual(found);
      // At once, and not only where its changes are looked at one by one.
      if (found === "refused") return void expect(() => decodeExchangeResponse(bytes)).toThrow();
      const { message: decoded } = decodeExchangeResponse(bytes);
      const items = decoded?.$case === "page" ? columnsOf(decoded.value) : undefined;
      if (decoded?.$case !== "page" || items === undefined) return;
      columns += 1;
      const { changes, doubtful } = fromPageChanges({ changes: decoded.value.changes, fingerprint: undefined });
      const all = [...changes, ...doubtful];
      const proved = proveColumns(items, toPageChanges(all).fingerprint);
      if (proved === undefined) throw new Error("not proved");
      const made = Array.from({ length: proved.count }, (_, at) => changeAt(proved, at));
      expect(made.map(({ size: _, ...each }) => each)).toEqual(all.map(({ size: _, ...each }) => each));
    }),
    { numRuns: 4000 },
  );
  expect(columns).toBeGreaterThan(50);
});

test("pushes of any encoder are read as the generated decoder reads them", () => {
  const general = (bytes: Buffer) => decodeRequest(SyncServiceService.exchange, bytes);
  let columns = 0;
  fc.assert(
    fc.property(batches, (bytes) => {
      expect(outcome(decodeExchangeRequest, bytes)).toEqual(outcome(general, bytes));
      if (outcome(general, bytes) === "refused") return;
      const { message: decoded } = decodeExchangeRequest(bytes);
      if (decoded?.$case === "push" && pushColumnsOf(decoded.value) !== undefined) columns += 1;
    }),
    { numRuns: 2000 },
  );
  expect(columns).toBeGreaterThan(50);
});
