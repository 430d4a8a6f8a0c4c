import { asBuffer } from "../../core/content.js";
import type { EntryBlock } from "../../core/entry-block.js";
import type { IdInterval } from "../../core/range.js";
import { createRangeIndex, type RangeIndex } from "../../core/range-index.js";
import type { Segment } from "../../core/segment-table.js";
import type { Database } from "../../core/sqlite.js";
import { type JoinedTuple, joinedEntries, toBlock } from "../../core/sqlite-entries.js";
import { answerRanges } from "./answer-ranges.js";
import type { RangesQuery, RangesRead } from "./range-reads.js";
import type { CollectionRow, CollectionTables } from "./sqlite-collections.js";
import { AFTER_ALL_IDS, CHANGE_COLUMNS, type ItemRow, prepareRowReader } from "./sqlite-items.js";
import { ROW_CONTENT_BYTES } from "./sqlite-schema.js";

/** The range sums of all collections. */
export interface RangeIndexes {
  /** The index of a collection, to read or, in a write transaction, to change. */
  of(collection: number): RangeIndex;
  /** Runs a write transaction; where it fails, also in its commit, what was in memory of it is forgotten. */
  guard<T>(transaction: () => T): T;
  /** Lets go of what is in memory of a collection. */
  drop(collection: number): void;
}

/** So many collections have their index in memory, and up to as many more that were not used for longer. */
const MAX_INDEXES = 1024;
/** Segments that make that number less: some 8 MB. */
const MAX_SEGMENTS = 65_536;

/** Prepares the statements. `maxIndexes` is for tests. */
export function prepareRangeIndexes(database: Database, maxIndexes = MAX_INDEXES): RangeIndexes {
  const indexOn = prepareIndex(database);
  const indexes = createIndexCache(maxIndexes);
  /** Asked for in the write transaction that runs. */
  const touched = new Set<number>();
  return {
    of(collection) {
      touched.add(collection);
      return indexes.get(collection) ?? indexes.keep(collection, indexOn(collection));
    },
    guard(transaction) {
      touched.clear();
      try {
        return transaction();
      } catch (error) {
        for (const collection of touched) indexes.delete(collection);
        throw error;
      }
    },
    drop(collection) {
      indexes.delete(collection);
    },
  };
}

interface IndexCache {
  get(collection: number): RangeIndex | undefined;
  keep(collection: number, index: RangeIndex): RangeIndex;
  delete(collection: number): void;
}

/**
 * What was used since the cache was full last, and what was used before that: to use one changes nothing but the first time
 * in a while, where an order by use would leave tables behind that keep young objects alive (rpc/members.ts).
 */
function createIndexCache(maxIndexes: number): IndexCache {
  let recent = new Map<number, RangeIndex>();
  let older = new Map<number, RangeIndex>();

  function isFull(): boolean {
    if (recent.size >= maxIndexes) return true;
    // Seldom looked at: it takes a while.
    if (recent.size === 0 || recent.size % 64 !== 0) return false;
    let segments = 0;
    for (const { segments: held } of recent.values()) segments += held;
    return segments >= MAX_SEGMENTS;
  }

  function keep(collection: number, index: RangeIndex): RangeIndex {
    if (isFull()) {
      older = recent;
      recent = new Map();
    }
    recent.set(collection, index);
    return index;
  }

  return {
    get(collection) {
      const index = recent.get(collection);
      if (index !== undefined) return index;
      const old = older.get(collection);
      return old === undefined ? undefined : keep(collection, old);
    },
    keep,
    delete(collection) {
      recent.delete(collection);
      older.delete(collection);
    },
  };
}

/** The statements of one index each, shared by all. */
function prepareIndex(database: Database): (collection: number) => RangeIndex {
  const select = database.prepare<[number], Segment>(
    'SELECT first AS "from", count, sum FROM segments WHERE collection = ? ORDER BY first',
  );
  const upsert = database.prepare<[number, string, number, Buffer]>(
    "INSERT OR REPLACE INTO segments (collection, first, count, sum) VALUES (?, ?, ?, ?)",
  );
  const remove = database.prepare<[number, string]>("DELETE FROM segments WHERE collection = ? AND first = ?");
  const entries = prepareEntries(database);
  return (collection) =>
    createRangeIndex({
      load: () => select.all(collection),
      save: ({ from, count, sum }) => void upsert.run(collection, from, count, asBuffer(sum)),
      remove: (from) => void remove.run(collection, from),
      entries: (interval, limit) => entries(collection, interval, limit),
    });
}

/** What a tombstone costs of which no more than the id is read, in items that are read. */
const TOMBSTONE_ID_WORK = 1 / 4;

type Entries = (collection: number, interval: IdInterval, limit: number) => EntryBlock;

/** Items of a range, in the order of their ids, read from the index alone. */
function prepareEntries(database: Database): Entries {
  const select = database
    .prepare<[number, string, string, number], JoinedTuple>(
      joinedEntries(`SELECT id, fingerprint FROM items INDEXED BY items_by_id
        WHERE collection = ? AND id >= ? AND id < ? AND fingerprint IS NOT NULL ORDER BY id LIMIT ?`),
    )
    .raw();
  return (collection, { from, to }, limit) => toBlock(select.get(collection, from, to ?? AFTER_ALL_IDS, limit));
}

/** Prepares Store.readRanges for a collection. */
export function prepareRanges(
  database: Database,
  collections: CollectionTables,
  indexes: RangeIndexes,
): (collection: CollectionRow, query: RangesQuery) => RangesRead {
  /** One index at most keeps what was read of its items. */
  let last: RangeIndex | undefined;
  const changeOf = prepareRowReader(database);
  const selectChange = database
    .prepare<[number, string], ItemRow>(
      `SELECT ${CHANGE_COLUMNS}, CASE WHEN size <= ${ROW_CONTENT_BYTES} THEN content END
        FROM items INDEXED BY items_by_id WHERE collection = ? AND id = ?`,
    )
    .raw();
  const tombstonesOf = (columns: string) =>
    `SELECT ${columns} FROM items INDEXED BY items_by_id
      WHERE collection = ? AND id >= ? AND id < ? AND fingerprint IS NULL AND revision > ? ORDER BY id LIMIT ?`;
  const selectTombstones = database
    .prepare<[number, string, string, number, number], ItemRow>(tombstonesOf(`${CHANGE_COLUMNS}, NULL`))
    .raw();
  const selectTombstoneIds = database
    .prepare<[number, string, string, number, number], string>(tombstonesOf("id"))
    .pluck();
  return (collection, query) => {
    const { key, revision, compacted_revision: compactedRevision } = collection;
    const index = indexes.of(key);
    if (index !== last) last?.forget();
    last = index;
    const { total, split, entries } = index;
    let tombstoneWork = 0;
    const answers = answerRanges(query, compactedRevision, {
      total,
      split,
      entries,
      get work() {
        return index.work + tombstoneWork;
      },
      change: (id, inlineBytes) => changeOf(selectChange.get(key, id) as ItemRow, inlineBytes),
      tombstones({ from, to }, after, limit) {
        // There is none after the head: after a compaction this spares a look through every range.
        if (after >= revision) return [];
        const rows = selectTombstones.all(key, from, to ?? AFTER_ALL_IDS, after, limit);
        tombstoneWork += rows.length;
        return rows.map((row) => changeOf(row, -1));
      },
      tombstoneIds({ from, to }, after, limit) {
        const ids = selectTombstoneIds.all(key, from, to ?? AFTER_ALL_IDS, after, limit);
        tombstoneWork += ids.length * TOMBSTONE_ID_WORK;
        return ids;
      },
    });
    return { answers, revision, compactedRevision, lineage: collections.lineage(key) };
  };
}
