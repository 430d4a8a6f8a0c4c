import { createHash } from "node:crypto";
import type { IdBounds } from "../../../gen/tercet/v1/sync.js";

/*
 * What both sides must compute alike: fingerprints of items, sums of fingerprints, the order of ids, and bounds between
 * them. `vectors/fingerprints.json`, `range-fingerprints.json` and `ids.json` hold examples of all of it.
 */

/** The fingerprint of an item: SHA-256 over its id in UTF-8, one zero byte, and the bytes of its content. */
export function fingerprintOf(id: string, content: Uint8Array): Uint8Array {
  return createHash("sha256").update(id, "utf8").update("\0").update(content).digest();
}

/** Whether two fingerprints are the same. Undefined is "no item", and equals only itself. */
export function same(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return Buffer.compare(a, b) === 0;
}

/** A range fingerprint: the number of items, and the sum of their fingerprints modulo 2^256. */
export interface RangeSum {
  readonly count: number;
  readonly sum: bigint;
}

export const NOTHING: RangeSum = { count: 0, sum: 0n };
const MODULUS = 1n << 256n;

/** The sum that one item comes to; no item comes to nothing. */
export function sumOf(fingerprint: Uint8Array | undefined): RangeSum {
  return fingerprint === undefined ? NOTHING : { count: 1, sum: littleEndian(fingerprint) };
}

export function plus(a: RangeSum, b: RangeSum): RangeSum {
  return { count: a.count + b.count, sum: (a.sum + b.sum) % MODULUS };
}

export function minus(a: RangeSum, b: RangeSum): RangeSum {
  return { count: a.count - b.count, sum: (a.sum - b.sum + MODULUS) % MODULUS };
}

/** The 32 bytes of a sum. */
export function sumBytes({ sum }: RangeSum): Uint8Array {
  return Buffer.from(sum.toString(16).padStart(64, "0"), "hex").reverse();
}

function littleEndian(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).reverse().toString("hex")}`);
}

/** The order of ids: by their UTF-8 bytes. (JavaScript's own order of strings is by UTF-16 units, which is another one.) */
export function compareIds(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** Whether an id is a good one: 1 to 512 bytes of UTF-8 without control characters. */
export function isId(id: string): boolean {
  const bytes = Buffer.byteLength(id);
  return bytes >= 1 && bytes <= 512 && id.isWellFormed() && !/\p{Cc}/u.test(id);
}

/** Codes ascending bounds: each as the bytes that it shares with the one before it, in whole characters, and the rest. */
export function encodeBounds(bounds: readonly string[]): IdBounds {
  const coded: IdBounds = { shared: [], rest: [] };
  let before = "";
  for (const bound of bounds) {
    let prefix = "";
    for (const character of bound) {
      if (!before.startsWith(prefix + character)) break;
      prefix += character;
    }
    coded.shared.push(Buffer.byteLength(prefix));
    coded.rest.push(bound.slice(prefix.length));
    before = bound;
  }
  return coded;
}

/** The bounds again; undefined where they are too long, cut in mid-character, or do not ascend. */
export function decodeBounds({ shared, rest }: IdBounds): string[] | undefined {
  if (shared.length !== rest.length) return undefined;
  const bounds: string[] = [];
  let before = Buffer.alloc(0);
  for (const [at, count] of shared.entries()) {
    const next = before[count];
    if (count > before.length || (next !== undefined && (next & 0xc0) === 0x80)) return undefined;
    const bytes = Buffer.concat([before.subarray(0, count), Buffer.from(rest[at] as string)]);
    if (bytes.length > 516 || Buffer.compare(bytes, before) <= 0) return undefined;
    bounds.push(bytes.toString());
    before = bytes;
  }
  return bounds;
}
