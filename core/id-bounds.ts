import type { IdBounds } from "../gen/tercet/v1/sync.js";
import { compareIds, MAX_ID_BYTES } from "./id.js";

/** Bounds in ascending order, each as the bytes that it shares with the one before it and the rest: see IdBounds. */
export function encodeBounds(bounds: readonly string[]): IdBounds {
  const shared: number[] = [];
  const rest: string[] = [];
  let before = "";
  for (const bound of bounds) {
    const units = sharedUnits(before, bound);
    shared.push(Buffer.byteLength(bound.slice(0, units)));
    rest.push(bound.slice(units));
    before = bound;
  }
  return { shared, rest };
}

/** Most bytes of a bound: the longest id, and a character behind it. */
export const MAX_BOUND_BYTES = MAX_ID_BYTES + 4;

/** The bounds, or undefined where they are too long, not coded as they should be, or do not ascend. */
export function decodeBounds({ shared, rest }: IdBounds): readonly string[] | undefined {
  if (shared.length !== rest.length) return undefined;
  const bounds: string[] = [];
  let before = "";
  for (const [index, bytes] of shared.entries()) {
    if (bytes + Buffer.byteLength(rest[index] as string) > MAX_BOUND_BYTES) return undefined;
    const prefix = prefixOf(before, bytes);
    if (prefix === undefined) return undefined;
    const bound = prefix + rest[index];
    if (!bound.isWellFormed() || compareIds(bound, before) <= 0) return undefined;
    bounds.push(bound);
    before = bound;
  }
  return bounds;
}

/** UTF-16 units that two strings have in common at their beginnings, in whole characters. */
function sharedUnits(a: string, b: string): number {
  const most = Math.min(a.length, b.length);
  let at = 0;
  while (at < most && a.charCodeAt(at) === b.charCodeAt(at)) at += 1;
  const last = at > 0 ? a.charCodeAt(at - 1) : 0;
  return last >= 0xd800 && last < 0xdc00 ? at - 1 : at;
}

/** The beginning of so many bytes of UTF-8; undefined where there are less, or a character would be cut. */
function prefixOf(text: string, bytes: number): string | undefined {
  if (bytes === 0) return "";
  const encoded = Buffer.from(text);
  if (bytes > encoded.length) return undefined;
  const next = encoded[bytes];
  if (next !== undefined && (next & 0xc0) === 0x80) return undefined;
  return encoded.toString("utf8", 0, bytes);
}
