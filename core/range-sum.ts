import { FingerprintAlgorithm, type RangeFingerprint } from "../gen/tercet/v1/item.js";
import { FINGERPRINT_BYTES } from "./fingerprint.js";

/** Eight of them are the 64 bytes that V8 still keeps on its heap: a table of more takes longer to make than to add up. */
const LIMBS = 8;
const LIMB_BYTES = 4;
const LIMB = 2 ** 32;
/** A limb is a double below 2^53; after this many additions of 32 bits the carries are spread. */
const SPREAD_EVERY = 2 ** 20;

/** Fewer bytes are added one by one sooner than a view of them is made. */
const LEAST_WORDS = 8 * FINGERPRINT_BYTES;
const IS_LITTLE_ENDIAN = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

/**
 * A range fingerprint that can be changed: the number of items and the sum of their fingerprints as little-endian
 * integers modulo 2^256. The order of additions and subtractions does not matter.
 */
export interface RangeSum {
  readonly count: number;
  /** Adds an item's fingerprint. */
  add(fingerprint: Uint8Array): void;
  /** Adds the fingerprints of several items, one behind the other. */
  addAll(fingerprints: Uint8Array): void;
  /** Takes an item's fingerprint out again. */
  subtract(fingerprint: Uint8Array): void;
  /** Adds what other items come to. */
  merge(total: RangeTotal): void;
  /** The sum as 32 little-endian bytes. */
  bytes(): Buffer;
}

/** A sum of `count` items that stands at `sum` (32 bytes, or none for zero). */
export function createRangeSum(count = 0, sum: Uint8Array = new Uint8Array(0)): RangeSum {
  /** Many sums stay empty. */
  let made: Float64Array | undefined;
  let items = count;
  let operations = 0;

  function accumulate(bytes: Uint8Array, sign: 1 | -1, from = 0): void {
    made ??= new Float64Array(LIMBS);
    const limbs = made;
    for (let i = 0, at = from; i < LIMBS; i++, at += LIMB_BYTES) {
      const low = (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16);
      limbs[i] = (limbs[i] as number) + sign * (low + (bytes[at + 3] as number) * 0x1000000);
    }
    if (++operations === SPREAD_EVERY) spread(limbs);
  }

  function accumulateWords(words: Uint32Array): void {
    made ??= new Float64Array(LIMBS);
    const limbs = made;
    const step = LIMBS * (SPREAD_EVERY / 2);
    for (let from = 0; from < words.length; from += step) {
      spread(limbs);
      const to = Math.min(words.length, from + step);
      for (let at = from; at < to; at += LIMBS) {
        for (let i = 0; i < LIMBS; i++) limbs[i] = (limbs[i] as number) + (words[at + i] as number);
      }
      operations = SPREAD_EVERY / 2;
    }
  }

  /** Brings every limb back into 32 bits. What carries out of the last one is a multiple of 2^256 and falls away. */
  function spread(limbs: Float64Array): void {
    let carry = 0;
    for (let i = 0; i < LIMBS; i++) {
      const value = (limbs[i] as number) + carry;
      carry = Math.floor(value / LIMB);
      limbs[i] = value - carry * LIMB;
    }
    operations = 0;
  }

  if (sum.length === FINGERPRINT_BYTES) accumulate(sum, 1);
  return {
    get count() {
      return items;
    },
    add(fingerprint) {
      items += 1;
      accumulate(fingerprint, 1);
    },
    addAll(fingerprints) {
      const { length } = fingerprints;
      items += length / FINGERPRINT_BYTES;
      // Whole words, many times faster, where they lie as in memory.
      if (length >= LEAST_WORDS && IS_LITTLE_ENDIAN && fingerprints.byteOffset % LIMB_BYTES === 0) {
        accumulateWords(new Uint32Array(fingerprints.buffer, fingerprints.byteOffset, length / LIMB_BYTES));
      } else for (let from = 0; from < length; from += FINGERPRINT_BYTES) accumulate(fingerprints, 1, from);
    },
    subtract(fingerprint) {
      items -= 1;
      accumulate(fingerprint, -1);
    },
    merge(total) {
      items += total.count;
      if (total.sum.length === FINGERPRINT_BYTES) accumulate(total.sum, 1);
    },
    bytes() {
      if (made === undefined) return Buffer.alloc(FINGERPRINT_BYTES);
      spread(made);
      const out = Buffer.allocUnsafe(FINGERPRINT_BYTES);
      for (let i = 0, at = 0; i < LIMBS; i++, at += LIMB_BYTES) {
        const limb = (made[i] as number) | 0;
        out[at] = limb;
        out[at + 1] = limb >>> 8;
        out[at + 2] = limb >>> 16;
        out[at + 3] = limb >>> 24;
      }
      return out;
    },
  };
}

/** A range fingerprint at rest: what RangeSum stands at. */
export interface RangeTotal {
  readonly count: number;
  /** 32 little-endian bytes. */
  readonly sum: Uint8Array;
}

/** What a sum stands at now. */
export function totalOf(sum: RangeSum): RangeTotal {
  return { count: sum.count, sum: sum.bytes() };
}

/** The message for a range fingerprint; unlike in storage, the sum of no items travels as empty. */
export function toRangeFingerprint(total: RangeTotal): RangeFingerprint {
  if (total.count === 0) {
    const algorithm = FingerprintAlgorithm.FINGERPRINT_ALGORITHM_UNSPECIFIED;
    return { count: 0, sum: Buffer.alloc(0), algorithm };
  }
  return {
    count: total.count,
    sum: Buffer.from(total.sum),
    algorithm: FingerprintAlgorithm.FINGERPRINT_ALGORITHM_SHA256,
  };
}

/** Whether a message says the same as a total. An unset message says: no items. */
export function sameTotal(message: RangeFingerprint | undefined, total: RangeTotal): boolean {
  if (message === undefined || message.count === 0) return total.count === 0 && total.sum.every((byte) => byte === 0);
  if (message.algorithm !== FingerprintAlgorithm.FINGERPRINT_ALGORITHM_SHA256) return false;
  return message.count === total.count && message.sum.equals(total.sum);
}
