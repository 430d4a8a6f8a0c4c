/** Plain JSON. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

const WIDTH = 120;
/** Strings of one character that are at least this long are written as `$repeat`. */
const REPEATED = 100;

/**
 * JSON as text: as little as fits on a line of its own, two spaces a level, and nothing but ASCII (the rest is escaped), so
 * that neither fonts nor encodings matter. It is laid out as the project's formatter does it.
 */
export function jsonText(value: Json): string {
  return `${layOut(shortened(value), 0, 0)}\n`;
}

/** Long strings of one character as `{"$repeat": {"text": "x", "count": 1000}}`. */
function shortened(value: Json): Json {
  if (typeof value === "string") {
    const same = value.length >= REPEATED && value === (value[0] ?? "").repeat(value.length);
    return same ? { $repeat: { text: value[0] as string, count: value.length } } : value;
  }
  if (isList(value)) return value.map(shortened);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, shortened(each)]));
}

/** The value with every `$repeat` written out: of a `text` that text so many times, of an `item` a list of so many copies. */
export function expanded(value: Json): Json {
  if (isList(value)) return value.map(expanded);
  if (value === null || typeof value !== "object") return value;
  const repeat = value["$repeat"];
  if (repeat === undefined) {
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, expanded(each)]));
  }
  const { text, item = null, count } = repeat as { text?: string; item?: Json; count: number };
  return text === undefined ? Array.from({ length: count }, () => expanded(item)) : text.repeat(count);
}

/** `taken`: columns that are taken on the line before and after the value. */
function layOut(value: Json, indent: number, taken: number): string {
  const line = oneLine(value);
  if (value === null || typeof value !== "object" || indent * 2 + taken + line.length <= WIDTH) return line;
  const inner = "  ".repeat(indent + 1);
  const outer = "  ".repeat(indent);
  if (isList(value)) {
    if (value.every((each) => typeof each === "number")) return `[\n${fill(value, inner)}\n${outer}]`;
    const lines = value.map((each) => `${inner}${layOut(each, indent + 1, 1)}`);
    return `[\n${lines.join(",\n")}\n${outer}]`;
  }
  const lines = Object.entries(value).map(([key, each]) => {
    const name = `${quoted(key)}: `;
    return `${inner}${name}${layOut(each, indent + 1, name.length + 1)}`;
  });
  return `{\n${lines.join(",\n")}\n${outer}}`;
}

function oneLine(value: Json): string {
  if (typeof value === "string") return quoted(value);
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (isList(value)) return `[${value.map(oneLine).join(", ")}]`;
  const fields = Object.entries(value).map(([key, each]) => `${quoted(key)}: ${oneLine(each)}`);
  return fields.length === 0 ? "{}" : `{ ${fields.join(", ")} }`;
}

/** Numbers, as many on a line as fit. */
function fill(numbers: readonly Json[], inner: string): string {
  const lines: string[] = [];
  let line = "";
  numbers.forEach((each, at) => {
    const piece = `${each}${at + 1 < numbers.length ? "," : ""}`;
    if (line !== "" && inner.length + line.length + 1 + piece.length > WIDTH) {
      lines.push(inner + line);
      line = piece;
    } else line = line === "" ? piece : `${line} ${piece}`;
  });
  return [...lines, inner + line].join("\n");
}

function quoted(text: string): string {
  const escaped = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return JSON.stringify(text).replace(/[\u007f-\uffff]/g, escaped);
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}
