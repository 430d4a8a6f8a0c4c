import { byteOrder } from "./independent.js";
import type { Json } from "./json-text.js";

/** In the order of their UTF-8 bytes; a comparison by UTF-16 units has the last of them elsewhere. */
const ORDERED = [
  " ",
  "!",
  "-",
  "0",
  "10",
  "2",
  "A",
  "Z",
  "_",
  "a",
  "a b",
  "a.",
  "aa",
  "ab",
  "b",
  "~",
  "\u00a0",
  "\u00e9",
  "\u00ff",
  "\u0100",
  "\u07ff",
  "\u0800",
  "\u4e2d",
  "\ud7ff",
  "\ue000",
  "\ue000x",
  "\uffee",
  "\uffff",
  "\u{10000}",
  "\u{10000}\ue000",
  "\u{10000}\u{10000}",
  "\u{1f600}",
  "\u{10ffff}",
];

interface Checked {
  readonly name: string;
  readonly id: string;
  /** Undefined: a good one. */
  readonly reason?: string;
}

const IDS: readonly Checked[] = [
  { name: "one character", id: "a" },
  { name: "a space", id: " " },
  { name: "slashes, dots, quotes: ids are data", id: "../a/\"b\"'c'\\" },
  { name: "words of programming languages", id: "__proto__" },
  { name: "no-break space U+00A0, the first after the C1 control characters", id: "\u00a0" },
  { name: "the last character U+10FFFF", id: "\u{10ffff}" },
  { name: "noncharacter U+FFFF", id: "\uffff" },
  { name: "512 bytes of one byte each", id: "x".repeat(512) },
  { name: "512 bytes of two bytes each", id: "\u00e4".repeat(256) },
  { name: "512 bytes of four bytes each", id: "\u{1f600}".repeat(128) },
  { name: "empty", id: "", reason: "empty" },
  { name: "513 bytes of one byte each", id: "x".repeat(513), reason: "over 512 bytes" },
  { name: "257 characters of two bytes each: bytes count", id: "\u00e4".repeat(257), reason: "over 512 bytes" },
  { name: "zero", id: "a\0b", reason: "control character U+0000" },
  { name: "line feed", id: "a\n", reason: "control character U+000A" },
  { name: "the last of C0", id: "\u001f", reason: "control character U+001F" },
  { name: "delete", id: "a\u007f", reason: "control character U+007F" },
  { name: "the first of C1", id: "\u0080", reason: "control character U+0080" },
  { name: "next line", id: "a\u0085b", reason: "control character U+0085" },
  { name: "the last of C1", id: "\u009f", reason: "control character U+009F" },
];

const NAMES: readonly { readonly name: string; readonly valid: boolean }[] = [
  { name: "a", valid: true },
  { name: "0", valid: true },
  { name: "Things.of_2026-11", valid: true },
  { name: "a".repeat(128), valid: true },
  { name: "", valid: false },
  { name: "a".repeat(129), valid: false },
  { name: "-a", valid: false },
  { name: ".a", valid: false },
  { name: "_a", valid: false },
  { name: "a b", valid: false },
  { name: "a/b", valid: false },
  { name: "\u00e4", valid: false },
  { name: "a\n", valid: false },
];

const PREFIXES: readonly { readonly prefix: string; readonly end: string | null }[] = [
  { prefix: "", end: null },
  { prefix: "a", end: "b" },
  { prefix: "a/", end: "a0" },
  { prefix: "z~", end: "z\u007f" },
  { prefix: "\u007f", end: "\u0080" },
  { prefix: "\u07ff", end: "\u0800" },
  { prefix: "\ud7ff", end: "\ue000" },
  { prefix: "\uffff", end: "\u{10000}" },
  { prefix: "a\u{10ffff}", end: "b" },
  { prefix: "\u{10ffff}\u{10ffff}", end: null },
];

const SEPARATORS: readonly { readonly before: string; readonly after: string; readonly separator: string }[] = [
  { before: "", after: "abc", separator: "a" },
  { before: "a", after: "b", separator: "b" },
  { before: "abc", after: "abd", separator: "abd" },
  { before: "abc", after: "abdef", separator: "abd" },
  { before: "ab", after: "abcde", separator: "abc" },
  { before: "item-000199", after: "item-000200", separator: "item-0002" },
  { before: "\u00e8", after: "\u00e9x", separator: "\u00e9" },
  { before: "\uffee", after: "\u{10000}z", separator: "\u{10000}" },
];

/** Bounds as IdBounds, in protobuf JSON. */
const BOUNDS: readonly { readonly bounds: readonly string[]; readonly coded: Json }[] = [
  { bounds: [], coded: {} },
  { bounds: ["m"], coded: { shared: [0], rest: ["m"] } },
  { bounds: ["item-1", "item-12", "item-2"], coded: { shared: [0, 6, 5], rest: ["item-1", "2", "2"] } },
  { bounds: ["a", "b"], coded: { shared: [0, 0], rest: ["a", "b"] } },
  // U+00E9 is C3 A9, U+00EA is C3 AA: the first byte is the same, and yet no whole character.
  { bounds: ["x\u00e9", "x\u00ea"], coded: { shared: [0, 1], rest: ["x\u00e9", "\u00ea"] } },
  { bounds: ["\u00e91", "\u00e92"], coded: { shared: [0, 2], rest: ["\u00e91", "2"] } },
  // F0 9F 98 80 and F0 9F 98 81: in UTF-16 their first halves are the same.
  { bounds: ["\u{1f600}", "\u{1f601}"], coded: { shared: [0, 0], rest: ["\u{1f600}", "\u{1f601}"] } },
  { bounds: ["\u{1f600}a", "\u{1f600}b"], coded: { shared: [0, 4], rest: ["\u{1f600}a", "b"] } },
  { bounds: ["\uffee", "\u{10000}"], coded: { shared: [0, 0], rest: ["\uffee", "\u{10000}"] } },
];

const BAD_BOUNDS: readonly { readonly name: string; readonly coded: Json }[] = [
  { name: "one list is longer", coded: { shared: [0, 1], rest: ["a"] } },
  { name: "the first shares with nothing", coded: { shared: [1], rest: ["a"] } },
  { name: "more is shared than there is", coded: { shared: [0, 3], rest: ["ab", "c"] } },
  { name: "a character is cut", coded: { shared: [0, 1], rest: ["\u00e9", "x"] } },
  { name: "the same bound twice", coded: { shared: [0, 1], rest: ["a", ""] } },
  { name: "bounds that do not ascend", coded: { shared: [0, 0], rest: ["b", "a"] } },
  { name: "descending in bytes, ascending in UTF-16 units", coded: { shared: [0, 0], rest: ["\u{10000}", "\uffee"] } },
  { name: "an empty bound", coded: { shared: [0], rest: [""] } },
];

/** ids.json */
export function idVectors(): Json {
  const sorted = [...ORDERED].sort(byteOrder);
  if (sorted.some((id, at) => id !== ORDERED[at])) throw new Error("the ids of the vectors are not in order");
  return {
    description: "Ids and names of collections: their order, which are good, and how bounds between ids are coded.",
    format: [
      "ordered: ids in ascending order, that is by their UTF-8 bytes; any two may be compared.",
      "ids: `valid`, and for a bad id `why` in words; it is refused with INVALID_ID.",
      "notUtf8: bytes in hex that are no id, as they are not UTF-8. A server refuses such an id with INVALID_ID. Many",
      "libraries neither write nor read a message with one; nobody may read it as another id (with U+FFFD in it).",
      "collectionNames: `valid`; a bad name is refused with INVALID_COLLECTION_NAME.",
      "prefixes: the ids that begin with `prefix` are those from `prefix` up to, and without, `end`; null: to the last.",
      "separators: the shortest string of whole characters that is greater than `before` and not greater than `after`. A",
      "bound between two neighbours may be any string between them; this is the one that this project's server chooses.",
      "bounds: lists of bounds, and how IdBounds (protobuf JSON) codes them. badBounds: what no reader may accept",
      "(RANGES_INVALID at a server).",
    ],
    ordered: ORDERED,
    ids: IDS.map(({ name, id, reason }) => ({ name, id, valid: reason === undefined, ...(reason && { why: reason }) })),
    notUtf8: ["ff", "c080", "eda080", "f4908080", "61c3"],
    collectionNames: NAMES,
    prefixes: PREFIXES,
    separators: SEPARATORS,
    bounds: BOUNDS,
    badBounds: BAD_BOUNDS,
  };
}
