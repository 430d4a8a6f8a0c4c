import { createHash } from "node:crypto";
import type { ChangeStandard, FingerprintAlgorithm } from "../../gen/tercet/v1/item.js";
import type { Api } from "./api.js";
import { absent, any, contentOf, has, printOf, upsert } from "./build.js";
import { badRanges, nothingOf } from "./range-cases.js";

/** 1 MiB. */
export const MIB = 1024 * 1024;
/** A fingerprint of an algorithm that nobody knows. */
export const unknown = { algorithm: 7 as FingerprintAlgorithm, value: Buffer.alloc(32) };
/** A fingerprint that lacks a byte. */
export const short = { ...printOf("a", "b"), value: Buffer.alloc(31) };
/** Ids that are refused wherever they stand. */
export const BAD_IDS: Readonly<Record<string, string>> = {
  empty: "",
  "513 bytes": "x".repeat(513),
  "513 bytes of two-byte characters": `${"ä".repeat(256)}x`,
  "a control character": "a\nb",
  "a zero byte": "a\0b",
  "a C1 control character": "a\u0085b",
};

/** A horizon by its revision. */
const upTo = (value: number) => ({ $case: "throughRevision", value }) as const;

/** A call that is refused, and how. */
export interface RefusalCase {
  readonly what: string;
  readonly call: (api: Api, collection: string) => Promise<unknown>;
  /** INVALID_ARGUMENT unless it is said. */
  readonly code?: string;
  readonly reason: string;
  readonly fields?: readonly string[];
}

/** Unary calls with bad input, for a collection with the items "kept" and "kept too", and another one, `other`. */
export const refusalCases: RefusalCase[] = [
  ...Object.entries(BAD_IDS).flatMap(([what, id]): RefusalCase[] => [
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
  ...["", "-a", "a b", "x".repeat(129), "ä", "a/b"].flatMap((collection): RefusalCase[] =>
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
        ["RestoreConflict", (api: Api) => api.restoreConflict({ collection, number: 1 })],
        ["CompactCollection", (api: Api) => api.compactCollection({ collection, horizon: upTo(1) })],
        ["CompareRanges", (api: Api) => api.compareRanges({ collection, ranges: nothingOf({}) })],
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
      ["RestoreConflict", (api: Api) => api.restoreConflict({ collection: "none", number: 1 })],
      ["CompactCollection", (api: Api) => api.compactCollection({ collection: "none", horizon: upTo(1) })],
      ["CompareRanges", (api: Api) => api.compareRanges({ collection: "none", ranges: nothingOf({}) })],
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
    what: "WriteItem: a time before 1970",
    call: (api, c) => write(api, c, { modifyTimeUs: -1 }),
    reason: "INVALID_FIELD",
    fields: ["item.modify_time_us"],
  },
  {
    what: "DeleteItem: a time before 1970",
    call: (api, collection) => api.deleteItem({ collection, id: "kept", precondition: any, modifyTimeUs: -1 }),
    reason: "INVALID_FIELD",
    fields: ["modify_time_us"],
  },
  {
    what: "DeleteItem: no precondition",
    call: (api, collection) => api.deleteItem({ collection, id: "kept" }),
    reason: "PRECONDITION_MISSING",
    fields: ["precondition"],
  },
  {
    what: "DeleteItem: a fingerprint of an unknown algorithm",
    call: (api, collection) =>
      api.deleteItem({ collection, id: "kept", precondition: { state: { $case: "fingerprint", value: unknown } } }),
    reason: "UNKNOWN_ALGORITHM",
    fields: ["precondition.fingerprint.algorithm"],
  },
  {
    what: "DeleteItem: a fingerprint that is none",
    call: (api, collection) =>
      api.deleteItem({ collection, id: "kept", precondition: { state: { $case: "fingerprint", value: short } } }),
    reason: "FINGERPRINT_MISMATCH",
    fields: ["precondition.fingerprint.value"],
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
    what: "RestoreConflict: none of that number",
    call: (api, collection) => api.restoreConflict({ collection, number: 99, requestId: "99" }),
    code: "NOT_FOUND",
    reason: "CONFLICT_NOT_FOUND",
    fields: [],
  },
  {
    what: "RestoreConflict: request id of 129 characters",
    call: (api, collection) => api.restoreConflict({ collection, number: 99, requestId: "r".repeat(129) }),
    reason: "INVALID_FIELD",
    fields: ["request_id"],
  },
  {
    what: "PruneConflicts: records of the future",
    call: (api) => api.pruneConflicts({ olderThanUs: -1 }),
    reason: "INVALID_FIELD",
    fields: ["older_than_us"],
  },
  {
    what: "CompactCollection: no horizon",
    call: (api, collection) => api.compactCollection({ collection }),
    reason: "INVALID_FIELD",
    fields: ["horizon"],
  },
  {
    what: "CompactCollection: a negative revision",
    call: (api, collection) => api.compactCollection({ collection, horizon: upTo(-1) }),
    reason: "INVALID_FIELD",
    fields: ["through_revision"],
  },
  {
    what: "CompactCollection: a negative age",
    call: (api, collection) => api.compactCollection({ collection, horizon: { $case: "olderThanUs", value: -1 } }),
    reason: "INVALID_FIELD",
    fields: ["older_than_us"],
  },
  {
    what: "CompareRanges: no ranges",
    call: (api, collection) => api.compareRanges({ collection }),
    reason: "RANGES_INVALID",
    fields: ["ranges.kinds"],
  },
  {
    what: "CompareRanges: a negative inline limit",
    call: (api, collection) => api.compareRanges({ collection, ranges: nothingOf({}), inlineBytes: -1 }),
    reason: "INVALID_FIELD",
    fields: ["inline_bytes"],
  },
  ...badRanges.map(
    ({ what, ranges, field }): RefusalCase => ({
      what: `CompareRanges: ${what}`,
      call: (api, collection) => api.compareRanges({ collection, ranges }),
      reason: "RANGES_INVALID",
      fields: [field],
    }),
  ),
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
      token[20] = (token[20] ?? 0) ^ 1;
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
      createHash("sha256")
        .update(token.subarray(0, -4))
        .digest()
        .copy(token, token.length - 4, 0, 4);
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
