import { streamRefusals } from "./error-streams.js";
import { fingerprint } from "./independent.js";
import type { Json } from "./json-text.js";

type Fields = Readonly<Record<string, Json>>;

/** A call that is refused. */
interface Refusal {
  readonly name: string;
  readonly method: string;
  readonly request: Fields;
  /** INVALID_ARGUMENT where it is not said. */
  readonly code?: string;
  readonly reason: string;
  readonly fields?: readonly string[];
  readonly metadata?: Readonly<Record<string, string>>;
}

const ITEMS = "/tercet.v1.ItemService/";
const COLLECTIONS = "/tercet.v1.CollectionService/";
const SHA256 = "FINGERPRINT_ALGORITHM_SHA256";
const collection = "things";
const any = { any: true };

const print = (id: string, content: string): Fields => {
  return { algorithm: SHA256, value: fingerprint(id, content).toString("base64") };
};
const unknown = { algorithm: 7, value: Buffer.alloc(32).toString("base64") };
const short = { algorithm: SHA256, value: Buffer.alloc(31).toString("base64") };

const BAD_IDS: readonly (readonly [what: string, id: Json])[] = [
  ["empty", ""],
  ["513 bytes", { $repeat: { text: "x", count: 513 } }],
  ["a control character", "a\nb"],
  ["a C1 control character", "a\u0085b"],
];

function write(
  name: string,
  item: Fields,
  reason: string,
  fields: readonly string[],
  precondition: Json = any,
): Refusal {
  const request = { collection, item: { id: "a", text: "b", ...item }, precondition };
  return { name: `WriteItem: ${name}`, method: `${ITEMS}WriteItem`, request, reason, fields };
}

function idRefusals(): Refusal[] {
  return BAD_IDS.flatMap(([what, id]) => [
    {
      name: `GetItem: id ${what}`,
      method: `${ITEMS}GetItem`,
      request: { collection, id },
      reason: "INVALID_ID",
      fields: ["id"],
    },
    write(`id ${what}`, { id }, "INVALID_ID", ["item.id"]),
    {
      name: `DeleteItem: id ${what}`,
      method: `${ITEMS}DeleteItem`,
      request: { collection, id, precondition: any },
      reason: "INVALID_ID",
      fields: ["id"],
    },
    {
      name: `BatchGetItems: id ${what}`,
      method: `${ITEMS}BatchGetItems`,
      request: { collection, ids: ["kept", id] },
      reason: "INVALID_ID",
      fields: ["ids[1]"],
    },
  ]);
}

const CALLS: readonly (readonly [method: string, request: Fields])[] = [
  [`${ITEMS}GetItem`, { id: "a" }],
  [`${ITEMS}ListItems`, {}],
  [`${ITEMS}WriteItem`, { item: { id: "a", text: "b" }, precondition: any }],
  [`${ITEMS}DeleteItem`, { id: "a", precondition: any }],
  [`${ITEMS}ListChanges`, {}],
  [`${ITEMS}BatchGetItems`, { ids: ["a"] }],
  [`${ITEMS}BatchWriteItems`, { pushes: [{ id: "a", kind: "CHANGE_KIND_UPSERTED", text: "b" }] }],
  [`${COLLECTIONS}GetCollection`, {}],
  [`${COLLECTIONS}DeleteCollection`, {}],
  [`${COLLECTIONS}ListConflicts`, {}],
  [`${COLLECTIONS}GetConflict`, { number: "1" }],
];

function nameRefusals(): Refusal[] {
  return CALLS.flatMap(([method, request]) => {
    const call = method.slice(method.lastIndexOf("/") + 1);
    return [
      {
        name: `${call}: a bad name of a collection`,
        method,
        request: { collection: "-a", ...request },
        reason: "INVALID_COLLECTION_NAME",
        fields: ["collection"],
      },
      {
        name: `${call}: a collection that is not there`,
        method,
        request: { collection: "none", ...request },
        code: "NOT_FOUND",
        reason: "COLLECTION_NOT_FOUND",
        fields: [],
      },
    ];
  });
}

function writeRefusals(): Refusal[] {
  const failed = (name: string, precondition: Fields, item: Fields = {}): Refusal => {
    const held = { revision: "1", fingerprint: fingerprint("kept", "1").toString("hex") };
    const refusal = write(name, { id: "kept", ...item }, "PRECONDITION_FAILED", [], precondition);
    return { ...refusal, code: "FAILED_PRECONDITION", metadata: held };
  };
  return [
    {
      name: "WriteItem: no content",
      method: `${ITEMS}WriteItem`,
      request: { collection, item: { id: "a" }, precondition: any },
      reason: "CONTENT_MISSING",
      fields: ["item.content"],
    },
    {
      name: "WriteItem: no item",
      method: `${ITEMS}WriteItem`,
      request: { collection, precondition: any },
      reason: "INVALID_FIELD",
      fields: ["item"],
    },
    {
      name: "WriteItem: no precondition",
      method: `${ITEMS}WriteItem`,
      request: { collection, item: { id: "a", text: "b" } },
      reason: "PRECONDITION_MISSING",
      fields: ["precondition"],
    },
    write("a part of a content", { offset: "1" }, "INVALID_FIELD", ["item.offset"]),
    write("a time before 1970", { modifyTimeUs: "-1" }, "INVALID_FIELD", ["item.modify_time_us"]),
    write("the fingerprint of another content", { fingerprint: print("a", "c") }, "FINGERPRINT_MISMATCH", [
      "item.fingerprint",
    ]),
    write("a fingerprint of 31 bytes", { fingerprint: short }, "FINGERPRINT_MISMATCH", ["item.fingerprint.value"]),
    write("an unknown algorithm", { fingerprint: unknown }, "UNKNOWN_ALGORITHM", ["item.fingerprint.algorithm"]),
    write("a content over 1 MiB", { text: { $repeat: { text: "x", count: 1024 * 1024 + 1 } } }, "ITEM_TOO_LARGE", [
      "item.content",
    ]),
    write("a precondition without a state", {}, "PRECONDITION_MISSING", ["precondition"], { revisionSeen: "5" }),
    write("any, but false", {}, "INVALID_FIELD", ["precondition.any"], { any: false }),
    write("absent, but false", {}, "INVALID_FIELD", ["precondition.absent"], { absent: false }),
    write("any with a revision", {}, "INVALID_FIELD", ["precondition.revision_seen"], { any: true, revisionSeen: "5" }),
    write("a negative revision", {}, "INVALID_FIELD", ["precondition.revision_seen"], {
      absent: true,
      revisionSeen: "-1",
    }),
    write("a precondition of an unknown algorithm", {}, "UNKNOWN_ALGORITHM", ["precondition.fingerprint.algorithm"], {
      fingerprint: unknown,
    }),
    failed("another fingerprint than the one expected", { fingerprint: print("kept", "another") }),
    failed("there although it should be absent", { absent: true }, { text: "2" }),
    {
      name: "DeleteItem: absent",
      method: `${ITEMS}DeleteItem`,
      request: { collection, id: "kept", precondition: { absent: true } },
      reason: "INVALID_FIELD",
      fields: ["precondition.absent"],
    },
    {
      name: "BatchWriteItems: nothing",
      method: `${ITEMS}BatchWriteItems`,
      request: { collection },
      reason: "INVALID_FIELD",
      fields: ["pushes"],
    },
    {
      name: "BatchWriteItems: 10,001 pushes",
      method: `${ITEMS}BatchWriteItems`,
      request: { collection, pushes: { $repeat: { item: {}, count: 10_001 } } },
      reason: "BATCH_TOO_LARGE",
      fields: ["pushes"],
    },
  ];
}

function readRefusals(): Refusal[] {
  const items = (call: string, more: Fields, reason: string, fields: readonly string[], code?: string): Refusal => {
    const request = { collection, ...more };
    const name = `${call}: ${reason}`;
    return { name, method: `${ITEMS}${call}`, request, reason, fields, ...(code === undefined ? {} : { code }) };
  };
  const token = Buffer.from("not a token").toString("base64");
  return [
    items("GetItem", { id: "none" }, "ITEM_NOT_FOUND", [], "NOT_FOUND"),
    items("BatchGetItems", {}, "INVALID_FIELD", ["ids"]),
    items("BatchGetItems", { ids: ["a", "b", "a"] }, "DUPLICATE_ID", ["ids[2]"]),
    items("BatchGetItems", { ids: { $repeat: { item: "", count: 10_001 } } }, "BATCH_TOO_LARGE", ["ids"]),
    items("ListItems", { pageToken: "x" }, "INVALID_FIELD", ["page_token"]),
    items("ListItems", { pageSize: -1 }, "INVALID_FIELD", ["page_size"]),
    items("ListChanges", { token }, "TOKEN_MALFORMED", ["token"]),
    items("ListChanges", { inlineBytes: "-1" }, "INVALID_FIELD", ["inline_bytes"]),
    {
      name: "GetConflict: none of that number",
      method: `${COLLECTIONS}GetConflict`,
      request: { collection, number: "99" },
      code: "NOT_FOUND",
      reason: "CONFLICT_NOT_FOUND",
      fields: [],
    },
    {
      name: "CreateCollection: a bad name",
      method: `${COLLECTIONS}CreateCollection`,
      request: { collection: "a/b" },
      reason: "INVALID_COLLECTION_NAME",
      fields: ["collection"],
    },
    {
      name: "CreateCollection: an unknown standard",
      method: `${COLLECTIONS}CreateCollection`,
      request: { collection: "new", standard: 9 },
      reason: "UNKNOWN_STANDARD",
      fields: ["standard"],
    },
    {
      name: "CreateCollection: there, with another standard",
      method: `${COLLECTIONS}CreateCollection`,
      request: { collection, standard: "CHANGE_STANDARD_CLIENT" },
      code: "ALREADY_EXISTS",
      reason: "COLLECTION_EXISTS",
      fields: [],
    },
    {
      name: "DeleteCollection: of another uid",
      method: `${COLLECTIONS}DeleteCollection`,
      request: { collection, uid: Buffer.alloc(16).toString("base64") },
      code: "NOT_FOUND",
      reason: "COLLECTION_NOT_FOUND",
      fields: [],
    },
  ];
}

/** errors.json */
export function errorVectors(): Json {
  const calls = [...idRefusals(), ...nameRefusals(), ...writeRefusals(), ...readRefusals()];
  return {
    description: "Calls and exchanges that a server refuses, and how: the code, and the google.rpc details.",
    format: [
      "before: what has to be there: the collections, and the items that were written to them in this order, by themselves.",
      "calls: unary calls. `method` is the gRPC path, `request` protobuf JSON of its request ($repeat: see README.md).",
      "`requestBytes`, in place of it, are the bytes of a message in base64 that protobuf JSON can't say.",
      "streams: exchanges. The `messages` are ExchangeRequest in protobuf JSON; after the last one the client half-closes.",
      "`code` is the canonical gRPC code. `reason` that of the ErrorInfo in the status details, with the domain tercet.dev.",
      "`fields`: those that BadRequest names (no BadRequest where there are none). `metadata`: of the ErrorInfo, where it is",
      "said. Words for people differ from server to server. None of these changes anything at the server.",
      "Rejections of single pushes are in exchanges/bad-pushes.json.",
    ],
    before: [
      {
        collection,
        items: [
          { id: "kept", text: "1" },
          { id: "kept too", text: "2" },
        ],
      },
      { collection: "other", items: [] },
    ],
    calls: [
      ...calls.map(({ code = "INVALID_ARGUMENT", ...refusal }): Json => ({ ...refusal, code })),
      {
        name: "bytes that are no protobuf",
        method: `${ITEMS}GetItem`,
        requestBytes: Buffer.from([10, 5, 99]).toString("base64"),
        reason: "MALFORMED_MESSAGE",
        fields: [],
        code: "INVALID_ARGUMENT",
      },
      {
        name: "an id that is not UTF-8",
        method: `${ITEMS}GetItem`,
        // collection "things", id of the byte FF
        requestBytes: Buffer.from("0a067468696e67731201ff", "hex").toString("base64"),
        reason: "INVALID_ID",
        fields: ["id"],
        code: "INVALID_ARGUMENT",
      },
      {
        name: "a number beyond 2^53",
        method: `${ITEMS}GetItem`,
        // collection "things", id "a", offset 2^63 - 1
        requestBytes: Buffer.from("0a067468696e677312016118ffffffffffffffff7f", "hex").toString("base64"),
        reason: "MALFORMED_MESSAGE",
        fields: [],
        code: "INVALID_ARGUMENT",
      },
    ],
    streams: streamRefusals().map(({ code = "INVALID_ARGUMENT", fields = [], ...refusal }): Json => {
      return { ...refusal, code, fields };
    }),
  };
}
