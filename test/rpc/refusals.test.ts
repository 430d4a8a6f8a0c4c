import { readFileSync } from "node:fs";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ErrorReason } from "../../gen/tercet/v1/error.js";
import type { ChangeKind, ChangeStandard } from "../../gen/tercet/v1/item.js";
import {
  BatchWriteItemsRequest,
  GetItemRequest,
  ItemServiceService as Items,
  WriteItemRequest,
} from "../../gen/tercet/v1/item_service.js";
import { Push, PushOutcome, type Verdict } from "../../gen/tercet/v1/sync.js";
import { callRaw } from "./api.js";
import { any, contentOf, deletion, printOf, upsert } from "./build.js";
import { startTestServer, type TestServer } from "./harness.js";
import { refusalOf } from "./refusal.js";
import { BAD_IDS, MIB, refusalCases, short, unknown } from "./refusal-cases.js";

const invalid = "INVALID_ARGUMENT";
/** Bytes that are not UTF-8, though a lenient reader makes two equal texts of them. */
const INVALID_UTF8 = [Buffer.from([0x61, 0xff]), Buffer.from([0x61, 0xfe]), Buffer.from([0xed, 0xa0, 0x80])];

describe("bad input to unary calls", () => {
  let test: TestServer;
  const collection = "c";

  beforeAll(async () => {
    test = await startTestServer();
    for (const name of [collection, "other"]) {
      await test.create(name);
      const pushes = [upsert("kept", "as it was"), upsert("kept too", "as it was")];
      await test.api.batchWriteItems({ collection: name, pushes });
    }
  });
  afterAll(() => test.stop());

  /** Runs a call after which everything must be as before. */
  async function leavesAllAsItWas<T>(run: () => Promise<T>): Promise<T> {
    const before = await test.api.listCollections({});
    const result = await run();
    expect(await test.api.listCollections({})).toEqual(before);
    return result;
  }

  it.each(refusalCases)("$what: $reason", async ({ call, code = invalid, reason, fields = [] }) => {
    const refusal = await leavesAllAsItWas(() => refusalOf(call(test.api, collection)));
    expect(refusal).toMatchObject({ code, reason, fields });
    expect(refusal.message).not.toBe("");
  });

  it.each(["item_service", "collection_service"])("%s.proto names every reason with the call", (file) => {
    const path = new URL(`../../proto/tercet/v1/${file}.proto`, import.meta.url);
    const [head = "", body = ""] = readFileSync(path, "utf8").split(/^service /m);
    const documented = new Map(
      [...body.matchAll(/((?: {2}\/\/.*\n)+) {2}rpc (\w+)\(/g)].map(([, comment, name]) => {
        const request = body.slice(body.indexOf(`\nmessage ${name}Request `)).split("\n}\n")[0];
        return [name, head + comment + request];
      }),
    );
    let held = 0;
    const unnamed: string[] = [];
    for (const { what, reason } of refusalCases) {
      const words = documented.get(what.split(":")[0]);
      if (words === undefined) continue;
      held += 1;
      if (!new RegExp(`\\b${reason}\\b`).test(words)) unnamed.push(`${what}: ${reason}`);
    }
    expect(held).toBeGreaterThan(20);
    expect(unnamed).toEqual([]);
  });

  it("a content over 1 MiB is refused with the way that it can come, not with a limit that the server does not have", async () => {
    const call = refusalCases.find(({ what }) => what === "WriteItem: content over the limit")?.call;
    const { message } = await refusalOf(call?.(test.api, collection) ?? Promise.resolve());
    expect(message).toContain(`is ${MIB + 1} bytes; contents of over ${MIB} come in chunks, by an exchange`);
  });

  it.each([0, 1, 2])("an id that is not UTF-8 (%i) is refused wherever it stands, and U+FFFD is not", async (index) => {
    const id = INVALID_UTF8[index] as Buffer;
    const refused = { code: invalid, reason: "INVALID_ID" };
    const inGet = rawMessage(GetItemRequest.encode(GetItemRequest.create({ collection })), 2, id);
    expect(await refusalOf(callRaw(test.client, Items.getItem, inGet))).toMatchObject(refused);
    const item = rawMessage(WriteItemRequest.encode(WriteItemRequest.create({ collection, precondition: any })), 2, [
      ...rawMessage(new BinaryWriter(), 1, id),
      ...rawMessage(new BinaryWriter(), 9, Buffer.from("text")),
    ]);
    const refusal = await leavesAllAsItWas(() => refusalOf(callRaw(test.client, Items.writeItem, item)));
    expect(refusal).toMatchObject({ ...refused, fields: ["item.id"] });
    expect((await refusalOf(test.api.getItem({ collection, id: "a\ufffd" }))).reason).toBe("ITEM_NOT_FOUND");
  });

  it("a text that is not UTF-8 is refused, not altered", async () => {
    const item = rawMessage(WriteItemRequest.encode(WriteItemRequest.create({ collection, precondition: any })), 2, [
      ...rawMessage(new BinaryWriter(), 1, Buffer.from("a")),
      ...rawMessage(new BinaryWriter(), 9, Buffer.from([0x61, 0xff])),
    ]);
    const refusal = await leavesAllAsItWas(() => refusalOf(callRaw(test.client, Items.writeItem, item)));
    expect(refusal).toMatchObject({ code: invalid, reason: "INVALID_FIELD", fields: ["item.content.text"] });
  });

  it("an id that is not UTF-8 costs a batch only that item", async () => {
    const good = Push.encode(upsert("good", "item")).finish();
    const bad = rawMessage(Push.encode(upsert("", "item", { fingerprint: undefined })), 1, INVALID_UTF8[0] as Buffer);
    const writer = BatchWriteItemsRequest.encode(BatchWriteItemsRequest.create({ collection: "other" }));
    const request = rawMessage(writer.uint32(18).bytes(bad), 2, good);
    const { verdicts } = await callRaw(test.client, Items.batchWriteItems, request);
    expect(verdicts).toMatchObject([
      { outcome: PushOutcome.PUSH_OUTCOME_REJECTED, reason: ErrorReason.ERROR_REASON_INVALID_ID },
      { outcome: PushOutcome.PUSH_OUTCOME_APPLIED },
    ]);
  });

  it.each([
    ["a truncated field", Buffer.from([10, 5, 99])],
    ["a tag of 0", Buffer.from([10, 1, 99, 0, 1])],
    ["an end of a group", Buffer.from([10, 1, 99, 12, 0])],
    ["a varint without an end", Buffer.from([24, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255])],
    ["a number beyond 2^53", Buffer.from([24, 255, 255, 255, 255, 255, 255, 255, 127])],
    ["noise", Buffer.from("\x07\x07\x07\x07")],
  ])("a message with %s is MALFORMED_MESSAGE", async (_, bytes) => {
    const refusal = await refusalOf(callRaw(test.client, Items.getItem, bytes));
    expect(refusal).toMatchObject({ code: invalid, reason: "MALFORMED_MESSAGE" });
  });

  it("unknown fields and methods are what gRPC says of them", async () => {
    const request = GetItemRequest.encode(GetItemRequest.create({ collection, id: "kept" }));
    const { item } = await callRaw(test.client, Items.getItem, rawMessage(request, 99, Buffer.from("future")));
    expect(item?.id).toBe("kept");
    const none = { ...Items.getItem, path: "/tercet.v1.ItemService/None" };
    expect((await refusalOf(callRaw(test.client, none, Buffer.alloc(0)))).code).toBe("UNIMPLEMENTED");
    const huge = callRaw(test.client, Items.getItem, Buffer.alloc(4 * MIB + 1));
    expect((await refusalOf(huge)).code).toBe("RESOURCE_EXHAUSTED");
  });

  it("each bad push of a batch is rejected for itself", async () => {
    await test.create("batch");
    const one = upsert("x", "x");
    const bad: [Push, ErrorReason][] = [
      [{ ...one, kind: 3 as ChangeKind }, ErrorReason.ERROR_REASON_UNKNOWN_KIND],
      [{ ...one, kind: 0 }, ErrorReason.ERROR_REASON_UNKNOWN_KIND],
      [{ ...one, overrides: 9 as ChangeStandard }, ErrorReason.ERROR_REASON_UNKNOWN_STANDARD],
      [{ ...one, fingerprint: unknown }, ErrorReason.ERROR_REASON_UNKNOWN_ALGORITHM],
      [{ ...one, expected: unknown }, ErrorReason.ERROR_REASON_UNKNOWN_ALGORITHM],
      [{ ...one, fingerprint: short }, ErrorReason.ERROR_REASON_FINGERPRINT_MISMATCH],
      [{ ...one, fingerprint: printOf("x", "y") }, ErrorReason.ERROR_REASON_FINGERPRINT_MISMATCH],
      [{ ...one, content: undefined }, ErrorReason.ERROR_REASON_CONTENT_MISSING],
      [{ ...deletion("x", "x"), content: contentOf("x") }, ErrorReason.ERROR_REASON_CONTENT_MISSING],
      [upsert("x", "x".repeat(MIB + 1)), ErrorReason.ERROR_REASON_ITEM_TOO_LARGE],
      [{ ...one, uploadId: Buffer.alloc(16) }, ErrorReason.ERROR_REASON_UNSUPPORTED],
      [{ ...one, content: undefined, uploadId: Buffer.alloc(16) }, ErrorReason.ERROR_REASON_UNSUPPORTED],
      [{ ...one, group: -1 }, ErrorReason.ERROR_REASON_INVALID_FIELD],
      [{ ...one, modifyTimeUs: -1 }, ErrorReason.ERROR_REASON_INVALID_FIELD],
      [{ ...one, revisionSeen: -1 }, ErrorReason.ERROR_REASON_INVALID_FIELD],
      ...Object.values(BAD_IDS).map((id): [Push, ErrorReason] => [upsert(id, ""), ErrorReason.ERROR_REASON_INVALID_ID]),
    ];
    for (const [index, [push, reason]] of bad.entries()) {
      const pushes = [upsert(`before-${index}`, "1"), push, upsert(`after-${index}`, "2")];
      const { verdicts } = await test.api.batchWriteItems({ collection: "batch", pushes });
      expect(verdicts).toMatchObject([
        { ordinal: 0, outcome: PushOutcome.PUSH_OUTCOME_APPLIED },
        { ordinal: 1, outcome: PushOutcome.PUSH_OUTCOME_REJECTED, reason },
        { ordinal: 2, outcome: PushOutcome.PUSH_OUTCOME_APPLIED },
      ]);
      expect((verdicts[1] as Verdict).message).not.toBe("");
    }
    const { collection: state } = await test.api.getCollection({ collection: "batch" });
    expect(state).toMatchObject({ revision: 2 * bad.length, fingerprint: { count: 2 * bad.length } });
  });

  it("an id that stands twice in a batch is changed by neither", async () => {
    const pushes = [upsert("twice", "1"), upsert("once", "2"), upsert("twice", "3")];
    const { verdicts } = await test.api.batchWriteItems({ collection: "batch", pushes });
    const rejected = { outcome: PushOutcome.PUSH_OUTCOME_REJECTED, reason: ErrorReason.ERROR_REASON_DUPLICATE_ID };
    expect(verdicts).toMatchObject([rejected, { outcome: PushOutcome.PUSH_OUTCOME_APPLIED }, rejected]);
    expect((await refusalOf(test.api.getItem({ collection: "batch", id: "twice" }))).reason).toBe("ITEM_NOT_FOUND");
  });

  it("a token and a page token of a collection that was deleted", async () => {
    const first = await test.create("gone");
    await test.api.batchWriteItems({ collection: first, pushes: [upsert("a", "1"), upsert("b", "2")] });
    const token = (await test.api.listChanges({ collection: first })).checkpoint?.token ?? Buffer.alloc(0);
    const { nextPageToken: pageToken } = await test.api.listItems({ collection: first, pageSize: 1 });
    await test.api.deleteCollection({ collection: first });
    const deleted = { code: "FAILED_PRECONDITION", reason: "COLLECTION_DELETED" };
    expect(await refusalOf(test.api.listChanges({ collection: first, token }))).toMatchObject(deleted);
    await test.create("gone");
    expect(await refusalOf(test.api.listChanges({ collection: first, token }))).toMatchObject(deleted);
    expect((await refusalOf(test.api.listItems({ collection: first, pageToken }))).fields).toEqual(["page_token"]);
  });
});

/** The message so far, and one more length-delimited field of these bytes. */
function rawMessage(writer: BinaryWriter, field: number, value: Iterable<number> | Uint8Array): Uint8Array {
  return writer
    .uint32(field * 8 + 2)
    .bytes(Uint8Array.from(value))
    .finish();
}
