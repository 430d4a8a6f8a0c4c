import { asBuffer } from "../../core/content.js";
import { compareIds } from "../../core/id.js";
import { changesOf, type NewEntries, type RangeChange } from "../../core/range-index.js";
import { createRangeSum, totalOf } from "../../core/range-sum.js";
import { bytesBeginSegment } from "../../core/segment-boundary.js";
import type { Database } from "../../core/sqlite.js";
import { type Creations, creationsOf, idAt, writtenAll } from "./creations.js";
import type { HeldState } from "./decide-write.js";
import type { StoredChange } from "./item-reads.js";
import { type BatchPlan, type PlannedChange, planBatch } from "./plan-batch.js";
import { type CollectionRow, type CollectionTables, totalIn } from "./sqlite-collections.js";
import type { Compaction } from "./sqlite-compact.js";
import { prepareCreations } from "./sqlite-creations.js";
import { CHANGE_COLUMNS, type ItemRow, prepareRowReader } from "./sqlite-items.js";
import type { RangeIndexes } from "./sqlite-ranges.js";
import { ROW_CONTENT_BYTES } from "./sqlite-schema.js";
import type { UploadTable } from "./sqlite-uploads.js";
import type { BatchWritten, Write, WriteBatch } from "./write-batch.js";

/** Prepares Store.write for one batch, in its caller's transaction. Undefined: no such collection. */
export function prepareWrite(
  database: Database,
  collections: CollectionTables,
  indexes: RangeIndexes,
  compaction: Compaction,
  uploads: UploadTable,
): (batch: WriteBatch) => BatchWritten | undefined {
  const find = prepareLookups(database);
  const removeOld = prepareRemoval(database);
  const insert = prepareInsertion(database, uploads);
  const rows = prepareCreations(database);

  /** Makes items that there are none of yet. */
  function create(collection: CollectionRow, creations: Creations, nowUs: number): BatchWritten {
    const { key, revision: revisionBefore, conflicts, last_conflict: lastConflict } = collection;
    const { items, total } = creations;
    const ranges = indexes.of(key);
    const entries = toNewEntries(creations);
    if (items.isAscending) ranges.noteNew(entries);
    else ranges.note(changesOf(entries));
    rows.insert(key, creations, revisionBefore);
    ranges.flush();
    const before = totalIn(collection);
    const sum = createRangeSum(before.count, before.sum);
    sum.merge(total);
    const revision = revisionBefore + items.count;
    compaction.mark(key, revision, nowUs);
    collections.advance(collection, { revision, total: totalOf(sum), conflicts, lastConflict });
    return writtenAll(items.count, revisionBefore, collections.lineage(key));
  }

  /** Makes the changes; answers the last conflict number. The counters are stored once, after all of them. */
  function makeChanges(collection: CollectionRow, plan: BatchPlan, nowUs: number): void {
    const ranges = indexes.of(collection.key);
    ranges.note(plan.changes.map(({ write, held }) => toRangeChange(write, held)));
    const before = totalIn(collection);
    const sum = createRangeSum(before.count, before.sum);
    let lastConflict = collection.last_conflict;
    for (const change of plan.changes) {
      if (change.held?.fingerprint !== undefined) sum.subtract(change.held.fingerprint);
      if (change.write.upsert !== undefined) sum.add(change.write.upsert.fingerprint);
      if (change.record) lastConflict += 1;
      removeOld(collection.key, change, lastConflict, nowUs);
    }
    insert(collection.key, plan.changes);
    ranges.flush();
    compaction.mark(collection.key, plan.revision, nowUs);
    const conflicts = collection.conflicts + lastConflict - collection.last_conflict;
    collections.advance(collection, { revision: plan.revision, total: totalOf(sum), conflicts, lastConflict });
  }

  return (batch) => {
    const collection = collections.byUid(batch.uid);
    if (collection === undefined) return undefined;
    const { key, revision } = collection;
    const creations = creationsOf(batch);
    const areNew = creations !== undefined && creations.seen >= collection.compacted_revision;
    if (areNew && rows.areNew(key, creations.items)) return create(collection, creations, batch.nowUs);
    const held = find.held(key, batch.writes);
    const state = { revision, compactedRevision: collection.compacted_revision };
    const describe = (index: number) => find.change(key, held[index] as HeldState, (batch.writes[index] as Write).id);
    const hasUpload = (index: number) => uploadKey(uploads, key, batch.writes[index] as Write) !== undefined;
    const plan = planBatch(batch.writes, held, state, describe, hasUpload);
    if (plan.changes.length > 0) makeChanges(collection, plan, batch.nowUs);
    const lineage = collections.lineage(key);
    return { outcomes: plan.outcomes, revisionBefore: revision, revision: plan.revision, lineage };
  };
}

function toNewEntries({ items, fingerprints }: Creations): NewEntries {
  const { count, bytes, starts, idBytes } = items;
  return {
    count,
    idAt: (index) => idAt(items, index),
    begins(index) {
      const start = starts[index] as number;
      return bytesBeginSegment(bytes, start, start + (idBytes[index] as number));
    },
    fingerprints,
  };
}

/** The key of the content that was uploaded for a write; undefined: there is none. */
function uploadKey(uploads: UploadTable, key: number, { id, upsert }: Write): number | undefined {
  return upsert?.upload === undefined ? undefined : uploads.find(key, upsert.upload, id, upsert.size);
}

function toRangeChange({ id, upsert }: Write, held: HeldState | undefined): RangeChange {
  return { id, before: held?.fingerprint, after: upsert?.fingerprint };
}

interface Lookups {
  /** What is held of each write's id. */
  held(key: number, writes: readonly Write[]): readonly (HeldState | undefined)[];
  /** The change that is held of an id, without its content. */
  change(key: number, held: HeldState, id: string): StoredChange;
}

/** For fewer writes it takes as long to look for the greatest id as for theirs. */
const LEAST_IN_ORDER = 4;

function prepareLookups(database: Database): Lookups {
  const changeOf = prepareRowReader(database);
  const selectHeld = database
    .prepare<[number, string], [Buffer | null, number]>(
      "SELECT fingerprint, revision FROM items INDEXED BY items_by_id WHERE collection = ? AND id = ?",
    )
    .raw();
  const selectChange = database
    .prepare<[number, number, string], ItemRow>(
      `SELECT ${CHANGE_COLUMNS}, NULL FROM items WHERE collection = ? AND revision = ? AND id = ?`,
    )
    .raw();
  const selectGreatest = database
    .prepare<[number], string>(
      "SELECT id FROM items INDEXED BY items_by_id WHERE collection = ? ORDER BY id DESC LIMIT 1",
    )
    .pluck();
  function heldOf(key: number, id: string): HeldState | undefined {
    const row = selectHeld.get(key, id);
    return row === undefined ? undefined : { fingerprint: row[0] ?? undefined, revision: row[1] };
  }
  return {
    held(key, writes) {
      if (writes.length < LEAST_IN_ORDER) return writes.map(({ id }) => heldOf(key, id));
      // Of ids behind all that there are, as they come in a first push, nothing is held.
      const greatest = selectGreatest.get(key);
      if (greatest === undefined) return writes.map(() => undefined);
      return writes.map(({ id }) => (compareIds(id, greatest) > 0 ? undefined : heldOf(key, id)));
    },
    change: (key, held, id) => changeOf(selectChange.get(key, held.revision, id) as ItemRow, -1),
  };
}

/** Takes away what a change replaces, or over into the conflict record of this number. */
function prepareRemoval(
  database: Database,
): (key: number, change: PlannedChange, conflict: number, nowUs: number) => void {
  const removeContent = database.prepare<[number]>("DELETE FROM contents WHERE key = ?");
  const remove = database
    .prepare<[number, number, string], number | null>(
      "DELETE FROM items WHERE collection = ? AND revision = ? AND id = ? RETURNING content_key",
    )
    .pluck();
  const keepConflict = database.prepare<[number, Buffer | null, number, number, number, number, string]>(
    `INSERT INTO conflicts (collection, number, id, fingerprint, prevailed, standard, record_time_us, modify_time_us,
        size, content_key, content)
      SELECT collection, ?, id, fingerprint, ?, ?, ?, modify_time_us, size, content_key, content
      FROM items WHERE collection = ? AND revision = ? AND id = ?`,
  );
  return (key, change, conflict, nowUs) => {
    const { held, write, record } = change;
    if (held === undefined) return;
    const { id, upsert, overrides } = write;
    if (record) {
      const prevailed = upsert === undefined ? null : asBuffer(upsert.fingerprint);
      keepConflict.run(conflict, prevailed, overrides ?? 0, nowUs, key, held.revision, id);
    }
    const contentKey = remove.get(key, held.revision, id) ?? null;
    // A conflict record has taken the content over with its key.
    if (contentKey !== null && !record) removeContent.run(contentKey);
  };
}

/** Rows of one INSERT: a fifth less time a row than with one each, and no more with greater numbers. */
const ROWS_AT_ONCE = 50;

type Cell = string | number | Buffer | null;

/** Puts the new rows in. */
function prepareInsertion(
  database: Database,
  uploads: UploadTable,
): (key: number, changes: readonly PlannedChange[]) => void {
  const insertRows = (rows: number) =>
    database.prepare<[Cell[]]>(
      `INSERT INTO items (collection, revision, id, fingerprint, size, modify_time_us, group_revision, content_key, content)
        VALUES ${Array(rows).fill("(?, ?, ?, ?, ?, ?, ?, ?, ?)").join(", ")}`,
    );
  // Most rows are of no group and have their content with them: two cells less to bind.
  const insertPlain = database.prepare<[Cell[]]>(
    `INSERT INTO items (collection, revision, id, fingerprint, size, modify_time_us, content, group_revision, content_key)
      VALUES ${Array(ROWS_AT_ONCE).fill("(?, ?, ?, ?, ?, ?, ?, 0, NULL)").join(", ")}`,
  );
  const insertOne = insertRows(1);
  const insertMany = insertRows(ROWS_AT_ONCE);
  const insertContent = database.prepare<[string | Buffer]>("INSERT INTO contents (content) VALUES (?)");

  /** Where the new content is to be, or is by now: in its row, or under a key. */
  function placeOf(key: number, write: Write): [contentKey: number | null, content: string | Buffer | null] {
    const { content, upload, size } = write.upsert ?? {};
    if (upload !== undefined) {
      const contentKey = uploadKey(uploads, key, write) ?? null;
      uploads.taken(upload.serial);
      return [contentKey, null];
    }
    if (content === undefined) return [null, null];
    const value = typeof content === "string" ? content : asBuffer(content);
    if (size !== undefined && size <= ROW_CONTENT_BYTES) return [null, value];
    return [Number(insertContent.run(value).lastInsertRowid), null];
  }

  function addCells(cells: Cell[], key: number, { write, revision, group }: PlannedChange): void {
    const { id, upsert, modifyTimeUs } = write;
    const fingerprint = upsert === undefined ? null : asBuffer(upsert.fingerprint);
    const place = placeOf(key, write);
    cells.push(key, revision, id, fingerprint, upsert?.size ?? 0, modifyTimeUs, group, ...place);
  }

  /** The cells of rows from an index on, where all are plain. */
  function plainCells(key: number, changes: readonly PlannedChange[], from: number): Cell[] | undefined {
    const cells: Cell[] = new Array(ROWS_AT_ONCE * 7);
    let at = 0;
    for (let index = from; index < from + ROWS_AT_ONCE; index++) {
      const { write, revision, group } = changes[index] as PlannedChange;
      const { id, upsert, modifyTimeUs } = write;
      if (group !== 0 || upsert?.content === undefined || upsert.size > ROW_CONTENT_BYTES) return undefined;
      cells[at++] = key;
      cells[at++] = revision;
      cells[at++] = id;
      cells[at++] = asBuffer(upsert.fingerprint);
      cells[at++] = upsert.size;
      cells[at++] = modifyTimeUs;
      cells[at++] = typeof upsert.content === "string" ? upsert.content : asBuffer(upsert.content);
    }
    return cells;
  }

  /** Inserts so many rows at once, from an index on. */
  function insertNext(key: number, changes: readonly PlannedChange[], from: number): void {
    const plain = plainCells(key, changes, from);
    if (plain !== undefined) {
      insertPlain.run(plain);
      return;
    }
    const cells: Cell[] = [];
    for (let index = from; index < from + ROWS_AT_ONCE; index++) addCells(cells, key, changes[index] as PlannedChange);
    insertMany.run(cells);
  }

  return (key, changes) => {
    let from = 0;
    for (; from + ROWS_AT_ONCE <= changes.length; from += ROWS_AT_ONCE) insertNext(key, changes, from);
    for (; from < changes.length; from++) {
      const cells: Cell[] = [];
      addCells(cells, key, changes[from] as PlannedChange);
      insertOne.run(cells);
    }
  };
}
