import { fingerprint, hex, seeded, sum } from "./independent.js";
import type { Json } from "./json-text.js";

const MIB = 1024 * 1024;
const HIGH = "ff".repeat(32);
const ONE = `01${"00".repeat(31)}`;

/** fingerprints.json */
export function fingerprintVectors(): Json {
  const text = (name: string, id: string, content: string): Json => {
    return { name, id, text: content, fingerprint: hex(fingerprint(id, content)) };
  };
  const data = (name: string, id: string, content: Uint8Array): Json => {
    return { name, id, data: hex(content), fingerprint: hex(fingerprint(id, content)) };
  };
  const seed = (name: string, id: string, from: string, size: number): Json => {
    return { name, id, seed: { seed: from, size }, fingerprint: hex(fingerprint(id, seeded(from, size))) };
  };
  return {
    description: "Item fingerprints: SHA-256 over the id in UTF-8, one zero byte, and the bytes of the content.",
    format: [
      "cases: each has an `id`, a content and its `fingerprint` in lower-case hex (32 bytes).",
      "The content is one of `text` (its UTF-8 counts), `data` (bytes in hex) and `seed` (bytes that are computed: see",
      "README.md). A text and the same bytes as data have the same fingerprint.",
    ],
    cases: [
      text("a text", "a", "1"),
      data("the same bytes as data", "a", Buffer.from("1")),
      text("another id with the same content", "b", "1"),
      text("the same bytes cut between id and content elsewhere", "a1", ""),
      text("an empty content", "empty", ""),
      data("an empty content as data", "empty", Buffer.alloc(0)),
      text("the test vector of item.proto: b", "b", "2"),
      text("the test vector of item.proto: U+00E9, no bytes", "\u00e9", ""),
      text("an id of four bytes a character", "\u{1f600}", "smile"),
      text("an id that is not normalised: e and U+0301 are not U+00E9", "e\u0301", ""),
      text("a text that is not ASCII", "menu", "caf\u00e9 \u{1f37a} \u4e2d\u6587"),
      data("the same in UTF-8 as data", "menu", Buffer.from("caf\u00e9 \u{1f37a} \u4e2d\u6587")),
      text("a text with a byte order mark, which counts", "bom", "\ufeffx"),
      text("line ends are not touched", "lines", "one\r\ntwo\nthree\r"),
      text("a text with a zero character", "zero", "a\0b"),
      data("bytes that are no UTF-8", "binary", Buffer.from([0xff, 0xfe, 0x00, 0x80, 0xc0, 0xaf])),
      data("all bytes", "all", Buffer.from(Array.from({ length: 256 }, (_, at) => at))),
      text("an id of 512 bytes", "x".repeat(512), "1"),
      seed("64 bytes", "block", "tercet", 64),
      seed("16 KiB and a byte", "inline", "tercet", 16 * 1024 + 1),
      seed("1 MiB", "large", "tercet", MIB),
    ],
  };
}

interface Sum {
  readonly name: string;
  readonly add: readonly string[];
  readonly subtract?: readonly string[];
}

const item = (id: string, content: string): string => hex(fingerprint(id, content));
const bytes = (text: string): Buffer => Buffer.from(text, "hex");

const SUMS: readonly Sum[] = [
  { name: "nothing", add: [] },
  { name: "one item", add: [item("a", "1")] },
  { name: "the test vector of item.proto", add: [item("a", "1"), item("b", "2"), item("\u00e9", "")] },
  { name: "the order makes no difference", add: [item("\u00e9", ""), item("b", "2"), item("a", "1")] },
  {
    name: "an item is changed: subtract the old, add the new",
    add: [item("a", "1"), item("a", "2")],
    subtract: [item("a", "1")],
  },
  { name: "an item is taken out again", add: [item("a", "1"), item("b", "2")], subtract: [item("a", "1")] },
  {
    name: "all are taken out again",
    add: [item("a", "1"), item("b", "2")],
    subtract: [item("b", "2"), item("a", "1")],
  },
  { name: "subtracted before it is added", add: [item("a", "1")], subtract: [item("a", "1")] },
  { name: "2^256 - 1 and 1 wrap around to 0, of two items", add: [HIGH, ONE] },
  { name: "twice 2^256 - 1", add: [HIGH, HIGH] },
  { name: "0 less 1 wraps around to 2^256 - 1", add: [ONE], subtract: [ONE, ONE] },
  { name: "a carry through all bytes but the first", add: [`ff${"ff".repeat(30)}00`, ONE] },
  { name: "a carry out of the low 8 bytes", add: [`${"ff".repeat(8)}${"00".repeat(24)}`, ONE] },
  { name: "1,000 items", add: Array.from({ length: 1000 }, (_, at) => item(`item-${at}`, `${at}`)) },
];

/** range-fingerprints.json */
export function rangeFingerprintVectors(): Json {
  const cases = SUMS.map(({ name, add, subtract = [] }): Json => {
    const total = sum(add.map(bytes), subtract.map(bytes));
    const numbered = add.length === 1000;
    return {
      name,
      ...(numbered ? { addNumbered: add.length } : { add }),
      subtract,
      count: add.length - subtract.length,
      sum: hex(total),
      low8: hex(total.subarray(0, 8)),
    };
  });
  return {
    description:
      "Range fingerprints: the count, and the sum of item fingerprints as little-endian integers modulo 2^256.",
    format: [
      "cases: `add` and `subtract` are item fingerprints in hex; `addNumbered` N stands for the N items item-0 to item-(N-1)",
      "with their numbers in decimal as text contents. `count` is what was added less what was subtracted (it may be",
      "negative here, never in a message). `sum`: 32 little-endian bytes in hex. `low8`: its first 8 bytes, as",
      "reconciliation messages carry them. In a RangeFingerprint the sum of no items travels as empty bytes, with the",
      "algorithm unset.",
    ],
    cases,
  };
}
