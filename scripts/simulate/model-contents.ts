import { createHash } from "node:crypto";

/** A content as the model thinks of it; undefined: no item. */
export type Told = string | undefined;

const known = new Map<string, string>();
const MOST_KNOWN = 20_000;

/** The fingerprint of an item as the specification has it, in hex; of no item undefined. Not the product's code. */
export function printOf(id: string, content: Told): string | undefined {
  if (content === undefined) return undefined;
  const key = `${id}\0${content}`;
  let print = known.get(key);
  if (print === undefined) {
    if (known.size > MOST_KNOWN) known.clear();
    print = createHash("sha256").update(key, "utf8").digest("hex");
    known.set(key, print);
  }
  return print;
}

/** Bytes as hex; undefined stays. */
export function hexOf(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex");
}

/** Count and sum of fingerprints in hex, as the specification has it: little-endian integers modulo 2^256. */
export function sumOfPrints(prints: readonly string[]): { readonly count: number; readonly sum: string } {
  let sum = 0n;
  for (const print of prints) sum += BigInt(`0x${Buffer.from(print, "hex").reverse().toString("hex")}`);
  const bytes = Buffer.from((sum & ((1n << 256n) - 1n)).toString(16).padStart(64, "0"), "hex");
  return { count: prints.length, sum: bytes.reverse().toString("hex") };
}

/** A content as people read it in a trace: without its padding. */
export function shown(content: Told): string {
  if (content === undefined) return "nothing";
  const end = content.indexOf("|");
  return end < 0 ? content.slice(0, 24) : content.slice(0, end);
}
