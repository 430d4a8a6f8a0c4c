import { createHash } from "node:crypto";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ErrorReason } from "../../gen/tercet/v1/error.js";
import type { ChangeKind, ChangeStandard, FingerprintAlgorithm } from "../../gen/tercet/v1/item.js";
import {
  BatchWriteItemsRequest,
  GetItemRequest,
  ItemServiceService as Items,
  WriteItemRequest,
} from "../../gen/tercet/v1/item_service.js";
import { Push, PushOutcome, type Verdict } from "../../gen/tercet/v1/sync.js";
import { type Api, callRaw } from "./api.js";
import { absent, any, contentOf, deletion, has, printOf, upsert } from "./build.js";
import { startTestServer, type TestServer } from "./harness.js";
import { refusalOf } from "./refusal.js";

const MIB = 1024 * 1024;
const unknown = { algorithm: 7 as FingerprintAlgorithm, value: Buffer.alloc(32) };
const short = { ...printOf("a", "b"), value: Buffer.alloc(31) };
/** Bytes that are not UTF-8, though a lenient reader makes two equal texts of them. */
const INVALID_UTF8 = [Buffer.from([0x61, 0xff]), Buffer.from([0x61, 0xfe]), Buffer.from([0xed, 0xa0, 0x80])];

const BAD_IDS: Readonly<Record<string, string>> = {
  empty: "",
  "513 bytes": "x".repeat(513),
  "513 bytes of two-byte characters": `${"ä".repeat(256)}x`,
  "a control character": "a\nb",
  "a zero byte": "a\0b",
  "a C1 control character": "a\u0085b",
};

interface Case {
  readonly what: string;
  readonly call: (api: Api, collection: string) => Promise<unknown>;
  readonly code?: string;
  readonly reason: string;
  readonly fields?: readonly string[];
}

const invalid = "INVALID_ARGUMENT";

const cases: Case[] = [
  ...Object.entries(BAD_IDS).flatMap(([what, id]): Case[] => [
    {
      what: `GetItem: id ${what}`,
      call: (api, c) => api.getItem({ collection: c, id }),
      reason: "INVALID_ID",
      fields: ["id"],
    },
    {
      what: `WriteItem: id ${what}`,
      call: (api, c) => write(api, c, { id }),
      reason: "INVALID_ID",
      fields: ["item.id"],
    },
    {
      what: `DeleteItem: id ${what}`,
      call: (api, c) => api.deleteItem({ collection: c, id, precondition: any }),
      reason: "INVALID_ID",
      fields: ["id"],
    },
    {
      what: `BatchGetItems: id ${what}`,
      call: (api, c) => api.batchGetItems({ collection: c, ids: ["ok", id] }),
      reason: "INVALID_ID",
      fields: ["ids[1]"],
    },
  ]),
  ...["", "-a", "a b", "x".repeat(129), "ä", "a/b"].flatMap((collection): Case[] =>
    (
      [
        ["GetItem", (api: Api) => api.getItem({ collection, id: "a" })],
        ["ListItems", (api: Api) => api.listItems({ collection })],
        ["WriteItem", (api: Api) => write(api, collection, {})],
        ["DeleteItem", (api: Api) => api.deleteItem({ collection, id: "a", precondition: any })],
        ["ListChanges", (api: Api) => api.listChanges({ collection })],
        ["BatchGetItems", (api: Api) => api.batchGetItems({ collection, ids: ["a"] })],
        ["BatchWriteItems", (api: Api) => api.batchWriteItems({ collection, pushes: [upsert("a", "b")] })],
        ["GetCollection", (api: Api) => api.getCollection({ collection })],
        ["CreateCollection", (api: Api) => api.createCollection({ collection })],
        ["DeleteCollection", (api: Api) => api.deleteCollection({ collection })],
        ["ListConflicts", (api: Api) => api.listConflicts({ collection })],
        ["GetConflict", (api: Api) => api.getConflict({ collection, number: 1 })],
      ] as const
    ).map(([name, call]) => ({
      what: `${name}: collection "${collection.slice(0, 8)}"`,
      call,
      reason: "INVALID_COLLECTION_NAME",
      fields: ["collection"],
    })),
  ),
  ...(
    [
      ["GetItem", (api: Api) => api.getItem({ collection: "none", id: "a" })],
      ["ListItems", (api: Api) => api.listItems({ collection: "none" })],
      ["WriteItem", (api: Api) => write(api, "none", {})],
      ["DeleteItem", (api: Api) => api.deleteItem({ collection: "none", id: "a", precondition: any })],
      ["ListChanges", (api: Api) => api.listChanges({ collection: "none" })],
      ["BatchGetItems", (api: Api) => api.batchGetItems({ collection: "none", ids: ["a"] })],
      ["BatchWriteItems", (api: Api) => api.batchWriteItems({ collection: "none", pushes: [upsert("a", "b")] })],
      ["GetCollection", (api: Api) => api.getCollection({ collection: "none" })],
      ["DeleteCollection", (api: Api) => api.deleteCollection({ collection: "none" })],
      ["ListConflicts", (api: Api) => api.listConflicts({ collection: "none" })],
      ["GetConflict", (api: Api) => api.getConflict({ collection: "none", number: 1 })],
    ] as const
  ).map(([name, call]) => ({
    what: `${name}: unknown collection`,
    call,
    code: "NOT_FOUND",
    reason: "COLLECTION_NOT_FOUND",
    fields: [],
  })),
  {
    what: "WriteItem: no item",
    call: (api, collection) => api.writeItem({ collection, precondition: any }),
    reason: "INVALID_FIELD",
    fields: ["item"],
  },
  {
    what: "WriteItem: no content",
    call: (api, collection) => api.writeItem({ collection, item: { id: "a" }, precondition: any }),
    reason: "CONTENT_MISSING",
    fields: ["item.content"],
  },
  {
    what: "WriteItem: a part of a content",
    call: (api, c) => write(api, c, { offset: 1 }),
    reason: "INVALID_FIELD",
    fields: ["item.offset"],
  },
  {
    what: "WriteItem: fingerprint of another content",
    call: (api, c) => write(api, c, { fingerprint: printOf("a", "other") }),
    reason: "FINGERPRINT_MISMATCH",
    fields: ["item.fingerprint"],
  },
  {
    what: "WriteItem: fingerprint of 31 bytes",
    call: (api, c) => write(api, c, { fingerprint: short }),
    reason: "FINGERPRINT_MISMATCH",
    fields: ["item.fingerprint.value"],
  },
  {
    what: "WriteItem: fingerprint of an unknown algorithm",
    call: (api, c) => write(api, c, { fingerprint: unknown }),
    reason: "UNKNOWN_ALGORITHM",
    fields: ["item.fingerprint.algorithm"],
  },
  {
    what: "WriteItem: content over the limit",
    call: (api, c) => write(api, c, { content: contentOf(Buffer.alloc(MIB + 1)) }),
    reason: "ITEM_TOO_LARGE",
    fields: ["item.content"],
  },
  {
    what: "WriteItem: text over the limit in bytes, not in characters",
    call: (api, c) => write(api, c, { content: contentOf("ä".repeat(MIB / 2 + 1)) }),
    reason: "ITEM_TOO_LARGE",
    fields: ["item.content"],
  },
  {
    what: "WriteItem: no precondition",
    call: (api, collection) => api.writeItem({ collection, item: { id: "a", content: contentOf("b") } }),
    reason: "PRECONDITION_MISSING",
    fields: ["precondition"],
  },
  {
    what: "WriteItem: a precondition without a state",
    call: (api, c) => write(api, c, {}, { state: undefined, revisionSeen: 5 }),
    reason: "PRECONDITION_MISSING",
    fields: ["precondition"],
  },
  {
    what: "WriteItem: absent, but false",
    call: (api, c) => write(api, c, {}, { state: { $case: "absent", value: false } }),
    reason: "INVALID_FIELD",
    fields: ["precondition.absent"],
  },
  {
    what: "WriteItem: any, but false",
    call: (api, c) => write(api, c, {}, { state: { $case: "any", value: false } }),
    reason: "INVALID_FIELD",
    fields: ["precondition.any"],
  },
  {
    what: "WriteItem: any with a revision",
    call: (api, c) => write(api, c, {}, { ...any, revisionSeen: 5 }),
    reason: "INVALID_FIELD",
    fields: ["precondition.revision_seen"],
  },
  {
    what: "WriteItem: a negative revision",
    call: (api, c) => write(api, c, {}, { ...absent, revisionSeen: -1 }),
    reason: "INVALID_FIELD",
    fields: ["precondition.revision_seen"],
  },
  {
    what: "WriteItem: precondition with an unknown algorithm",
    call: (api, c) => write(api, c, {}, { state: { $case: "fingerprint", value: unknown } }),
    reason: "UNKNOWN_ALGORITHM",
    fields: ["precondition.fingerprint.algorithm"],
  },
  {
    what: "WriteItem: precondition not met",
    call: (api, c) => write(api, c, {}, has("a", "never")),
    code: "FAILED_PRECONDITION",
    reason: "PRECONDITION_FAILED",
    fields: [],
  },
  {
    what: "WriteItem: request id of 129 characters",
    call: (api, collection) =>
      api.writeItem({
        collection,
        item: { id: "a", content: contentOf("b") },
        precondition: any,
        requestId: "r".repeat(129),
      }),
    reason: "INVALID_FIELD",
    fields: ["request_id"],
  },
  {
    what: "DeleteItem: no precondition",
    call: (api, collection) => api.deleteItem({ collection, id: "kept" }),
    reason: "PRECONDITION_MISSING",
    fields: ["precondition"],
  },
  {
    what: "DeleteItem: absent",
    call: (api, collection) => api.deleteItem({ collection, id: "kept", precondition: absent }),
    reason: "INVALID_FIELD",
    fields: ["precondition.absent"],
  },
  {
    what: "DeleteItem: precondition not met",
    call: (api, collection) => api.deleteItem({ collection, id: "kept", precondition: has("kept", "other") }),
    code: "FAILED_PRECONDITION",
    reason: "PRECONDITION_FAILED",
    fields: [],
  },
  {
    what: "BatchWriteItems: nothing",
    call: (api, collection) => api.batchWriteItems({ collection }),
    reason: "INVALID_FIELD",
    fields: ["pushes"],
  },
  {
    what: "BatchWriteItems: 10,001 pushes",
    call: (api, collection) =>
      api.batchWriteItems({ collection, pushes: Array.from({ length: 10_001 }, (_, i) => upsert(`${i}`, "")) }),
    reason: "BATCH_TOO_LARGE",
    fields: ["pushes"],
  },
  {
    what: "BatchWriteItems: a negative revision",
    call: (api, collection) => api.batchWriteItems({ collection, pushes: [upsert("a", "b")], revisionSeen: -1 }),
    reason: "INVALID_FIELD",
    fields: ["revision_seen"],
  },
  {
    what: "BatchGetItems: nothing",
    call: (api, collection) => api.batchGetItems({ collection }),
    reason: "INVALID_FIELD",
    fields: ["ids"],
  },
  {
    what: "BatchGetItems: 10,001 ids",
    call: (api, collection) => api.batchGetItems({ collection, ids: Array.from({ length: 10_001 }, (_, i) => `${i}`) }),
    reason: "BATCH_TOO_LARGE",
    fields: ["ids"],
  },
  {
    what: "BatchGetItems: the same id twice",
    call: (api, collection) => api.batchGetItems({ collection, ids: ["a", "b", "a"] }),
    reason: "DUPLICATE_ID",
    fields: ["ids[2]"],
  },
  ...["x", "AAAAAAAAAAAAAAAAAAAA", "!", "\u{1f600}"].map((pageToken) => ({
    what: `ListItems: page token ${pageToken}`,
    call: (api: Api, collection: string) => api.listItems({ collection, pageToken }),
    reason: "INVALID_FIELD",
    fields: ["page_token"],
  })),
  {
    what: "ListItems: the page token of another prefix",
    async call(api, collection) {
      const { nextPageToken: pageToken } = await api.listItems({ collection, pageSize: 1 });
      return api.listItems({ collection, pageToken, idPrefix: "k" });
    },
    reason: "INVALID_FIELD",
    fields: ["page_token"],
  },
  {
    what: "ListItems: a page token of another collection",
    async call(api, collection) {
      const { nextPageToken: pageToken } = await api.listItems({ collection, pageSize: 1 });
      return api.listItems({ collection: "other", pageToken });
    },
    reason: "INVALID_FIELD",
    fields: ["page_token"],
  },
  {
    what: "ListItems: page size below 0",
    call: (api, collection) => api.listItems({ collection, pageSize: -1 }),
    reason: "INVALID_FIELD",
    fields: ["page_size"],
  },
  {
    what: "ListItems: a prefix of 513 bytes",
    call: (api, collection) => api.listItems({ collection, idPrefix: "x".repeat(513) }),
    reason: "INVALID_FIELD",
    fields: ["id_prefix"],
  },
  {
    what: "ListCollections: a page token of nobody",
    call: (api) => api.listCollections({ pageToken: "abc" }),
    reason: "INVALID_FIELD",
    fields: ["page_token"],
  },
  {
    what: "ListConflicts: a page token of nobody",
    call: (api, collection) => api.listConflicts({ collection, pageToken: "abc" }),
    reason: "INVALID_FIELD",
    fields: ["page_token"],
  },
  {
    what: "ListConflicts: a bad id",
    call: (api, collection) => api.listConflicts({ collection, id: "a\nb" }),
    reason: "INVALID_ID",
    fields: ["id"],
  },
  {
    what: "GetConflict: none of that number",
    call: (api, collection) => api.getConflict({ collection, number: 99 }),
    code: "NOT_FOUND",
    reason: "CONFLICT_NOT_FOUND",
    fields: [],
  },
  {
    what: "GetItem: not there",
    call: (api, collection) => api.getItem({ collection, id: "none" }),
    code: "NOT_FOUND",
    reason: "ITEM_NOT_FOUND",
    fields: [],
  },
  {
    what: "ListChanges: a token of nobody",
    call: (api, collection) => api.listChanges({ collection, token: Buffer.from("token") }),
    reason: "TOKEN_MALFORMED",
    fields: ["token"],
  },
  {
    what: "ListChanges: a damaged token",
    async call(api, collection) {
      const token = (await api.listChanges({ collection })).checkpoint?.token ?? Buffer.alloc(0);
      token[30] = (token[30] ?? 0) ^ 1;
      return api.listChanges({ collection, token });
    },
    reason: "TOKEN_MALFORMED",
    fields: ["token"],
  },
  {
    what: "ListChanges: a token of another collection",
    async call(api, collection) {
      const token = (await api.listChanges({ collection: "other" })).checkpoint?.token ?? Buffer.alloc(0);
      return api.listChanges({ collection, token });
    },
    code: "FAILED_PRECONDITION",
    reason: "TOKEN_FOREIGN",
    fields: ["token"],
  },
  {
    what: "ListChanges: a token of another history",
    async call(api, collection) {
      const token = (await api.listChanges({ collection })).checkpoint?.token ?? Buffer.alloc(0);
      token.fill(1, 17, 25);
      createHash("sha256").update(token.subarray(0, 41)).digest().copy(token, 41, 0, 4);
      return api.listChanges({ collection, token });
    },
    code: "FAILED_PRECONDITION",
    reason: "TOKEN_OTHER_HISTORY",
    fields: [],
  },
  {
    what: "ListChanges: a negative inline limit",
    call: (api, collection) => api.listChanges({ collection, inlineBytes: -1 }),
    reason: "INVALID_FIELD",
    fields: ["inline_bytes"],
  },
  {
    what: "CreateCollection: an unknown standard",
    call: (api) => api.createCollection({ collection: "new", standard: 9 as ChangeStandard }),
    reason: "UNKNOWN_STANDARD",
    fields: ["standard"],
  },
  {
    what: "CreateCollection: exists with another standard",
    call: (api, collection) => api.createCollection({ collection, standard: 2 }),
    code: "ALREADY_EXISTS",
    reason: "COLLECTION_EXISTS",
    fields: [],
  },
  {
    what: "DeleteCollection: another uid",
    call: (api, collection) => api.deleteCollection({ collection, uid: Buffer.alloc(16) }),
    code: "NOT_FOUND",
    reason: "COLLECTION_NOT_FOUND",
    fields: [],
  },
  {
    what: "DeleteCollection: a uid of 3 bytes",
    call: (api, collection) => api.deleteCollection({ collection, uid: Buffer.alloc(3) }),
    reason: "INVALID_FIELD",
    fields: ["uid"],
  },
];

function write(
  api: Api,
  collection: string,
  item: object,
  precondition: Parameters<Api["writeItem"]>[0]["precondition"] = any,
) {
  return api.writeItem({ collection, item: { id: "a", content: contentOf("b"), ...item }, precondition } as Parameters<
    Api["writeItem"]
  >[0]);
}

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

  it.each(cases)("$what: $reason", async ({ call, code = invalid, reason, fields = [] }) => {
    const refusal = await leavesAllAsItWas(() => refusalOf(call(test.api, collection)));
    expect(refusal).toMatchObject({ code, reason, fields });
    expect(refusal.message).not.toBe("");
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
      [{ ...one, group: 1 }, ErrorReason.ERROR_REASON_UNSUPPORTED],
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
