import type { Content } from "../../core/content.js";
import type { Database } from "../../core/sqlite.js";
import type { ConflictsQuery, StoredConflict } from "./store.js";

/** Reads of conflict records; they are written by the statement that takes an item's row over. */
export interface ConflictReads {
  list(collection: number, query: ConflictsQuery): readonly StoredConflict[];
  get(collection: number, number: number): StoredConflict | undefined;
}

interface ConflictRow {
  readonly number: number;
  readonly id: string;
  readonly fingerprint: Buffer | null;
  readonly prevailed: Buffer | null;
  readonly standard: number;
  readonly record_time_us: number;
  readonly modify_time_us: number;
  readonly size: number;
  readonly content?: Content | null;
}

const COLUMNS = "number, id, fingerprint, prevailed, standard, record_time_us, modify_time_us, size";

/** Prepares the statements. */
export function prepareConflicts(database: Database): ConflictReads {
  const selectAll = database.prepare<[number, number, number], ConflictRow>(
    `SELECT ${COLUMNS} FROM conflicts WHERE collection = ? AND number < ? ORDER BY number DESC LIMIT ?`,
  );
  const selectOfItem = database.prepare<[number, number, string, number], ConflictRow>(
    `SELECT ${COLUMNS} FROM conflicts INDEXED BY conflicts_by_id
      WHERE collection = ? AND number < ? AND id = ? ORDER BY number DESC LIMIT ?`,
  );
  const selectOne = database.prepare<[number, number], ConflictRow>(
    `SELECT ${COLUMNS}, coalesce(content, (SELECT content FROM contents WHERE key = content_key)) AS content
      FROM conflicts WHERE collection = ? AND number = ?`,
  );
  return {
    list(collection, { id, before, limit }) {
      const rows =
        id === "" ? selectAll.all(collection, before, limit) : selectOfItem.all(collection, before, id, limit);
      return rows.map(conflictOf);
    },
    get(collection, number) {
      const row = selectOne.get(collection, number);
      return row === undefined ? undefined : conflictOf(row);
    },
  };
}

function conflictOf(row: ConflictRow): StoredConflict {
  return {
    number: row.number,
    id: row.id,
    fingerprint: row.fingerprint ?? undefined,
    prevailed: row.prevailed ?? undefined,
    standard: row.standard as StoredConflict["standard"],
    recordTimeUs: row.record_time_us,
    modifyTimeUs: row.modify_time_us,
    size: row.size,
    content: row.content ?? undefined,
  };
}
