import { FINGERPRINT_BYTES } from "./fingerprint.js";

/** Sums of 32 little-endian bytes, one behind the other. */
export interface SumTable {
  /** Puts a sum in; answers its slot. */
  take(sum: Uint8Array): number;
  release(slot: number): void;
  /** Adds a fingerprint, or a sum of some, or takes it out again, modulo 2^256. */
  add(slot: number, fingerprint: Uint8Array, sign: 1 | -1): void;
  /** A copy of a sum. */
  bytes(slot: number): Buffer;
  /** A sum as it is until the next call. */
  view(slot: number): Uint8Array;
}

/** An empty table. */
export function createSumTable(): SumTable {
  let table = new Uint8Array(16 * FINGERPRINT_BYTES);
  let slots = 0;
  const free: number[] = [];

  const view = (slot: number) => table.subarray(slot * FINGERPRINT_BYTES, (slot + 1) * FINGERPRINT_BYTES);
  return {
    take(sum) {
      const slot = free.pop() ?? slots++;
      if (slots * FINGERPRINT_BYTES > table.length) {
        const larger = new Uint8Array(table.length * 2);
        larger.set(table);
        table = larger;
      }
      table.set(sum, slot * FINGERPRINT_BYTES);
      return slot;
    },
    release(slot) {
      free.push(slot);
    },
    add(slot, fingerprint, sign) {
      const at = slot * FINGERPRINT_BYTES;
      let carry = 0;
      for (let i = 0; i < FINGERPRINT_BYTES; i++) {
        const value = (table[at + i] as number) + sign * (fingerprint[i] as number) + carry;
        table[at + i] = value;
        carry = value >> 8;
      }
    },
    bytes: (slot) => Buffer.from(view(slot)),
    view,
  };
}
