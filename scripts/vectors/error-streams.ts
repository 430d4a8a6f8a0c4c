import type { Json } from "./json-text.js";

type Fields = Readonly<Record<string, Json>>;

const collection = "things";

/** An exchange that is refused. */
export interface StreamRefusal {
  readonly name: string;
  readonly messages: readonly Fields[];
  readonly code?: string;
  readonly reason: string;
  readonly fields?: readonly string[];
}

/** Exchanges with the collection `things` that are refused. */
export function streamRefusals(): StreamRefusal[] {
  const open = (more: Fields = {}): Fields => ({ open: { collection, ...more } });
  const limits = ["inlineBytes", "eagerBytes", "messageBytes", "itemBytes", "windowBytes", "windowItems", "groupItems"];
  const field = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  const fetch = (items: Json): Fields => ({ fetch: { items } });
  return [
    { name: "done before open", messages: [{ done: {} }], reason: "OUT_OF_ORDER" },
    { name: "a push before open", messages: [{ push: {} }], reason: "OUT_OF_ORDER" },
    { name: "open twice", messages: [open(), open()], reason: "OUT_OF_ORDER" },
    { name: "ranges without recover", messages: [open(), { ranges: {} }], reason: "OUT_OF_ORDER" },
    {
      name: "recover twice",
      messages: [open({ recover: true }), { recover: {} }, { recover: {} }],
      reason: "OUT_OF_ORDER",
    },
    { name: "nothing but a half-close", messages: [], reason: "OUT_OF_ORDER" },
    {
      name: "a bad name",
      messages: [{ open: { collection: "-" } }],
      reason: "INVALID_COLLECTION_NAME",
      fields: ["open.collection"],
    },
    {
      name: "a collection that is not there",
      messages: [{ open: { collection: "none" } }],
      code: "NOT_FOUND",
      reason: "COLLECTION_NOT_FOUND",
    },
    {
      name: "an unknown standard",
      messages: [open({ standard: 9 })],
      reason: "UNKNOWN_STANDARD",
      fields: ["open.standard"],
    },
    {
      name: "a uid of 3 bytes",
      messages: [open({ collectionUid: "AAAA" })],
      reason: "INVALID_FIELD",
      fields: ["open.collection_uid"],
    },
    {
      name: "the uid of another collection",
      messages: [open({ collectionUid: Buffer.alloc(16).toString("base64") })],
      code: "FAILED_PRECONDITION",
      reason: "TOKEN_FOREIGN",
    },
    { name: "a token of nobody", messages: [open({ token: "AAAA" })], reason: "TOKEN_MALFORMED", fields: ["token"] },
    ...limits.map((name): StreamRefusal => {
      const messages = [open({ limits: { [name]: "-1" } })];
      return {
        name: `a negative limit: ${name}`,
        messages,
        reason: "INVALID_FIELD",
        fields: [`open.limits.${field(name)}`],
      };
    }),
    {
      name: "a batch that has seen less than nothing",
      messages: [open(), { push: { revisionSeen: "-1" } }],
      reason: "INVALID_FIELD",
      fields: ["push.revision_seen"],
    },
    {
      name: "a fetch of a bad id",
      messages: [open(), fetch([{ id: "" }])],
      reason: "INVALID_ID",
      fields: ["fetch.items[0].id"],
    },
    {
      name: "a fetch of the same id twice",
      messages: [open(), fetch([{ id: "a" }, { id: "a" }])],
      reason: "DUPLICATE_ID",
      fields: ["fetch.items[1].id"],
    },
  ];
}
