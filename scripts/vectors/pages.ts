import { fingerprint, sum } from "./independent.js";
import type { Json } from "./json-text.js";

const SHA256 = "FINGERPRINT_ALGORITHM_SHA256";
const UPSERTED = "CHANGE_KIND_UPSERTED";
const DELETED = "CHANGE_KIND_DELETED";

type Fields = Readonly<Record<string, Json>>;

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");

/** A change with all its fields, in protobuf JSON. */
function upserted(id: string, revision: number, time: number, content: string, more: Fields = {}): Fields {
  const print = { algorithm: SHA256, value: base64(fingerprint(id, content)) };
  const size = Buffer.byteLength(content);
  return {
    id,
    kind: UPSERTED,
    revision: String(revision),
    fingerprint: print,
    ...(size === 0 ? {} : { size: String(size) }),
    modifyTimeUs: String(time),
    ...more,
    text: content,
  };
}

function deleted(id: string, revision: number, time: number): Fields {
  return { id, kind: DELETED, revision: String(revision), modifyTimeUs: String(time) };
}

/** The same without some of its fields. */
function without(change: Fields, ...names: readonly string[]): Fields {
  return Object.fromEntries(Object.entries(change).filter(([name]) => !names.includes(name)));
}

function rangeOf(...items: readonly (readonly [id: string, content: string])[]): Json {
  const prints = items.map(([id, content]) => fingerprint(id, content));
  return { count: String(items.length), sum: base64(sum(prints)), algorithm: SHA256 };
}

const T = 1_760_000_000_000_000;

/** Pages as they are made: the changes, and what of them travels. */
function coded(): Json[] {
  const [a, b, c] = [upserted("a", 7, T, "1"), upserted("b", 8, T, "2"), upserted("c", 9, T + 5, "3")];
  const large = without(upserted("large", 10, T + 5, "x".repeat(60)), "text");
  const gone = deleted("gone", 11, T + 5);
  const [g, h] = [upserted("g", 20, T, "1", { group: "20" }), upserted("h", 20, T, "2", { group: "20" })];
  const far = upserted("far", 30, T + 9, "4");
  const binary = { ...without(upserted("bytes", 1, T, "1"), "text"), data: base64(Buffer.from("1")) };
  const empty = upserted("empty", 1, T, "");
  const inline = ["fingerprint", "size"];
  return [
    { name: "no changes", changes: [], page: {} },
    {
      name: "one inline content: fingerprint and size are left out, the page's fingerprint covers it",
      changes: [a],
      page: { changes: [without(a, ...inline)], fingerprint: rangeOf(["a", "1"]) },
    },
    {
      name: "consecutive revisions and equal times are left out",
      changes: [a, b, c],
      page: {
        changes: [
          without(a, ...inline),
          without(b, ...inline, "revision", "modifyTimeUs"),
          without(c, ...inline, "revision"),
        ],
        fingerprint: rangeOf(["a", "1"], ["b", "2"], ["c", "3"]),
      },
    },
    {
      name: "a content that has to be fetched keeps its fingerprint and size, and is not in the page's",
      changes: [c, large, gone],
      page: {
        changes: [
          without(c, ...inline),
          without(large, "revision", "modifyTimeUs"),
          without(gone, "revision", "modifyTimeUs"),
        ],
        fingerprint: rangeOf(["c", "3"]),
      },
    },
    {
      name: "deletions only: no page fingerprint",
      changes: [gone],
      page: { changes: [gone] },
    },
    {
      name: "a commit of two changes: the second has the same revision, which is not one more, and so is said",
      changes: [g, h],
      page: {
        changes: [without(g, ...inline), without(h, ...inline, "modifyTimeUs")],
        fingerprint: rangeOf(["g", "1"], ["h", "2"]),
      },
    },
    {
      name: "a gap in the revisions is said",
      changes: [g, h, far],
      page: {
        changes: [without(g, ...inline), without(h, ...inline, "modifyTimeUs"), without(far, ...inline)],
        fingerprint: rangeOf(["g", "1"], ["h", "2"], ["far", "4"]),
      },
    },
    {
      name: "bytes",
      changes: [binary],
      page: { changes: [without(binary, ...inline)], fingerprint: rangeOf(["bytes", "1"]) },
    },
    {
      name: "an empty text is a content, too",
      changes: [empty],
      page: { changes: [without(empty, ...inline)], fingerprint: rangeOf(["empty", ""]) },
    },
  ];
}

/** Pages as they may arrive: what a reader makes of them. */
function read(): Json[] {
  const [a, b] = [upserted("a", 7, T, "1"), upserted("b", 8, T, "2")];
  const inline = ["fingerprint", "size"];
  const [plainA, plainB] = [without(a, ...inline), without(b, ...inline)];
  const gone = deleted("gone", 9, T);
  const good = rangeOf(["a", "1"], ["b", "2"]);
  const print = (value: Uint8Array, algorithm: Json = SHA256): Json => ({ algorithm, value: base64(value) });
  return [
    { name: "all fields are set", page: { changes: [a, b] }, good: ["a", "b"], doubtful: [], unknown: [] },
    {
      name: "a damaged content: everything that the page's fingerprint covers is in doubt, and nothing else",
      page: { changes: [{ ...plainA, text: "damaged" }, plainB, gone], fingerprint: good },
      good: ["gone"],
      doubtful: ["a", "b"],
      unknown: [],
    },
    { name: "no page fingerprint", page: { changes: [plainA, gone] }, good: ["gone"], doubtful: ["a"], unknown: [] },
    {
      name: "a page fingerprint of another algorithm",
      page: { changes: [plainA], fingerprint: { ...(rangeOf(["a", "1"]) as Fields), algorithm: 7 } },
      good: [],
      doubtful: ["a"],
      unknown: [],
    },
    {
      name: "a count that is not right",
      page: { changes: [plainA], fingerprint: { ...(rangeOf(["a", "1"]) as Fields), count: "2" } },
      good: [],
      doubtful: ["a"],
      unknown: [],
    },
    {
      name: "a content with a fingerprint of its own that does not agree",
      page: {
        changes: [{ ...a, fingerprint: print(fingerprint("a", "2")) }, plainB],
        fingerprint: rangeOf(["b", "2"]),
      },
      good: ["b"],
      doubtful: ["a"],
      unknown: [],
    },
    {
      name: "an unknown kind",
      page: { changes: [{ ...plainA, kind: 9 }, gone] },
      good: ["gone"],
      doubtful: [],
      unknown: ["a"],
    },
    {
      name: "an unknown algorithm",
      page: { changes: [{ ...a, fingerprint: print(fingerprint("a", "1"), 7) }, gone] },
      good: ["gone"],
      doubtful: [],
      unknown: ["a"],
    },
    {
      name: "neither fingerprint nor content",
      page: { changes: [without(a, "fingerprint", "text"), gone] },
      good: ["gone"],
      doubtful: [],
      unknown: ["a"],
    },
  ];
}

/** pages.json */
export function pageVectors(): Json {
  return {
    description:
      "Change pages: which fields are left out, how a reader fills them in, and how inline contents are proved.",
    format: [
      "coded: `changes` are ChangeInfo with all fields set, `page` the same as a ChangePage carries them (its changes and",
      "fingerprint; checkpoint, end and proof are left out here). A writer makes `page` of `changes`, a reader `changes` of",
      "`page`.",
      "read: pages as they may arrive. `good`: ids of the changes that a reader may take; `doubtful`: those whose content does",
      "not agree with what proves it, to be fetched once more before anything is stored; `unknown`: those that the reader can't",
      "take, so that it ends the exchange before this page.",
      "Messages are protobuf JSON of tercet.v1.ChangeInfo and tercet.v1.ChangePage.",
    ],
    coded: coded(),
    read: read(),
  };
}
