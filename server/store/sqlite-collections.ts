import { asBuffer } from "../../core/content.js";
import { createRangeSum, type RangeTotal } from "../../core/range-sum.js";
import type { Database } from "../../core/sqlite.js";
import type { CollectionCreation, CollectionState, EpochState } from "./collection-state.js";

/** A collection's row: what every method starts from. */
export interface CollectionRow {
  /** Names the collection within the file; never used again. */
  readonly key: number;
  readonly name: string;
  readonly uid: Buffer;
  readonly standard: number;
  readonly create_time_us: number;
  readonly revision: number;
  readonly count: number;
  readonly sum: Buffer;
  readonly compacted_revision: number;
  /** Tombstones up to here are not in the file any more. */
  readonly removed_revision: number;
  readonly conflicts: number;
  readonly last_conflict: number;
}

/** What a batch changes in a collection's row. */
export interface CollectionAdvance {
  readonly revision: number;
  readonly total: RangeTotal;
  readonly conflicts: number;
  readonly lastConflict: number;
}

/**
 * The collections, their epochs, and the uids of those that were deleted. Every method runs in its caller's transaction. Rows
 * that are often asked for are remembered, as nobody else writes to the file.
 */
export interface CollectionTables {
  byName(name: string): CollectionState | undefined;
  list(after: string, limit: number): readonly CollectionState[];
  create(creation: CollectionCreation): { readonly created: boolean; readonly state: CollectionState };
  /** Its rows stay for `purge`; nobody finds them any more. */
  delete(uid: Uint8Array): boolean;
  wasDeleted(uid: Uint8Array): boolean;
  byUid(uid: Uint8Array): CollectionRow | undefined;
  /** All epochs of a collection, oldest first. */
  lineage(key: number): readonly EpochState[];
  /** What is remembered of rows is not true any more: rows were changed by others, or a transaction was undone. */
  forget(): void;
  /** Stores a commit's counters, and the epoch that the file is open in where this is its first commit. */
  advance(row: CollectionRow, to: CollectionAdvance): void;
}

/** Collections that are remembered. */
const MAX_REMEMBERED = 4096;

/** Count and sum in a row. */
export function totalIn(row: CollectionRow): RangeTotal {
  return { count: row.count, sum: row.sum };
}

/** Prepares the statements. `epoch`: id of the epoch in which the file is open. */
export function prepareCollections(database: Database, epoch: Uint8Array): CollectionTables {
  const epochId = asBuffer(epoch);
  const selectByName = database.prepare<[string], CollectionRow>("SELECT * FROM collections WHERE name = ?");
  const selectByUid = database.prepare<[Buffer], CollectionRow>("SELECT * FROM collections WHERE uid = ?");
  const selectPage = database.prepare<[string, number], CollectionRow>(
    "SELECT * FROM collections WHERE name > ? ORDER BY name LIMIT ?",
  );
  const insert = database.prepare<[string, Buffer, number, number, Buffer]>(
    "INSERT INTO collections (name, uid, standard, create_time_us, sum) VALUES (?, ?, ?, ?, ?)",
  );
  const update = database.prepare<[number, number, Buffer, number, number, number]>(
    "UPDATE collections SET revision = ?, count = ?, sum = ?, conflicts = ?, last_conflict = ? WHERE key = ?",
  );
  const remove = database.prepare<[number]>("DELETE FROM collections WHERE key = ?");
  const removeEpochs = database.prepare<[number]>("DELETE FROM epochs WHERE collection = ?");
  const insertDeleted = database.prepare<[Buffer, number]>("INSERT INTO deleted_collections (uid, key) VALUES (?, ?)");
  const selectDeleted = database.prepare<[Buffer]>("SELECT 1 FROM deleted_collections WHERE uid = ?");
  const selectEpochs = database.prepare<[number], EpochState>(
    "SELECT id, first_revision AS firstRevision FROM epochs WHERE collection = ? ORDER BY ordinal",
  );
  const selectLastEpoch = database.prepare<[number], { ordinal: number; id: Buffer }>(
    "SELECT ordinal, id FROM epochs WHERE collection = ? ORDER BY ordinal DESC LIMIT 1",
  );
  const insertEpoch = database.prepare<[number, number, Buffer, number]>(
    "INSERT INTO epochs (collection, ordinal, id, first_revision) VALUES (?, ?, ?, ?)",
  );

  const rows = new Map<string, CollectionRow>();
  const lineages = new Map<number, readonly EpochState[]>();
  const uids = new Map<string, string>();

  function keep(row: CollectionRow | undefined): CollectionRow | undefined {
    if (row === undefined) return undefined;
    if (rows.size >= MAX_REMEMBERED) forget();
    const uid = row.uid.toString("latin1");
    rows.set(uid, row);
    uids.set(row.name, uid);
    return row;
  }

  function forget(): void {
    rows.clear();
    lineages.clear();
    uids.clear();
  }

  function lineageOf(key: number): readonly EpochState[] {
    const lineage = lineages.get(key) ?? selectEpochs.all(key);
    if (lineages.size >= MAX_REMEMBERED) lineages.clear();
    lineages.set(key, lineage);
    return lineage;
  }

  const stateOf = (row: CollectionRow): CollectionState => ({
    name: row.name,
    uid: row.uid,
    standard: row.standard as CollectionState["standard"],
    revision: row.revision,
    total: totalIn(row),
    createTimeUs: row.create_time_us,
    compactedRevision: row.compacted_revision,
    conflicts: row.conflicts,
    lineage: lineageOf(row.key),
  });
  const byName = (name: string): CollectionState | undefined => {
    const row = rows.get(uids.get(name) ?? "") ?? keep(selectByName.get(name));
    return row === undefined ? undefined : stateOf(row);
  };
  return {
    byName,
    list: (after, limit) => selectPage.all(after, limit).map(stateOf),
    create(creation) {
      const existing = byName(creation.name);
      if (existing !== undefined) return { created: false, state: existing };
      const { name, uid, standard, nowUs } = creation;
      forget();
      const { lastInsertRowid } = insert.run(name, asBuffer(uid), standard, nowUs, createRangeSum().bytes());
      insertEpoch.run(Number(lastInsertRowid), 0, epochId, 1);
      return { created: true, state: byName(name) as CollectionState };
    },
    delete(uid) {
      const row = selectByUid.get(asBuffer(uid));
      if (row === undefined) return false;
      forget();
      insertDeleted.run(row.uid, row.key);
      removeEpochs.run(row.key);
      remove.run(row.key);
      return true;
    },
    wasDeleted: (uid) => selectDeleted.get(asBuffer(uid)) !== undefined,
    byUid: (uid) => rows.get(asBuffer(uid).toString("latin1")) ?? keep(selectByUid.get(asBuffer(uid))),
    lineage: lineageOf,
    forget,
    advance(row, to) {
      const current = lineageOf(row.key).at(-1);
      if (current === undefined || !asBuffer(current.id).equals(epochId)) {
        const last = selectLastEpoch.get(row.key);
        insertEpoch.run(row.key, (last?.ordinal ?? -1) + 1, epochId, row.revision + 1);
        lineages.delete(row.key);
      }
      const { revision, conflicts, lastConflict: last_conflict } = to;
      keep({ ...row, revision, count: to.total.count, sum: asBuffer(to.total.sum), conflicts, last_conflict });
      update.run(to.revision, to.total.count, asBuffer(to.total.sum), to.conflicts, to.lastConflict, row.key);
    },
  };
}
