/** An item that a record stands for, or what is wrong with the record. */
export type Judged =
  | { readonly id: string; readonly content: string | Uint8Array; readonly problem?: undefined }
  | { readonly problem: string; readonly reason: string };

/** Turns the text of a record into an item. */
export type Judge = (text: string) => Judged;

/** Records are objects, with their id in a field (`a.b`: in the field b of the field a); all of them is the content. */
export function judgeByField(field: string): Judge {
  const path = field.split(".");
  return (text) => {
    const parsed = parseObject(text);
    if ("problem" in parsed) return parsed;
    const id = toId(Object.hasOwn(parsed.object, field) ? parsed.object[field] : valueAt(parsed.object, path), field);
    return typeof id === "string" ? { id, content: compact(text) } : id;
  };
}

/** Records are `{"id", "text"}` or `{"id", "data"}`, as `export --wrapped` writes them. */
export const judgeWrapped: Judge = (text) => {
  const parsed = parseObject(text);
  if ("problem" in parsed) return parsed;
  const { id, text: content, data } = parsed.object;
  if (typeof id !== "string") return { reason: "ID_MISSING", problem: 'has no string in field "id"' };
  if (typeof content === "string" && data === undefined) return { id, content };
  const bytes = typeof data === "string" && content === undefined ? Buffer.from(data, "base64") : undefined;
  if (bytes !== undefined && bytes.toString("base64") === data) return { id, content: bytes };
  return { reason: "CONTENT_MISSING", problem: 'has neither a string in field "text" nor base64 in field "data"' };
};

type ParsedObject =
  | { readonly object: Record<string, unknown> }
  | { readonly problem: string; readonly reason: string };

function parseObject(text: string): ParsedObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return {
      reason: "MALFORMED_JSON",
      problem: `is not valid JSON: ${error instanceof Error ? error.message : error}`,
    };
  }
  if (isObject(value)) return { object: value };
  return { reason: "NOT_AN_OBJECT", problem: "is no JSON object" };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function valueAt(object: Record<string, unknown>, path: readonly string[]): unknown {
  let value: unknown = object;
  for (const key of path) value = isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
  return value;
}

function toId(value: unknown, field: string): string | { readonly problem: string; readonly reason: string } {
  if (typeof value === "string") return value;
  if (typeof value === "number" && Number.isSafeInteger(value)) return String(value);
  if (value === undefined) return { reason: "ID_MISSING", problem: `has no field "${field}"` };
  return { reason: "INVALID_ID", problem: `field "${field}" must be a string or an integer below 2^53` };
}

const STRINGS_AND_BLANKS = /("[^"\\]*(?:\\.[^"\\]*)*")|[ \t\r\n]+/g;

/** The text of valid JSON without the blanks between its tokens, else as it stands: numbers keep their digits. */
export function compact(text: string): string {
  return /[ \t\r\n]/.test(text) ? text.replace(STRINGS_AND_BLANKS, "$1") : text;
}
