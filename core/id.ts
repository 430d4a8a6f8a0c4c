import { ErrorReason, type Fault, fieldFault } from "./fault.js";

/** Most bytes of an id in UTF-8. */
export const MAX_ID_BYTES = 512;

const CONTROL = /\p{Cc}/u;
const COLLECTION_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/** What is wrong with an id, in words, or undefined. A lone surrogate stands for bytes that were not UTF-8. */
export function idProblem(id: string): string | undefined {
  // What types say, programs in JavaScript may not know.
  if (typeof id !== "string") return "must be a string";
  if (id.length === 0) return "must not be empty";
  if (id.length > MAX_ID_BYTES || (id.length * 3 > MAX_ID_BYTES && Buffer.byteLength(id) > MAX_ID_BYTES)) {
    return `must not be over ${MAX_ID_BYTES} bytes of UTF-8, is ${Buffer.byteLength(id)}`;
  }
  if (CONTROL.test(id)) return "must not have control characters";
  if (!id.isWellFormed()) return "must be valid UTF-8";
  return undefined;
}

/** The fault of an id in `field`, or undefined where it is a good one. */
export function checkId(id: string, field = "id"): Fault | undefined {
  const problem = idProblem(id);
  return problem === undefined ? undefined : fieldFault(ErrorReason.ERROR_REASON_INVALID_ID, field, problem);
}

/** The fault of a collection's name in `field`, or undefined where it is a good one. */
export function checkCollectionName(name: string, field = "collection"): Fault | undefined {
  if (typeof name === "string" && COLLECTION_NAME.test(name)) return undefined;
  return fieldFault(
    ErrorReason.ERROR_REASON_INVALID_COLLECTION_NAME,
    field,
    "must be 1 to 128 of A-Z a-z 0-9 . _ - beginning with a letter or digit",
  );
}

/**
 * Order of ids by their UTF-8 bytes, which is the order of their code points. JavaScript's own order of strings differs
 * where a surrogate pair meets U+E000 to U+FFFF.
 */
export function compareIds(a: string, b: string): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return codePointRank(x) - codePointRank(y);
  }
  return a.length - b.length;
}

/** Lifts surrogates above the rest of the basic plane, where their code points lie. */
function codePointRank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}

/**
 * The least string that is greater, in byte order, than every string that begins with `prefix`; undefined where there is
 * none, that is for the empty prefix. For reading a prefix as a range.
 */
export function prefixEnd(prefix: string): string | undefined {
  const points = Array.from(prefix);
  for (let last = points.pop(); last !== undefined; last = points.pop()) {
    const point = last.codePointAt(0) ?? 0;
    if (point >= 0x10ffff) continue;
    const next = point === 0xd7ff ? 0xe000 : point + 1;
    return points.join("") + String.fromCodePoint(next);
  }
  return undefined;
}

/**
 * The shortest string of whole characters that is greater than `before` and not greater than `after`, in byte order, where
 * `before` is less than `after`: a bound between two neighbouring ids.
 */
export function separator(before: string, after: string): string {
  let end = 0;
  for (const point of after) {
    end += point.length;
    const prefix = after.slice(0, end);
    if (compareIds(prefix, before) > 0) return prefix;
  }
  return after;
}
