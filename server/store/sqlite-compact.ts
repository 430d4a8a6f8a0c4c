import type { Database } from "../../core/sqlite.js";
import type { CompactQuery } from "./collection-state.js";
import type { CollectionRow } from "./sqlite-collections.js";
import { minuteOf } from "./time-marks.js";

/** Compaction: the horizon moves at once, the tombstones go later. Every method runs in its caller's transaction. */
export interface Compaction {
  /** Notes that a collection came to this revision at this time. */
  mark(collection: number, revision: number, nowUs: number): void;
  /** Moves the tombstone horizon; answers where it stands. */
  compact(row: CollectionRow, query: CompactQuery): number;
  /** Removes some tombstones that lie behind a horizon. True while there are more. */
  slice(): boolean;
}

/** Most tombstones that a slice removes: some milliseconds of work. */
const SLICE_ROWS = 1_000;

/** Prepares the statements. `sliceRows` is for tests. */
export function prepareCompaction(database: Database, sliceRows = SLICE_ROWS): Compaction {
  // A clock that was set back does not make a commit older than those before it.
  const insertMark = database.prepare<[number, number, number, number]>(
    `INSERT INTO time_marks (collection, minute, revision)
      VALUES (?, max(?, coalesce((SELECT max(minute) FROM time_marks WHERE collection = ?), 0)), ?)
      ON CONFLICT DO UPDATE SET revision = excluded.revision`,
  );
  const selectMark = database
    .prepare<[number, number], number>(
      "SELECT revision FROM time_marks WHERE collection = ? AND minute < ? ORDER BY minute DESC LIMIT 1",
    )
    .pluck();
  const removeMarks = database.prepare<[number, number]>(
    "DELETE FROM time_marks WHERE collection = ? AND revision <= ?",
  );
  const moveHorizon = database.prepare<[number, number]>("UPDATE collections SET compacted_revision = ? WHERE key = ?");
  const selectWaiting = database.prepare<[], CollectionRow>(
    "SELECT * FROM collections WHERE removed_revision < compacted_revision ORDER BY key LIMIT 1",
  );
  const remove = database.prepare<[number, number, number]>(
    `DELETE FROM items WHERE (collection, revision, id) IN (
      SELECT collection, revision, id FROM items INDEXED BY tombstones
        WHERE collection = ? AND fingerprint IS NULL AND revision <= ? ORDER BY revision LIMIT ?)`,
  );
  const markRemoved = database.prepare<[number, number]>("UPDATE collections SET removed_revision = ? WHERE key = ?");
  return {
    mark(collection, revision, nowUs) {
      insertMark.run(collection, minuteOf(nowUs), collection, revision);
    },
    compact(row, query) {
      const wanted = "through" in query ? query.through : (selectMark.get(row.key, minuteOf(query.beforeUs)) ?? 0);
      const horizon = Math.max(row.compacted_revision, Math.min(wanted, row.revision));
      if (horizon > row.compacted_revision) {
        moveHorizon.run(horizon, row.key);
        removeMarks.run(row.key, horizon);
      }
      return horizon;
    },
    slice() {
      const row = selectWaiting.get();
      if (row === undefined) return false;
      const { key, compacted_revision: horizon } = row;
      if (remove.run(key, horizon, sliceRows).changes < sliceRows) markRemoved.run(horizon, key);
      return selectWaiting.get() !== undefined;
    },
  };
}
