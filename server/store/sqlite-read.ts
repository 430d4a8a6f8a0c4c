import { prefixEnd } from "../../core/id.js";
import { WHOLE_BYTES } from "../../core/limits.js";
import type { Database } from "../../core/sqlite.js";
import type { ChangesQuery, ChangesRead } from "./change-reads.js";
import type { ItemsQuery, ItemsRead, ListQuery, PartQuery, PartRead, StoredChange } from "./item-reads.js";
import { changeBytes, createCommitPage } from "./page.js";
import { type CollectionRow, type CollectionTables, totalIn } from "./sqlite-collections.js";
import { prepareColumns } from "./sqlite-columns.js";
import { prepareContents } from "./sqlite-contents.js";
import { AFTER_ALL_IDS, CHANGE_COLUMNS, type ItemRow, prepareRowReader, type RowReader } from "./sqlite-items.js";
import { ROW_CONTENT_BYTES } from "./sqlite-schema.js";

/** The reads of items. Each runs on one snapshot, as nobody else writes while it runs: calls are synchronous. */
export interface ItemReads {
  changes(collection: CollectionRow, query: ChangesQuery): ChangesRead;
  items(collection: CollectionRow, query: ItemsQuery): ItemsRead;
  list(collection: CollectionRow, query: ListQuery): readonly StoredChange[];
  part(collection: CollectionRow, query: PartQuery): PartRead | undefined;
}

/** Most rows that are asked of SQLite at once; a page may take several. */
const MAX_ROWS = 1_000;

/** Prepares the statements. */
export function prepareReads(database: Database, collections: CollectionTables): ItemReads {
  const changeOf = prepareRowReader(database);
  return {
    changes: prepareChanges(database, collections, changeOf),
    items: prepareItems(database, collections, changeOf),
    list: prepareList(database, changeOf),
    part: preparePart(database, changeOf),
  };
}

/**
 * Rows to ask for, to fill so many bytes: rather too many, which costs little (large contents are not in their rows), than
 * too few. Whole results are read several times faster than through an iterator.
 */
function rowsFor(bytes: number, rows: number, inlineBytes: number): number {
  const rowBytes = inlineBytes < 0 ? 80 : Math.min(80 + inlineBytes, 256);
  // At least one: a commit may take a page beyond its limits, and a negative LIMIT would be none.
  return Math.max(1, Math.min(rows, Math.ceil(bytes / rowBytes), MAX_ROWS));
}

function prepareChanges(database: Database, collections: CollectionTables, changeOf: RowReader): ItemReads["changes"] {
  // The plus keeps SQLite from considering any index but the clustering one for the tombstone test.
  const select = database
    .prepare<[number, number, number, string, number, number], ItemRow>(
      `SELECT ${CHANGE_COLUMNS}, CASE WHEN size <= ? THEN content END FROM items
        WHERE collection = ? AND (revision, id) > (?, ?) AND (+fingerprint IS NOT NULL OR revision > ?)
        ORDER BY revision, id LIMIT ?`,
    )
    .raw();
  const readColumns = prepareColumns(database);
  return (collection, query) => {
    const { maxBytes, maxChanges, inlineBytes, tombstonesAfter } = query;
    const { key, revision, compacted_revision: compactedRevision } = collection;
    const lineage = collections.lineage(key);
    const state = { revision, total: totalIn(collection), lineage, compactedRevision };
    // At the head, as live readers and whoever has just pushed mostly are, there is nothing to look for.
    if (query.after >= revision) return { changes: [], through: revision, end: true, ...state };
    const columns = readColumns(key, query, state);
    if (columns !== undefined) return columns;
    const page = createCommitPage(query);
    let at: readonly [revision: number, id: string] = [query.after, AFTER_ALL_IDS];
    for (;;) {
      // One more than fit, to see whether there is more.
      const limit = rowsFor(maxBytes - page.bytes, maxChanges - page.changes.length, inlineBytes) + 1;
      const rows = select.all(inlineBytes, key, ...at, tombstonesAfter, limit);
      for (const row of rows) {
        if (page.add(changeOf(row, inlineBytes))) continue;
        return { changes: page.changes, through: page.changes.at(-1)?.revision ?? revision, end: false, ...state };
      }
      const last = page.changes.at(-1);
      if (rows.length < limit || last === undefined) {
        return { changes: page.changes, through: revision, end: true, ...state };
      }
      at = [last.revision, last.id];
    }
  };
}

function prepareItems(database: Database, collections: CollectionTables, changeOf: RowReader): ItemReads["items"] {
  // A content of the largest size is not read before it is known that it fits.
  const select = database
    .prepare<[number, string], ItemRow>(
      `SELECT ${CHANGE_COLUMNS}, CASE WHEN size <= ${ROW_CONTENT_BYTES} THEN content END
        FROM items INDEXED BY items_by_id WHERE collection = ? AND id = ?`,
    )
    .raw();
  return (collection, query) => {
    const items: (StoredChange | undefined)[] = [];
    let bytes = 0;
    for (const id of query.ids) {
      const row = select.get(collection.key, id);
      const size = row?.[3] ?? 0;
      // Larger ones were uploaded and are not read.
      if (size <= WHOLE_BYTES) bytes += size;
      if (bytes > query.maxBytes && items.length > 0) break;
      items.push(row === undefined ? undefined : changeOf(row, WHOLE_BYTES));
    }
    return { items, revision: collection.revision, lineage: collections.lineage(collection.key) };
  };
}

function prepareList(database: Database, changeOf: RowReader): ItemReads["list"] {
  const select = database
    .prepare<[number, number, string, string, string, number], ItemRow>(
      `SELECT ${CHANGE_COLUMNS}, CASE WHEN size <= ? THEN content END FROM items INDEXED BY items_by_id
        WHERE collection = ? AND id > ? AND id >= ? AND id < ? AND fingerprint IS NOT NULL ORDER BY id LIMIT ?`,
    )
    .raw();
  return (collection, { prefix, after, limit, maxBytes, inlineBytes }) => {
    const items: StoredChange[] = [];
    const end = prefixEnd(prefix) ?? AFTER_ALL_IDS;
    let bytes = 0;
    for (;;) {
      const from = items.at(-1)?.id ?? after;
      const wanted = rowsFor(maxBytes - bytes, limit - items.length, inlineBytes);
      const rows = select.all(inlineBytes, collection.key, from, prefix, end, wanted);
      for (const row of rows) {
        const item = changeOf(row, inlineBytes);
        items.push(item);
        bytes += changeBytes(item);
        if (bytes >= maxBytes) return items;
      }
      if (rows.length < wanted || items.length >= limit) return items;
    }
  };
}

function preparePart(database: Database, changeOf: RowReader): ItemReads["part"] {
  const { part } = prepareContents(database);
  const select = database
    .prepare<[number, string], ItemRow>(
      `SELECT ${CHANGE_COLUMNS}, content
        FROM items INDEXED BY items_by_id WHERE collection = ? AND id = ? AND fingerprint IS NOT NULL`,
    )
    .raw();
  return (collection, { id, offset, length }) => {
    const row = select.get(collection.key, id);
    if (row === undefined) return undefined;
    return { change: changeOf(row, -1), ...part({ contentKey: row[6], content: row[7] }, offset, length) };
  };
}
