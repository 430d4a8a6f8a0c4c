import type { Database } from "../../core/sqlite.js";

/** Most rows, and about most bytes of content, that a slice removes: some milliseconds of work. */
const SLICE_ROWS = 1_000;
const SLICE_BYTES = 8 * 1024 * 1024;

interface SliceRow {
  /** Revision of an item, number of a conflict record, serial of an upload. */
  readonly position: number;
  readonly size: number;
}

/**
 * Removes what deleted collections have left, in slices, so that deleting a large one blocks nobody. A call is one slice in
 * the caller's transaction; true while there is more.
 */
export function preparePurge(database: Database): () => boolean {
  const selectKey = database
    .prepare<[], number>("SELECT key FROM deleted_collections WHERE purged = 0 ORDER BY key LIMIT 1")
    .pluck();
  const markPurged = database.prepare<[number]>(
    "UPDATE deleted_collections SET purged = 1 WHERE key = ? AND purged = 0",
  );
  const purgeItems = prepareSlice(database, "items", "revision");
  const purgeConflicts = prepareSlice(database, "conflicts", "number");
  const purgeUploads = prepareSlice(database, "uploads", "serial");
  const purgeSegments = prepareRowSlice(database, "segments", "first");
  const purgeMarks = prepareRowSlice(database, "time_marks", "minute");
  return () => {
    const key = selectKey.get();
    if (key === undefined) return false;
    const purged = purgeItems(key) || purgeConflicts(key) || purgeUploads(key);
    if (!purged && !purgeSegments(key) && !purgeMarks(key)) markPurged.run(key);
    return selectKey.get() !== undefined;
  };
}

/** Removes the first rows of a collection from a table, with their contents. False where there were none. */
function prepareSlice(database: Database, table: string, position: string): (key: number) => boolean {
  const select = database.prepare<[number, number], SliceRow>(
    `SELECT ${position} AS position, size FROM ${table} WHERE collection = ? ORDER BY ${position} LIMIT ?`,
  );
  const removeContents = database.prepare<[number, number]>(
    `DELETE FROM contents WHERE key IN
      (SELECT content_key FROM ${table} WHERE collection = ? AND ${position} <= ? AND content_key IS NOT NULL)`,
  );
  const remove = database.prepare<[number, number]>(`DELETE FROM ${table} WHERE collection = ? AND ${position} <= ?`);
  return (key) => {
    let last: number | undefined;
    let bytes = 0;
    for (const row of select.all(key, SLICE_ROWS)) {
      if (last !== undefined && bytes >= SLICE_BYTES) break;
      last = row.position;
      bytes += row.size;
    }
    if (last === undefined) return false;
    removeContents.run(key, last);
    remove.run(key, last);
    return true;
  };
}

/** Removes some rows of a collection from a table that has no contents. False where there were none. */
function prepareRowSlice(database: Database, table: string, position: string): (key: number) => boolean {
  const remove = database.prepare<[number, number]>(
    `DELETE FROM ${table} WHERE (collection, ${position}) IN
      (SELECT collection, ${position} FROM ${table} WHERE collection = ? LIMIT ?)`,
  );
  return (key) => remove.run(key, SLICE_ROWS).changes > 0;
}
