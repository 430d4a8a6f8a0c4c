import { FINGERPRINT_BYTES } from "./fingerprint.js";
import { compareIds } from "./id.js";
import type { RangeEntry } from "./range.js";

/** Items in the order of their ids, in little memory: some 70 bytes each. */
export interface EntryBlock {
  readonly ids: readonly string[];
  /** Their fingerprints, one behind the other. */
  readonly prints: Uint8Array;
}

/** Items as a block. */
export function toEntryBlock(entries: readonly RangeEntry[]): EntryBlock {
  return { ids: entries.map(({ id }) => id), prints: Buffer.concat(entries.map(({ fingerprint }) => fingerprint)) };
}

/** The items of a block one by one. */
export function entriesOf({ ids, prints }: EntryBlock): RangeEntry[] {
  return ids.map((id, at) => ({ id, fingerprint: printsIn(prints, at, at + 1) }));
}

/** A part of a block, from one index to before another. The fingerprints are not copied. */
export function sliceBlock(block: EntryBlock, from: number, to: number): EntryBlock {
  const { ids, prints } = block;
  if (from === 0 && to === ids.length) return block;
  return { ids: ids.slice(from, to), prints: printsIn(prints, from, to) };
}

/** Blocks as one, in their order. */
export function joinBlocks(blocks: readonly EntryBlock[]): EntryBlock {
  const [one, ...others] = blocks;
  if (one !== undefined && others.length === 0) return one;
  return { ids: blocks.flatMap(({ ids }) => ids), prints: Buffer.concat(blocks.map(({ prints }) => prints)) };
}

/** Index of the first item of a block that has this id or a later one. */
export function firstFrom({ ids }: EntryBlock, id: string): number {
  let low = 0;
  let high = ids.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareIds(ids[middle] as string, id) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

function printsIn(prints: Uint8Array, from: number, to: number): Uint8Array {
  return prints.subarray(from * FINGERPRINT_BYTES, to * FINGERPRINT_BYTES);
}
