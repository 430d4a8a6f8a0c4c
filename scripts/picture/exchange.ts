import type { Json } from "../vectors/json-text.js";
import { protoFromJson } from "../vectors/proto-json.js";
import { CLIENT, equalWorld } from "../vectors/scenario.js";

type Fields = Readonly<Record<string, Json>>;

/** One message of the picture, or an end of the stream. */
export interface Line {
  readonly from: "client" | "server";
  /** The message's type; of an end, what it is. */
  readonly name: string;
  /** What is in it, in words. */
  readonly detail: string;
  /** Bytes of the encoded message; undefined for an end. */
  readonly bytes: number | undefined;
}

/**
 * The exchange that the picture shows, as both sides' own code makes it: one change here, one there with a content that is
 * too large to ride along, and one on both sides, by the standard CLIENT. Clock, tokens and ids are fixed.
 */
export function recordExchange(): Line[] {
  const places = equalWorld({ basel: "Basel", geneva: "Geneva", zurich: "Zurich" });
  places.change({ zurich: "Zürich", geneva: "Genf" });
  places.elsewhere({ geneva: "Genève", "map.svg": "<svg>".padEnd(24_000, ".") });
  const { messages } = places.record({ standard: CLIENT }) as unknown as { readonly messages: readonly Fields[] };
  return messages.map(toLine);
}

function toLine(step: Fields): Line {
  const from = step["from"] === "client" ? "client" : "server";
  const message = step["message"] as Fields | undefined;
  if (message === undefined) {
    if (step["halfClose"] === true) return { from, name: "half-close", detail: "", bytes: undefined };
    return { from, name: `status ${String((step["status"] as Fields)["code"])}`, detail: "", bytes: undefined };
  }
  const type = from === "client" ? "ExchangeRequest" : "ExchangeResponse";
  const [kind = "", value] = Object.entries(message)[0] ?? [];
  const words = WORDS[kind];
  if (words === undefined) throw new Error(`the picture has no words for a message "${kind}"`);
  const [name, describe] = words;
  return { from, name, detail: describe(value as Fields), bytes: protoFromJson(type, message as Json).length };
}

/** Of each kind of message its type, and what there is to say of one. */
const WORDS: Readonly<Record<string, readonly [string, (message: Fields) => string]>> = {
  open: ["Open", () => "collection, token, standard, limits"],
  push: ["PushBatch", (batch) => listOf(batch, "pushes").map(pushWords).join(", ")],
  fetch: ["Fetch", (fetch) => listOf(fetch, "items").map(idOf).join(", ")],
  taken: ["Taken", (taken) => `up to revision ${String(taken["revision"])}`],
  done: ["Done", () => ""],
  opened: ["Opened", (opened) => `standard ${shortName(opened["standard"])}, limits, head ${String(opened["head"])}`],
  verdicts: ["Verdicts", (verdicts) => listOf(verdicts, "verdicts").map(verdictWords).join(", ")],
  page: ["ChangePage", pageWords],
  contents: ["Contents", (contents) => listOf(contents, "items").map(idOf).join(", ")],
};

function listOf(message: Fields, field: string): readonly Fields[] {
  return (message[field] ?? []) as unknown as readonly Fields[];
}

function idOf(item: Fields): string {
  return String(item["id"]);
}

/** An enum value without the name of its enum. */
function shortName(value: Json | undefined): string {
  return String(value).split("_").slice(2).join(" ");
}

function pushWords(push: Fields): string {
  const what = push["text"] === undefined ? "" : ` "${String(push["text"])}"`;
  return `${idOf(push)}${what}${push["overrides"] === undefined ? "" : " overrides"}`;
}

function verdictWords(verdict: Fields): string {
  const current = verdict["current"] as Fields | undefined;
  const outcome = shortName(verdict["outcome"]).toLowerCase();
  return `${outcome}${current === undefined ? "" : `: ${idOf(current)}`}`;
}

function pageWords(page: Fields): string {
  const changes = listOf(page, "changes").map((change) => {
    const content =
      change["text"] === undefined ? `(${Number(change["size"]) / 1000} kB)` : `"${String(change["text"])}"`;
    return `${idOf(change)} ${content}`;
  });
  const proof = page["proof"] as Fields | undefined;
  const end = proof === undefined ? [] : [`proof: ${String(proof["count"])} items, sum`];
  return [...changes, ...end].join(", ");
}
