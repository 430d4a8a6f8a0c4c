import type { Content } from "../../core/content.js";
import type { Database } from "../../core/sqlite.js";
import type { ErrorReason } from "../../gen/tercet/v1/error.js";
import type { ChangeStandard } from "../../gen/tercet/v1/item.js";
import type { ItemRow, PendingRow, Rows } from "./rows.js";
import type { BaseState, LocalConflict } from "./store.js";

/** Sequence number up to which pending changes with `sent` 0 count as sent. Moves in transactions only. */
export interface SentMark {
  through: number;
}

/** A row of `pending`, in the order of `PENDING_COLUMNS`. */
export type PendingTuple = [
  sequence: number,
  id: string,
  fingerprint: Buffer | null,
  size: number,
  modifyTimeUs: number,
  baseRevision: number | null,
  baseFingerprint: Buffer | null,
  overrides: number | null,
  rejectedReason: number | null,
  rejectedMessage: string | null,
  sent: number,
  resent: number,
  baseTimeUs: number,
  held: number,
  group: number,
];

/** The columns of `pending` but the base's content. */
export const PENDING_COLUMNS = `pending.sequence, pending.id, pending.fingerprint, pending.size, pending.modify_time_us,
  pending.base_revision, pending.base_fingerprint, pending.overrides, pending.rejected_reason, pending.rejected_message,
  pending.sent, pending.resent, pending.base_time_us, pending.held, pending.group_key`;
/** How many those are. */
export const PENDING_WIDTH = 15;

/** Values of `pending.sent`. */
export const BY_MARK = 0;
export const SENT = 1;
export const UNSENT = 2;

/** In `sendings`, a deletion. */
const DELETION = Buffer.alloc(0);

/** A pending change as read. */
export function toPendingRow(tuple: PendingTuple, mark: SentMark): PendingRow {
  const sequence = tuple[0];
  const sent = tuple[10];
  return {
    sequence,
    id: tuple[1],
    fingerprint: tuple[2] ?? undefined,
    size: tuple[3],
    modifyTimeUs: tuple[4],
    base: toBase(tuple),
    overrides: tuple[7] === null ? undefined : (tuple[7] as ChangeStandard),
    rejected: tuple[8] === null ? undefined : { reason: tuple[8] as ErrorReason, message: tuple[9] ?? "" },
    sent: sent === SENT || (sent === BY_MARK && sequence <= mark.through),
    resent: tuple[11] === 1,
    held: tuple[13] === 1,
    group: tuple[14],
  };
}

function toBase(tuple: PendingTuple): BaseState | undefined {
  const revision = tuple[5];
  return revision === null ? undefined : { fingerprint: tuple[6] ?? undefined, revision, modifyTimeUs: tuple[12] };
}

/** A pending change as written, without the base's content. */
export function fromPendingRow(row: PendingRow, mark: SentMark): PendingTuple {
  const unsent = row.held || row.sequence <= mark.through ? UNSENT : BY_MARK;
  return [
    row.sequence,
    row.id,
    (row.fingerprint as Buffer | undefined) ?? null,
    row.size,
    row.modifyTimeUs,
    row.base?.revision ?? null,
    (row.base?.fingerprint as Buffer | undefined) ?? null,
    row.overrides ?? null,
    row.rejected?.reason ?? null,
    row.rejected?.message ?? null,
    row.sent ? SENT : unsent,
    row.resent ? 1 : 0,
    row.base?.modifyTimeUs ?? 0,
    row.held ? 1 : 0,
    row.group,
  ];
}

/** Row by row access for the rules. */
export interface SqliteRows extends Rows {
  /** Versions sent before the present one, in the order of their bytes. */
  sendings(id: string): (Uint8Array | undefined)[];
  /** The conflict record, with its content. */
  conflict(number: number): LocalConflict | undefined;
  deleteConflict(number: number): void;
  /** Removes records made before a time; answers how many. */
  deleteConflictsBefore(timeUs: number): number;
}

/** The rows of an open replica file. */
export function sqliteRows(db: Database, mark: SentMark): SqliteRows {
  return { ...itemRows(db), ...pendingRows(db, mark), ...sendingRows(db), ...conflictRows(db), ...clamp(db) };
}

function itemRows(db: Database): Pick<Rows, "item" | "content" | "putItem" | "setRevision" | "deleteItem"> {
  const find = db
    .prepare<[string], [Buffer, number, number]>(
      "SELECT fingerprint, revision, modify_time_us FROM items WHERE pending IN (0, 1) AND id = ?",
    )
    .raw();
  const content = db.prepare<[string], Content>("SELECT content FROM items WHERE pending IN (0, 1) AND id = ?").pluck();
  const put = db.prepare(`INSERT INTO items (id, pending, fingerprint, revision, modify_time_us, content)
    VALUES (?, EXISTS (SELECT 1 FROM pending WHERE id = ?), ?, ?, ?, ?)
    ON CONFLICT (pending, id) DO UPDATE SET fingerprint = excluded.fingerprint, revision = excluded.revision,
    modify_time_us = excluded.modify_time_us, content = excluded.content`);
  const setRevision = db.prepare("UPDATE items SET revision = ? WHERE pending IN (0, 1) AND id = ?");
  const remove = db.prepare("DELETE FROM items WHERE pending IN (0, 1) AND id = ?");
  return {
    item(id): ItemRow | undefined {
      const row = find.get(id);
      return row && { fingerprint: row[0], revision: row[1], modifyTimeUs: row[2] };
    },
    content(id) {
      const found = content.get(id);
      if (found === undefined) throw new Error(`there is no item ${JSON.stringify(id)}`);
      return found;
    },
    putItem: (id, row, value) => void put.run(id, id, row.fingerprint, row.revision, row.modifyTimeUs, value),
    setRevision: (id, revision) => void setRevision.run(revision, id),
    deleteItem: (id) => void remove.run(id),
  };
}

type PendingMethods =
  | "pending"
  | "group"
  | "insertPending"
  | "updatePending"
  | "setBaseContent"
  | "baseContent"
  | "deletePending";

function pendingRows(db: Database, mark: SentMark): Pick<Rows, PendingMethods> {
  const find = db.prepare<[string], PendingTuple>(`SELECT ${PENDING_COLUMNS} FROM pending WHERE id = ?`).raw();
  const group = db
    .prepare<[number], PendingTuple>(
      `SELECT ${PENDING_COLUMNS} FROM pending WHERE group_key = ? AND group_key <> 0 ORDER BY sequence`,
    )
    .raw();
  const content = db.prepare<[string], Content | null>("SELECT base_content FROM pending WHERE id = ?").pluck();
  const insert = db.prepare("INSERT INTO pending VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  const update = db.prepare(`UPDATE pending SET sequence = ?, id = ?, fingerprint = ?, size = ?, modify_time_us = ?,
    base_revision = ?, base_fingerprint = ?, overrides = ?, rejected_reason = ?, rejected_message = ?, sent = ?,
    resent = ?, base_time_us = ?, held = ?, group_key = ? WHERE sequence = ?`);
  const setContent = db.prepare("UPDATE pending SET base_content = ? WHERE sequence = ?");
  const remove = db.prepare("DELETE FROM pending WHERE sequence = ?");
  const flag = db.prepare("UPDATE items SET pending = ? WHERE pending = ? AND id = ?");
  return {
    pending(id) {
      const tuple = find.get(id);
      return tuple && toPendingRow(tuple, mark);
    },
    group: (key) => group.all(key).map((tuple) => toPendingRow(tuple, mark)),
    insertPending(row, content) {
      insert.run(...fromPendingRow(row, mark), content ?? null);
      flag.run(1, 0, row.id);
    },
    updatePending: (before, row) => void update.run(...fromPendingRow(row, mark), before.sequence),
    setBaseContent: (row, content) => void setContent.run(content ?? null, row.sequence),
    baseContent: (id) => content.get(id) ?? undefined,
    deletePending(row) {
      remove.run(row.sequence);
      flag.run(0, 1, row.id);
    },
  };
}

function sendingRows(db: Database): Pick<SqliteRows, "addSending" | "sentTime" | "settleSendings" | "sendings"> {
  const add = db.prepare(`INSERT INTO sendings (id, fingerprint, sequence, modify_time_us) VALUES (?, ?, ?, ?)
    ON CONFLICT (id, fingerprint) DO UPDATE SET sequence = excluded.sequence, modify_time_us = excluded.modify_time_us`);
  const time = db
    .prepare<[string, number], number>("SELECT modify_time_us FROM sendings WHERE id = ? AND sequence = ?")
    .pluck();
  const settle = db.prepare("DELETE FROM sendings WHERE id = ? AND sequence <= ?");
  const list = db
    .prepare<[string], Buffer>("SELECT fingerprint FROM sendings WHERE id = ? ORDER BY fingerprint")
    .pluck();
  const sendings = (id: string) =>
    list.all(id).map((fingerprint) => (fingerprint.length === 0 ? undefined : fingerprint));
  return {
    addSending: ({ id, fingerprint, sequence, modifyTimeUs }) =>
      void add.run(id, fingerprint ?? DELETION, sequence, modifyTimeUs),
    sentTime: (id, sequence) => time.get(id, sequence) ?? 0,
    settleSendings(id, through) {
      settle.run(id, through);
      return sendings(id).length > 0;
    },
    sendings,
  };
}

type ConflictTuple = [
  number: number,
  id: string,
  fingerprint: Buffer | null,
  prevailed: Buffer | null,
  standard: number,
  recordTimeUs: number,
  modifyTimeUs: number,
  size: number,
  content: Content | null,
];

/** A conflict record as read; without its content where the row has eight columns only. */
export function toConflict(tuple: ConflictTuple): LocalConflict {
  const [number, id, fingerprint, prevailed, standard, recordTimeUs, modifyTimeUs, size, content] = tuple;
  return {
    number,
    id,
    fingerprint: fingerprint ?? undefined,
    prevailed: prevailed ?? undefined,
    standard: standard as ChangeStandard,
    recordTimeUs,
    modifyTimeUs,
    size,
    content: content ?? undefined,
  };
}

function conflictRows(
  db: Database,
): Pick<SqliteRows, "addConflict" | "conflict" | "deleteConflict" | "deleteConflictsBefore"> {
  const add = db.prepare("INSERT INTO conflicts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
  const find = db.prepare<[number], ConflictTuple>("SELECT * FROM conflicts WHERE number = ?").raw();
  const remove = db.prepare("DELETE FROM conflicts WHERE number = ?");
  const removeBefore = db.prepare("DELETE FROM conflicts WHERE record_time_us < ?");
  return {
    addConflict(record) {
      const { number, id, fingerprint, prevailed, standard, recordTimeUs, modifyTimeUs, size, content } = record;
      const times = [recordTimeUs, modifyTimeUs, size];
      add.run(number, id, fingerprint ?? null, prevailed ?? null, standard, ...times, content ?? null);
    },
    conflict(number) {
      const tuple = find.get(number);
      return tuple && toConflict(tuple);
    },
    deleteConflict: (number) => void remove.run(number),
    deleteConflictsBefore: (timeUs) => removeBefore.run(timeUs).changes,
  };
}

function clamp(db: Database): Pick<Rows, "clampRevisions"> {
  const items = db.prepare("UPDATE items SET revision = ? WHERE revision > ?");
  const pending = db.prepare("UPDATE pending SET base_revision = ? WHERE base_revision > ?");
  return {
    clampRevisions(revision) {
      items.run(revision, revision);
      pending.run(revision, revision);
    },
  };
}
