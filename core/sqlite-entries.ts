import type { EntryBlock } from "./entry-block.js";
import { FINGERPRINT_BYTES } from "./fingerprint.js";
import { StorageError } from "./storage-error.js";

/*
 * Ids and fingerprints out of SQLite, many in one row: to make an object and a buffer for each takes longer than to find
 * it. No id has a NUL.
 */

/** Ids and fingerprints as one row; null where there are none. */
export type JoinedTuple = [ids: string | null, prints: Buffer | null];

/** The statement that answers the rows of another one, which are `id` and `fingerprint` in the order of the ids, as one. */
export function joinedEntries(select: string): string {
  return `SELECT group_concat(id, char(0)), CAST(group_concat(CAST(fingerprint AS TEXT), '') AS BLOB) FROM (${select})`;
}

/**
 * What such a statement answered.
 *
 * @throws StorageError `damaged` where a fingerprint has another size.
 */
export function toBlock(row: JoinedTuple | undefined): EntryBlock {
  const [joined, prints] = row ?? [null, null];
  if (joined === null || prints === null) return { ids: [], prints: Buffer.alloc(0) };
  const ids = joined.split("\0");
  if (prints.length !== ids.length * FINGERPRINT_BYTES)
    throw new StorageError("damaged", "a fingerprint has another size");
  return { ids, prints };
}
