import { createHash } from "node:crypto";

/*
 * What the contract computes, said once more in the plainest way and without the product's code, so that a vector is
 * not the product's own opinion of itself.
 */

const MODULUS = 1n << 256n;

/** SHA-256 over the id in UTF-8, a zero byte, and the content. */
export function fingerprint(id: string, content: string | Uint8Array): Buffer {
  const bytes = typeof content === "string" ? Buffer.from(content, "utf8") : content;
  return createHash("sha256")
    .update(Buffer.concat([Buffer.from(id, "utf8"), Buffer.alloc(1), bytes]))
    .digest();
}

/** Bytes as a little-endian integer. */
function toInteger(bytes: Uint8Array): bigint {
  return [...bytes].reduceRight((value, byte) => value * 256n + BigInt(byte), 0n);
}

/** An integer modulo 2^256 as 32 little-endian bytes. */
function toBytes(value: bigint): Buffer {
  let rest = ((value % MODULUS) + MODULUS) % MODULUS;
  const bytes = Buffer.alloc(32);
  for (let at = 0; at < 32; at++) {
    bytes[at] = Number(rest & 255n);
    rest >>= 8n;
  }
  return bytes;
}

/** The sum of some fingerprints, less others. */
export function sum(added: readonly Uint8Array[], subtracted: readonly Uint8Array[] = []): Buffer {
  const total = (prints: readonly Uint8Array[]): bigint => prints.reduce((value, each) => value + toInteger(each), 0n);
  return toBytes(total(added) - total(subtracted));
}

/** Order by UTF-8 bytes. */
export function byteOrder(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a, "utf8"), Buffer.from(b, "utf8"));
}

/**
 * Bytes from a seed, for contents that are too large to write down: SHA-256 over the seed in UTF-8, a colon and the number
 * of the block in decimal, block by block from 0, cut at `size`.
 */
export function seeded(seed: string, size: number): Buffer {
  const blocks: Buffer[] = [];
  for (let block = 0; block * 32 < size; block++) {
    blocks.push(createHash("sha256").update(`${seed}:${block}`).digest());
  }
  return Buffer.concat(blocks).subarray(0, size);
}

/** Lower-case hex. */
export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
