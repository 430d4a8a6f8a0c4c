import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Json } from "../../vectors/json-text.js";
import { methodOf, protoFromJson } from "../../vectors/proto-json.js";
import { sameRefusal } from "../refusal.js";
import { ROOT } from "../root.js";
import type { ServerCase, ServerPlace } from "../server-place.js";

interface Expected {
  readonly name: string;
  readonly code: string;
  readonly reason: string;
  readonly fields: readonly string[];
  readonly metadata?: Readonly<Record<string, string>>;
}

interface Vectors {
  readonly calls: readonly (Expected & {
    readonly method: string;
    readonly request?: Json;
    readonly requestBytes?: string;
  })[];
  readonly streams: readonly (Expected & { readonly messages: readonly Json[] })[];
}

/** Every refusal of vectors/errors.json. */
export function refusalCases(): readonly ServerCase[] {
  const path = join(ROOT, "test/conformance/vectors/errors.json");
  const { calls, streams } = JSON.parse(readFileSync(path, "utf8")) as Vectors;
  return [
    ...calls.map(({ method, request, requestBytes, ...expected }): ServerCase => {
      return {
        name: `server/refused/${slug(expected.name)}`,
        async run(place) {
          await prepare(place);
          const bytes =
            request === undefined
              ? renamedBytes(Buffer.from(requestBytes ?? "", "base64"), place)
              : protoFromJson(methodOf(method).request, renamed(request, place));
          const said = await place.call(method, bytes);
          sameRefusal("refusal", "error" in said ? said.error : undefined, wanted(expected));
        },
      };
    }),
    ...streams.map(({ messages, ...expected }): ServerCase => {
      return {
        name: `server/exchange-refused/${slug(expected.name)}`,
        async run(place) {
          await prepare(place);
          const stream = place.stream();
          for (const message of messages) stream.sendRaw(protoFromJson("ExchangeRequest", renamed(message, place)));
          stream.end();
          sameRefusal("refusal", await stream.status(), wanted(expected));
        },
      };
    }),
  ];
}

function wanted({ code, reason, fields, metadata }: Expected): Partial<Expected> {
  return { code, reason, fields, ...(metadata === undefined ? {} : { metadata }) };
}

function slug(name: string): string {
  return name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-|-$/g, "");
}

async function prepare(place: ServerPlace): Promise<void> {
  const things = await place.collection("things");
  await place.collection("other");
  await place.api.edit(things, { kept: "1" });
  await place.api.edit(things, { "kept too": "2" });
}

/** The same request for the collections of this case. */
function renamed(value: Json, place: ServerPlace): Json {
  if (Array.isArray(value)) return value.map((each) => renamed(each, place));
  if (typeof value !== "object" || value === null) return value;
  const names = ["things", "other", "none"];
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => {
      if (key === "collection" && typeof each === "string" && names.includes(each)) return [key, place.name(each)];
      return [key, renamed(each as Json, place)];
    }),
  );
}

/** The same of bytes, where they begin with the name of a collection, which is field 1 of all requests. */
function renamedBytes(bytes: Buffer, place: ServerPlace): Buffer {
  const field = (name: string): Buffer => Buffer.concat([Buffer.from([0x0a, name.length]), Buffer.from(name)]);
  const before = field("things");
  if (!bytes.subarray(0, before.length).equals(before)) return bytes;
  return Buffer.concat([field(place.name("things")), bytes.subarray(before.length)]);
}
