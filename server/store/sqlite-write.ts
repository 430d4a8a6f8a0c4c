import { asBuffer, type Content } from "../../core/content.js";
import { createRangeSum, totalOf } from "../../core/range-sum.js";
import type { Database } from "../../core/sqlite.js";
import type { HeldState } from "./decide-write.js";
import { type BatchPlan, type PlannedChange, planBatch } from "./plan-batch.js";
import { type CollectionRow, type CollectionTables, totalIn } from "./sqlite-collections.js";
import { CHANGE_COLUMNS, changeOf, type ItemRow } from "./sqlite-items.js";
import { ROW_CONTENT_BYTES } from "./sqlite-schema.js";
import type { BatchWritten, StoredChange, Write, WriteBatch } from "./store.js";

/** Prepares Store.write for one batch, in its caller's transaction. Undefined: no such collection. */
export function prepareWrite(
  database: Database,
  collections: CollectionTables,
): (batch: WriteBatch) => BatchWritten | undefined {
  const find = prepareLookups(database);
  const replace = prepareChange(database);

  /** Makes the changes; answers the last conflict number. The counters are stored once, after all of them. */
  function makeChanges(collection: CollectionRow, plan: BatchPlan, nowUs: number): void {
    const before = totalIn(collection);
    const sum = createRangeSum(before.count, before.sum);
    let lastConflict = collection.last_conflict;
    for (const change of plan.changes) {
      if (change.held?.fingerprint !== undefined) sum.subtract(change.held.fingerprint);
      if (change.write.upsert !== undefined) sum.add(change.write.upsert.fingerprint);
      if (change.record) lastConflict += 1;
      replace(collection.key, change, lastConflict, nowUs);
    }
    const conflicts = collection.conflicts + lastConflict - collection.last_conflict;
    collections.advance(collection, { revision: plan.revision, total: totalOf(sum), conflicts, lastConflict });
  }

  return (batch) => {
    const collection = collections.byUid(batch.uid);
    if (collection === undefined) return undefined;
    const { key, revision } = collection;
    const held = find.held(key, batch.writes);
    const plan = planBatch(batch.writes, held, revision, (index) =>
      find.change(key, held[index] as HeldState, (batch.writes[index] as Write).id),
    );
    if (plan.changes.length > 0) makeChanges(collection, plan, batch.nowUs);
    const lineage = collections.lineage(key);
    return { outcomes: plan.outcomes, revisionBefore: revision, revision: plan.revision, lineage };
  };
}

interface Lookups {
  /** What is held of each write's id. */
  held(key: number, writes: readonly Write[]): readonly (HeldState | undefined)[];
  /** The change that is held of an id. */
  change(key: number, held: HeldState, id: string): StoredChange;
}

function prepareLookups(database: Database): Lookups {
  const selectHeld = database
    .prepare<[number, string], [Buffer | null, number]>(
      "SELECT fingerprint, revision FROM items INDEXED BY items_by_id WHERE collection = ? AND id = ?",
    )
    .raw();
  const selectChange = database.prepare<[number, number, string], ItemRow>(
    `SELECT ${CHANGE_COLUMNS} FROM items WHERE collection = ? AND revision = ? AND id = ?`,
  );
  return {
    held: (key, writes) =>
      writes.map((write) => {
        const row = selectHeld.get(key, write.id);
        return row === undefined ? undefined : { fingerprint: row[0] ?? undefined, revision: row[1] };
      }),
    change: (key, held, id) => changeOf(selectChange.get(key, held.revision, id) as ItemRow, undefined),
  };
}

/** Takes the old row away, or over into a conflict record, and puts the new one in. */
function prepareChange(
  database: Database,
): (key: number, change: PlannedChange, conflict: number, nowUs: number) => void {
  const insert = database.prepare<
    [number, number, string, Buffer | null, number, number, number, number | null, Content | null]
  >(`INSERT INTO items (collection, revision, id, fingerprint, size, modify_time_us, group_revision, content_key, content)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`);
  const insertContent = database.prepare<[Content]>("INSERT INTO contents (content) VALUES (?)");
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

  function removeOld(key: number, change: PlannedChange, held: HeldState, conflict: number, nowUs: number): void {
    const { id, upsert, overrides } = change.write;
    if (change.record) {
      const prevailed = upsert === undefined ? null : asBuffer(upsert.fingerprint);
      keepConflict.run(conflict, prevailed, overrides ?? 0, nowUs, key, held.revision, id);
    }
    const contentKey = remove.get(key, held.revision, id) ?? null;
    // A conflict record has taken the content over with its key.
    if (contentKey !== null && !change.record) removeContent.run(contentKey);
  }

  return (key, change, conflict, nowUs) => {
    const { write, held, revision, group } = change;
    if (held !== undefined) removeOld(key, change, held, conflict, nowUs);
    const { id, upsert, modifyTimeUs } = write;
    if (upsert === undefined) {
      insert.run(key, revision, id, null, 0, modifyTimeUs, group, null, null);
      return;
    }
    const content = typeof upsert.content === "string" ? upsert.content : asBuffer(upsert.content);
    const fingerprint = asBuffer(upsert.fingerprint);
    const inRow = upsert.size <= ROW_CONTENT_BYTES;
    const contentKey = inRow ? null : Number(insertContent.run(content).lastInsertRowid);
    insert.run(key, revision, id, fingerprint, upsert.size, modifyTimeUs, group, contentKey, inRow ? content : null);
  };
}
