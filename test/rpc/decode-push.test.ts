import fc from "fast-check";
import { expect, test } from "vitest";
import { fingerprintOf } from "../../core/fingerprint.js";
import { DEFAULT_LIMITS } from "../../core/limits.js";
import { createRangeSum, toRangeFingerprint, totalOf } from "../../core/range-sum.js";
import type { ChangeKind } from "../../gen/tercet/v1/item.js";
import { ExchangeRequest, type Push } from "../../gen/tercet/v1/sync.js";
import { SyncServiceService } from "../../gen/tercet/v1/sync_service.js";
import { pushBatchBytes, pushColumnsOf, pushCount } from "../../server/protocol/push-columns.js";
import { validateCreations } from "../../server/protocol/validate-creations.js";
import { validatePushes } from "../../server/protocol/validate-push.js";
import { decodePush } from "../../server/rpc/decode-push.js";
import { decodeExchangeRequest, decodeRequest } from "../../server/rpc/strict-decode.js";
import { batchOfCreations } from "../../server/store/creations.js";

const general = (bytes: Buffer) => decodeRequest(SyncServiceService.exchange, bytes);

/** What a decoder answers, or that it refuses. */
function outcome(decode: (bytes: Buffer) => unknown, bytes: Buffer): unknown {
  try {
    return { message: decode(bytes) };
  } catch (error) {
    return { refused: String(error) };
  }
}

const text = fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.constant("\ufffd"));
const digest = fc.oneof(fc.uint8Array(), fc.uint8Array({ minLength: 32, maxLength: 32 }));
const fingerprint = fc.record({ algorithm: fc.constantFrom(0, 1), value: digest.map((x) => Buffer.from(x)) });
const some = <T>(value: fc.Arbitrary<T>, rare = 1) =>
  fc.oneof({ weight: 8, arbitrary: fc.constant(undefined) }, { weight: rare, arbitrary: value });
const push: fc.Arbitrary<Partial<Push>> = fc.record({
  id: text,
  kind: fc.constantFrom<ChangeKind[]>(0, 1, 2, 1, 1, 200 as ChangeKind, -1 as ChangeKind),
  content: fc.oneof(
    fc.constant(undefined),
    text.map((value) => ({ $case: "text" as const, value })),
    fc.uint8Array().map((value) => ({ $case: "data" as const, value: Buffer.from(value) })),
  ),
  fingerprint: some(fingerprint),
  expected: some(fingerprint),
  revisionSeen: some(fc.constantFrom(0, 1, -1, 2 ** 40, Number.MAX_SAFE_INTEGER), 4),
  modifyTimeUs: fc.constantFrom(0, 0, 1.7e15, Number.MAX_SAFE_INTEGER, -5),
  group: fc.constantFrom(0, 0, 0, 0, 0, 3),
  fence: fc.constantFrom(false, false, false, true),
});
interface Draft {
  readonly pushes: readonly Partial<Push>[];
  readonly fingerprint: { readonly count: number; readonly sum: Buffer } | undefined;
  readonly revisionSeen: number | undefined;
}
const request: fc.Arbitrary<Draft> = fc.record({
  pushes: fc.array(push, { maxLength: 5 }),
  fingerprint: some(fc.record({ count: fc.nat(), sum: fc.uint8Array().map((x) => Buffer.from(x)) }), 4),
  revisionSeen: some(fc.constantFrom(0, 7, -1), 4),
});

function encode(value: Draft): Buffer {
  const message = ExchangeRequest.fromPartial({ message: { $case: "push", value: value as object } });
  return Buffer.from(ExchangeRequest.encode(message).finish());
}

test("pushes are decoded as the generated code decodes them, damaged ones too", () => {
  const damage = fc.option(fc.record({ at: fc.nat(), byte: fc.nat(255), cut: fc.boolean() }), { nil: undefined });
  fc.assert(
    fc.property(request, damage, (value, harm) => {
      let bytes = encode(value);
      if (harm !== undefined && bytes.length > 0) {
        bytes[harm.at % bytes.length] = harm.byte;
        if (harm.cut) bytes = bytes.subarray(0, harm.at % bytes.length);
      }
      expect(outcome(decodeExchangeRequest, bytes)).toEqual(outcome(general, bytes));
    }),
    { numRuns: 2000 },
  );
});

test("takes its own way for what nearly all pushes are", () => {
  const plain: Partial<Push> = { id: "é", kind: 1, content: { $case: "text", value: "x" }, modifyTimeUs: 1.7e15 };
  const bytes = encode({ pushes: [plain], fingerprint: { count: 1, sum: Buffer.alloc(32) }, revisionSeen: 5 });
  const rest = { pushes: [], fingerprint: undefined, revisionSeen: 5 };
  expect(decodePush(bytes, () => rest)).toBeDefined();
  const proven = { ...plain, fingerprint: { algorithm: 1 as const, value: Buffer.alloc(32, 7) } };
  expect(decodePush(encode({ ...rest, pushes: [proven] }), () => rest)).toBeDefined();
  const other = encode({ pushes: [{ ...plain, group: 1 }], fingerprint: undefined, revisionSeen: undefined });
  expect(decodePush(other, () => rest)).toBeUndefined();
});

/** A batch as a client that pushes for the first time sends it, with one push that may be another one. */
const plainId = fc.oneof(
  fc.nat(30).map((n) => `item-${n}`),
  fc.string({ minLength: 1, maxLength: 3 }),
);
const creation: fc.Arbitrary<Partial<Push>> = fc.record({
  id: plainId,
  kind: fc.constant<ChangeKind>(1),
  content: fc.oneof(
    { weight: 9, arbitrary: text.map((value) => ({ $case: "text" as const, value })) },
    { weight: 1, arbitrary: fc.constantFrom(768, 769).map((n) => ({ $case: "text" as const, value: "x".repeat(n) })) },
  ),
  modifyTimeUs: fc.constantFrom(0, 0, 0, 1.7e15, 1.7e15 + 1, Number.MAX_SAFE_INTEGER),
});
const dataCreation = creation.map((of): Partial<Push> => {
  const content = { $case: "data" as const, value: Buffer.from(String(of.content?.value)) };
  return { ...of, content };
});
const creations: fc.Arbitrary<Draft> = fc
  .record({
    pushes: fc
      .oneof(
        fc.array(creation, { minLength: 6, maxLength: 20 }),
        fc.uniqueArray(creation, { minLength: 8, maxLength: 20, selector: ({ id }) => id }),
        fc.uniqueArray(dataCreation, { minLength: 8, maxLength: 20, selector: ({ id }) => id }),
      )
      .map((pushes) => pushes.map((each) => ({ ...each }))),
    other: some(push),
    wrong: fc.constantFrom(false, false, false, true),
    revisionSeen: fc.constantFrom(0, 7, 7, undefined),
  })
  .map(({ pushes, other, wrong, revisionSeen }) => {
    const all = other === undefined ? pushes : [...pushes, other];
    const sum = createRangeSum();
    for (const { id = "", content, fingerprint } of all) {
      if (content !== undefined && fingerprint === undefined) sum.add(fingerprintOf(id, content.value));
    }
    if (wrong) sum.add(Buffer.alloc(32, 1));
    return { pushes: all, fingerprint: toRangeFingerprint(totalOf(sum)), revisionSeen };
  });

test("batches of creations are decoded as the generated code decodes them, damaged ones too", () => {
  const damage = some(fc.record({ at: fc.nat(), byte: fc.nat(255), cut: fc.boolean() }), 6);
  let columns = 0;
  fc.assert(
    fc.property(creations, damage, (value, harm) => {
      let bytes = encode(value);
      if (harm !== undefined) {
        bytes[harm.at % bytes.length] = harm.byte;
        if (harm.cut) bytes = bytes.subarray(0, harm.at % bytes.length);
      }
      const decoded = outcome(decodeExchangeRequest, bytes) as { message?: ExchangeRequest };
      const expected = outcome(general, bytes) as { message?: ExchangeRequest };
      expect(decoded).toEqual(expected);
      const [batch, same] = [decoded.message?.message, expected.message?.message];
      if (batch?.$case !== "push" || same?.$case !== "push") return;
      if (pushColumnsOf(batch.value) !== undefined) columns += 1;
      expect(pushCount(batch.value)).toBe(pushCount(same.value));
      expect(pushBatchBytes(batch.value)).toBe(pushBatchBytes(same.value));
    }),
    { numRuns: 2000 },
  );
  expect(columns).toBeGreaterThan(100);
});

test("batches of creations come to the writes that their pushes come to one by one, or go that way", () => {
  const { itemBytes, groupItems, groupBytes } = DEFAULT_LIMITS;
  const times = { nowUs: 1.7e15, skewUs: 60_000_000 };
  let made = 0;
  fc.assert(
    fc.property(creations, fc.constantFrom(itemBytes, 10), (value, most) => {
      const decoded = decodeExchangeRequest(encode(value)).message;
      const columns = decoded?.$case === "push" ? pushColumnsOf(decoded.value) : undefined;
      if (decoded?.$case !== "push" || columns === undefined) return;
      const { pushes, fingerprint, revisionSeen: seen } = decoded.value;
      const rules = { itemBytes: most, groupItems, groupBytes, seen, ...times };
      const valid = validateCreations(columns, fingerprint, rules);
      const validated = validatePushes(pushes, fingerprint, rules);
      const isPlain = seen !== undefined && validated.every((each) => "write" in each);
      expect(valid !== undefined).toBe(isPlain);
      if (valid === undefined) return;
      made += 1;
      const { writes } = batchOfCreations(valid, Buffer.alloc(16), times.nowUs);
      expect(writes).toEqual(validated.map((each) => ("write" in each ? each.write : undefined)));
      const sum = createRangeSum();
      for (const { upsert } of writes) sum.add(upsert?.fingerprint ?? Buffer.alloc(0));
      expect(valid.total).toEqual(totalOf(sum));
    }),
    { numRuns: 2000 },
  );
  expect(made).toBeGreaterThan(100);
});
