import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeExchangeResponse } from "../../client/decode-exchange.js";
import { fingerprintOf } from "../../core/fingerprint.js";
import { compareIds } from "../../core/id.js";
import { changeAt, isAscending, proveColumns } from "../../core/item-columns.js";
import { type Change, fromPageChanges, toPageChanges } from "../../core/page.js";
import { columnsOf } from "../../core/page-columns.js";
import type { ChangeInfo, ChangeKind } from "../../gen/tercet/v1/item.js";
import { type ChangePage, ExchangeResponse } from "../../gen/tercet/v1/sync.js";

/** What a decoder answers, or that it refuses. */
function outcome(decode: (bytes: Buffer) => ExchangeResponse, bytes: Buffer): unknown {
  try {
    const { message } = decode(bytes);
    return message?.$case === "page" ? { ...message.value } : { message };
  } catch {
    return "refused";
  }
}

function encode(page: object): Buffer {
  const message = ExchangeResponse.fromPartial({ message: { $case: "page", value: page } });
  return Buffer.from(ExchangeResponse.encode(message).finish());
}

function decoded(bytes: Buffer): ChangePage {
  const { message } = decodeExchangeResponse(bytes);
  if (message?.$case !== "page") throw new Error("no page");
  return message.value;
}

const text = fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.constantFrom("\ufffd", "\ufeffx", "é", ""));
const bytes = fc.uint8Array().map((value) => Buffer.from(value));
const rare = <T>(value: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 40, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: value });
const id = fc.oneof({ weight: 9, arbitrary: fc.string({ minLength: 1 }) }, { weight: 1, arbitrary: text });

/** Mostly what a first pull has: all with contents of one kind. */
const info = (content: fc.Arbitrary<ChangeInfo["content"]>): fc.Arbitrary<Partial<ChangeInfo>> =>
  fc.record({
    id,
    kind: fc.oneof(
      { weight: 30, arbitrary: fc.constant<ChangeKind>(1) },
      { weight: 1, arbitrary: fc.constantFrom<ChangeKind[]>(0, 2, 200 as ChangeKind, -1 as ChangeKind) },
    ),
    revision: fc.constantFrom(0, 0, 0, 7, 2 ** 40, Number.MAX_SAFE_INTEGER),
    modifyTimeUs: fc.constantFrom(0, 0, 1.7e15, 5),
    group: rare(fc.constantFrom(1, 2 ** 40)),
    size: rare(fc.nat()),
    fingerprint: rare(fc.record({ algorithm: fc.constantFrom(0, 1), value: bytes })),
    content,
  }) as fc.Arbitrary<Partial<ChangeInfo>>;
const texts = text.map((value): ChangeInfo["content"] => ({ $case: "text", value }));
const datas = bytes.map((value): ChangeInfo["content"] => ({ $case: "data", value }));
const changes = fc.oneof(
  fc.array(info(texts), { maxLength: 6 }),
  fc.array(info(datas), { maxLength: 6 }),
  fc.array(info(fc.oneof(texts, datas, fc.constant(undefined))), { maxLength: 6 }),
);
const page = fc.record({
  changes,
  fingerprint: fc.option(fc.record({ count: fc.nat(3), sum: bytes, algorithm: fc.constantFrom(0, 1) }), {
    nil: undefined,
  }),
  checkpoint: fc.option(fc.record({ token: bytes, revision: fc.nat() }), { nil: undefined }),
  end: fc.boolean(),
});
const harm = fc.record({ at: fc.nat(), byte: fc.nat(255), cut: fc.boolean() });

test("pages are decoded as the generated code decodes them, damaged ones too", () => {
  fc.assert(
    fc.property(page, fc.array(harm, { maxLength: 2 }), (value, harms) => {
      let message = encode(value);
      for (const { at, byte, cut } of harms) {
        if (message.length === 0) break;
        message[at % message.length] = byte;
        if (cut) message = message.subarray(0, at % message.length);
      }
      expect(outcome(decodeExchangeResponse, message)).toEqual(outcome(ExchangeResponse.decode, message));
    }),
    { numRuns: 3000 },
  );
});

test("columns say what the changes of their page say, whatever they are damaged to", () => {
  let read = 0;
  fc.assert(
    fc.property(changes, fc.option(harm, { nil: undefined }), (drafts, damage) => {
      const message = encode({ changes: drafts });
      if (damage !== undefined && message.length > 0) message[damage.at % message.length] = damage.byte;
      let found: ChangePage;
      try {
        found = decoded(message);
      } catch {
        return;
      }
      const columns = columnsOf(found);
      if (columns === undefined) return;
      read += 1;
      // Told as their fingerprints are, so that they agree.
      const whole = fromPageChanges({ changes: found.changes, fingerprint: undefined });
      const all = [...whole.changes, ...whole.doubtful];
      const told = toPageChanges(all).fingerprint;
      const proved = proveColumns(columns, told);
      if (proved === undefined) throw new Error("not proved");
      const made = Array.from({ length: proved.count }, (_, index) => changeAt(proved, index));
      expect(made.map(({ size: _, ...change }) => change)).toEqual(all.map(({ size: _, ...change }) => change));
      const ids = made.map((change) => change.id);
      if (isAscending(columns)) {
        expect(ids.every((each, at) => at === 0 || compareIds(ids[at - 1] as string, each) < 0)).toBe(true);
      }
      expect(proveColumns(columns, told && { ...told, count: told.count + 1 })).toBeUndefined();
      const other = Buffer.from(told?.sum ?? []);
      other.writeUInt8(other.readUInt8(7) ^ 1, 7);
      expect(proveColumns(columns, told && { ...told, sum: other })).toBeUndefined();
    }),
    { numRuns: 3000 },
  );
  expect(read).toBeGreaterThan(300);
});

function change(of: string, content: string | Buffer, revision: number): Change {
  const fingerprint = fingerprintOf(of, content);
  return { id: of, revision, modifyTimeUs: 9, group: 0, size: content.length, content, fingerprint };
}

test("pages of items are read into columns, in order or not, and those of anything else are not", () => {
  const pageOf = (...all: Change[]) => decoded(encode({ ...toPageChanges(all), end: true }));
  const ordered = columnsOf(pageOf(change("a", "1", 5), change("é", "", 6), change("\u{10000}", "3", 9)));
  expect(ordered).toMatchObject({ count: 3, isText: true, revisions: [5, 6, 9], timesUs: [9, 9, 9] });
  expect(ordered && isAscending(ordered)).toBe(true);
  const prefix = columnsOf(pageOf(change("ab", "1", 1), change("a", "", 2)));
  expect(prefix && isAscending(prefix)).toBe(false);
  const twice = columnsOf(pageOf(change("a", "1", 1), change("a", "2", 2)));
  expect(twice && isAscending(twice)).toBe(false);
  expect(columnsOf(pageOf(change("a", Buffer.from([255]), 1)))).toMatchObject({ isText: false });
  expect(columnsOf(pageOf(change("a", "1", 1), change("b", Buffer.from("1"), 2)))).toBeUndefined();
  expect(columnsOf(pageOf({ ...change("a", "1", 1), group: 1 }))).toBeUndefined();
  expect(columnsOf(pageOf())).toBeUndefined();
});

test("text that is not UTF-8 is left to the generated decoder, also where the next would complete it", () => {
  const all = [change("a", "1x", 1), change("b", "2x", 2)];
  const message = encode(toPageChanges(all));
  const at = message.indexOf("1x");
  message[at + 1] = 0xc3;
  expect(columnsOf(decoded(message))).toBeUndefined();
  message[message.indexOf("b")] = 0xa9;
  expect(columnsOf(decoded(message))).toBeUndefined();
});
