import type { Content } from "../../core/content.js";
import type { RecordedConflict } from "../../core/recorded-conflict.js";
import type { Database } from "../../core/sqlite.js";
import type { ConflictsQuery } from "./conflicts-query.js";
import { type ContentPlace, prepareContents } from "./sqlite-contents.js";

/** Conflict records; they are written by the statement that takes an item's row over. */
export interface ConflictTable {
  list(collection: number, query: ConflictsQuery): readonly RecordedConflict[];
  get(collection: number, number: number): RecordedConflict | undefined;
  /** Store.readConflictPart */
  part(collection: number, number: number, offset: number, length: number): ConflictPart | undefined;
  /** Store.pruneConflicts, in its caller's transaction. */
  prune(beforeUs: number, limit: number): number;
}

/** A part of a record's content. */
export interface ConflictPart {
  readonly data: Buffer;
  readonly text: boolean;
}

/** A record that is to go. */
interface PrunedRow {
  readonly collection: number;
  readonly number: number;
  readonly content_key: number | null;
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
}

const COLUMNS = "number, id, fingerprint, prevailed, standard, record_time_us, modify_time_us, size";

/** Prepares the statements. */
export function prepareConflicts(database: Database): ConflictTable {
  const selectAll = database.prepare<[number, number, number], ConflictRow>(
    `SELECT ${COLUMNS} FROM conflicts WHERE collection = ? AND number < ? ORDER BY number DESC LIMIT ?`,
  );
  const selectOfItem = database.prepare<[number, number, string, number], ConflictRow>(
    `SELECT ${COLUMNS} FROM conflicts INDEXED BY conflicts_by_id
      WHERE collection = ? AND number < ? AND id = ? ORDER BY number DESC LIMIT ?`,
  );
  const selectOne = database.prepare<[number, number], ConflictRow & ContentPlace>(
    `SELECT ${COLUMNS}, content_key AS contentKey, content FROM conflicts WHERE collection = ? AND number = ?`,
  );
  const contents = prepareContents(database);
  // Those of deleted collections are the purge's.
  const selectOld = database.prepare<[number, number], PrunedRow>(
    `SELECT collection, number, content_key FROM conflicts INDEXED BY conflicts_by_time
      WHERE record_time_us < ? AND EXISTS (SELECT 1 FROM collections WHERE key = collection)
      ORDER BY record_time_us, collection, number LIMIT ?`,
  );
  const remove = database.prepare<[number, number]>("DELETE FROM conflicts WHERE collection = ? AND number = ?");
  const removeContent = database.prepare<[number]>("DELETE FROM contents WHERE key = ?");
  const countDown = database.prepare<[number, number]>(
    "UPDATE collections SET conflicts = conflicts - ? WHERE key = ?",
  );
  return {
    prune(beforeUs, limit) {
      const rows = selectOld.all(beforeUs, limit);
      const removed = new Map<number, number>();
      for (const { collection, number, content_key: contentKey } of rows) {
        if (contentKey !== null) removeContent.run(contentKey);
        remove.run(collection, number);
        removed.set(collection, (removed.get(collection) ?? 0) + 1);
      }
      for (const [collection, count] of removed) countDown.run(count, collection);
      return rows.length;
    },
    list(collection, { id, before, limit }) {
      const rows =
        id === "" ? selectAll.all(collection, before, limit) : selectOfItem.all(collection, before, id, limit);
      return rows.map((row) => conflictOf(row, undefined));
    },
    get(collection, number) {
      const row = selectOne.get(collection, number);
      if (row === undefined) return undefined;
      const { contentKey, content } = row;
      return conflictOf(row, contentKey === null ? (content ?? undefined) : contents.whole(contentKey));
    },
    part(collection, number, offset, length) {
      const row = selectOne.get(collection, number);
      return row === undefined || row.fingerprint === null ? undefined : contents.part(row, offset, length);
    },
  };
}

function conflictOf(row: ConflictRow, content: Content | undefined): RecordedConflict {
  return {
    number: row.number,
    id: row.id,
    fingerprint: row.fingerprint ?? undefined,
    prevailed: row.prevailed ?? undefined,
    standard: row.standard as RecordedConflict["standard"],
    recordTimeUs: row.record_time_us,
    modifyTimeUs: row.modify_time_us,
    size: row.size,
    content,
  };
}
