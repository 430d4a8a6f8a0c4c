import type { Content } from "../../core/content.js";
import { prefixEnd } from "../../core/id.js";
import type { Database } from "../../core/sqlite.js";
import { changeBytes, createCommitPage } from "./page.js";
import { type CollectionRow, type CollectionTables, totalIn } from "./sqlite-collections.js";
import { CHANGE_COLUMNS, changeOf, type ItemRow } from "./sqlite-items.js";
import type { ChangesQuery, ChangesRead, ItemsQuery, ItemsRead, ListQuery, StoredChange } from "./store.js";

/** The reads of items. Each runs on one snapshot, as nobody else writes while it runs: calls are synchronous. */
export interface ItemReads {
  changes(collection: CollectionRow, query: ChangesQuery): ChangesRead;
  items(collection: CollectionRow, query: ItemsQuery): ItemsRead;
  list(collection: CollectionRow, query: ListQuery): readonly StoredChange[];
}

/** Sorts after every id there can be: U+10FFFF is the last code point. */
const AFTER_ALL_IDS = "\u{10ffff}".repeat(129);

/** Prepares the statements. */
export function prepareReads(database: Database, collections: CollectionTables): ItemReads {
  const contentOf = prepareContents(database);
  return { changes: prepareChanges(database, collections, contentOf), ...prepareById(database, contentOf) };
}

/** The content of a row, where it is inline in the row or lives in `contents`. */
function prepareContents(database: Database): (row: ItemRow, inlineBytes: number) => Content | undefined {
  const select = database.prepare<[number], Content>("SELECT content FROM contents WHERE key = ?").pluck();
  return (row, inlineBytes) => {
    if (row.fingerprint === null || row.size > inlineBytes) return undefined;
    return row.content_key === null ? (row.content ?? undefined) : select.get(row.content_key);
  };
}

function prepareChanges(
  database: Database,
  collections: CollectionTables,
  contentOf: (row: ItemRow, inlineBytes: number) => Content | undefined,
): ItemReads["changes"] {
  // The tombstone test stands behind a unary plus, so that no index but the clustering one is ever considered.
  const select = database.prepare<[number, number, number, number], ItemRow>(
    `SELECT ${CHANGE_COLUMNS}, CASE WHEN size <= ? THEN content END AS content FROM items
      WHERE collection = ? AND revision > ? AND (+fingerprint IS NOT NULL OR revision > ?) ORDER BY revision, id`,
  );
  return (collection, query) => {
    const { revision } = collection;
    const state = { revision, total: totalIn(collection), lineage: collections.lineage(collection.key) };
    const page = createCommitPage(query);
    for (const row of select.iterate(query.inlineBytes, collection.key, query.after, query.tombstonesAfter)) {
      if (page.add(changeOf(row, contentOf(row, query.inlineBytes)))) continue;
      return { changes: page.changes, through: page.changes.at(-1)?.revision ?? revision, end: false, ...state };
    }
    return { changes: page.changes, through: revision, end: true, ...state };
  };
}

function prepareById(
  database: Database,
  contentOf: (row: ItemRow, inlineBytes: number) => Content | undefined,
): Pick<ItemReads, "items" | "list"> {
  const selectOne = database.prepare<[number, string], ItemRow>(
    `SELECT ${CHANGE_COLUMNS}, content FROM items INDEXED BY items_by_id WHERE collection = ? AND id = ?`,
  );
  const selectSize = database
    .prepare<[number, string], number>("SELECT size FROM items INDEXED BY items_by_id WHERE collection = ? AND id = ?")
    .pluck();
  const selectRange = database.prepare<[number, number, string, string, string, number], ItemRow>(
    `SELECT ${CHANGE_COLUMNS}, CASE WHEN size <= ? THEN content END AS content FROM items INDEXED BY items_by_id
      WHERE collection = ? AND id > ? AND id >= ? AND id < ? AND fingerprint IS NOT NULL ORDER BY id LIMIT ?`,
  );
  return {
    items(collection, query) {
      const items: (StoredChange | undefined)[] = [];
      let bytes = 0;
      for (const id of query.ids) {
        bytes += selectSize.get(collection.key, id) ?? 0;
        if (bytes > query.maxBytes && items.length > 0) break;
        const row = selectOne.get(collection.key, id);
        items.push(row === undefined ? undefined : changeOf(row, contentOf(row, Number.POSITIVE_INFINITY)));
      }
      return { items, revision: collection.revision };
    },
    list(collection, query) {
      const found: StoredChange[] = [];
      let bytes = 0;
      const { prefix, after, limit, inlineBytes } = query;
      const end = prefixEnd(prefix) ?? AFTER_ALL_IDS;
      for (const row of selectRange.iterate(inlineBytes, collection.key, after, prefix, end, limit)) {
        const item = changeOf(row, contentOf(row, inlineBytes));
        found.push(item);
        bytes += changeBytes(item);
        if (bytes >= query.maxBytes) break;
      }
      return found;
    },
  };
}
