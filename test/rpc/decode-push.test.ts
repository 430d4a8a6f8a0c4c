import fc from "fast-check";
import { expect, test } from "vitest";
import type { ChangeKind } from "../../gen/tercet/v1/item.js";
import { ExchangeRequest, type Push } from "../../gen/tercet/v1/sync.js";
import { SyncServiceService } from "../../gen/tercet/v1/sync_service.js";
import { decodePush } from "../../server/rpc/decode-push.js";
import { decodeExchangeRequest, decodeRequest } from "../../server/rpc/strict-decode.js";

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
const fingerprint = fc.record({ algorithm: fc.constantFrom(0, 1), value: fc.uint8Array().map((x) => Buffer.from(x)) });
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
  const other = encode({ pushes: [{ ...plain, group: 1 }], fingerprint: undefined, revisionSeen: undefined });
  expect(decodePush(other, () => rest)).toBeUndefined();
});
