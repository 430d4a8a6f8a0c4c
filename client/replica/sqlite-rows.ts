import type { Database } from "../../core/sqlite.js";
import type { ErrorReason } from "../../gen/tercet/v1/error.js";
import type { ChangeStandard } from "../../gen/tercet/v1/item.js";
import { isLarge, type Stored } from "./large.js";
import type { BaseState } from "./local-state.js";
import type { ConflictRow, ItemRow, PendingRow, Rows } from "./rows.js";
import { type Column, keyIn, type SqliteLarge, toColumn } from "./sqlite-large.js";
import { CREATION, MADE_THROUGH, madeRuns, PENDING, REVISION } from "./sqlite-made.js";

/** Sequence number up to which pending changes with `sent` 0 count as sent. Moves in transactions only. */
export interface SentMark {
  through: number;
}

/** A row of `pending` as written, without the base's content: in the order of its columns. */
export type PendingValues = [
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
/** A row of `pending` as read, in the order of `PENDING_COLUMNS`. */
export type PendingTuple = [...PendingValues, baseLarge: number | null];

/** The columns of `pending`; of the base's content only its key, where it is large. */
export const PENDING_COLUMNS = `pending.sequence, pending.id, pending.fingerprint, pending.size, pending.modify_time_us,
  pending.base_revision, pending.base_fingerprint, pending.overrides, pending.rejected_reason, pending.rejected_message,
  pending.sent, pending.resent, pending.base_time_us, pending.held, pending.group_key,
  ${keyIn("pending.base_content")}`;
/** The same of a creation that is pending without a row of its own (`items.creation`). */
export const CREATION_COLUMNS = `items.creation, items.id, items.fingerprint, octet_length(items.content),
  items.modify_time_us, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0, 0, NULL`;

/** The tuple of such a creation. */
export function creationTuple(
  sequence: number,
  id: string,
  fingerprint: Buffer | null,
  size: number,
  timeUs: number,
): PendingTuple {
  return [sequence, id, fingerprint, size, timeUs, null, null, null, null, null, 0, 0, 0, 0, 0, null];
}

/** Values of `pending.sent`. */
const BY_MARK = 0;
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
    baseLarge: tuple[15] ?? undefined,
  };
}

function toBase(tuple: PendingTuple): BaseState | undefined {
  const revision = tuple[5];
  return revision === null ? undefined : { fingerprint: tuple[6] ?? undefined, revision, modifyTimeUs: tuple[12] };
}

/** A pending change as written, without the base's content. */
function fromPendingRow(row: PendingRow, mark: SentMark): PendingValues {
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
  conflict(number: number): ConflictRow | undefined;
  deleteConflict(record: ConflictRow): void;
  /** Removes records made before a time; answers how many. */
  deleteConflictsBefore(timeUs: number): number;
}

/** The rows of an open replica file. */
export function sqliteRows(db: Database, mark: SentMark, large: SqliteLarge): SqliteRows {
  return {
    ...itemRows(db, large),
    ...pendingRows(db, mark, large),
    ...sendingRows(db),
    ...conflictRows(db, large),
    ...clamp(db),
    keep: large.keep,
  };
}

function itemRows(
  db: Database,
  large: SqliteLarge,
): Pick<Rows, "item" | "content" | "putItem" | "setRevision" | "deleteItem"> {
  const find = db
    .prepare<[string], [Buffer, number, number, number | null]>(
      `SELECT fingerprint, ${REVISION}, modify_time_us, ${keyIn("content")} FROM items WHERE id = ?`,
    )
    .raw();
  const content = db.prepare<[string], Column>("SELECT content FROM items WHERE id = ?").pluck();
  const put = db.prepare(`INSERT INTO items (id, pending, fingerprint, revision, modify_time_us, content)
    VALUES (?, EXISTS (SELECT 1 FROM pending WHERE id = ?), ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET fingerprint = excluded.fingerprint, revision = excluded.revision,
    modify_time_us = excluded.modify_time_us, content = excluded.content, pending = ${PENDING}, creation = ${CREATION}`);
  const setRevision = db.prepare(
    `UPDATE items SET revision = ?, pending = ${PENDING}, creation = ${CREATION} WHERE id = ?`,
  );
  const remove = db.prepare("DELETE FROM items WHERE id = ?");
  return {
    item(id): ItemRow | undefined {
      const row = find.get(id);
      return row && { fingerprint: row[0], revision: row[1], modifyTimeUs: row[2], large: row[3] ?? undefined };
    },
    content(id) {
      const found = content.get(id);
      if (found === undefined) throw new Error(`there is no item ${JSON.stringify(id)}`);
      return large.stored(found);
    },
    putItem(id, row, value, before) {
      large.release(before?.large);
      large.refer(value);
      put.run(id, id, row.fingerprint, row.revision, row.modifyTimeUs, toColumn(value));
    },
    setRevision: (id, revision) => void setRevision.run(revision, id),
    deleteItem(id, before) {
      large.release(before.large);
      remove.run(id);
    },
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

function pendingRows(db: Database, mark: SentMark, large: SqliteLarge): Pick<Rows, PendingMethods> {
  const find = db
    .prepare<[string, string], PendingTuple>(
      `SELECT ${PENDING_COLUMNS} FROM pending WHERE id = ?
      UNION ALL SELECT ${CREATION_COLUMNS} FROM items WHERE +creation > ${MADE_THROUGH} AND id = ?`,
    )
    .raw();
  const group = db
    .prepare<[number], PendingTuple>(
      `SELECT ${PENDING_COLUMNS} FROM pending WHERE group_key = ? AND group_key <> 0 ORDER BY sequence`,
    )
    .raw();
  const content = db.prepare<[string], Column | null>("SELECT base_content FROM pending WHERE id = ?").pluck();
  const insert = db.prepare("INSERT INTO pending VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  const update = db.prepare(`UPDATE pending SET sequence = ?, id = ?, fingerprint = ?, size = ?, modify_time_us = ?,
    base_revision = ?, base_fingerprint = ?, overrides = ?, rejected_reason = ?, rejected_message = ?, sent = ?,
    resent = ?, base_time_us = ?, held = ?, group_key = ? WHERE sequence = ?`);
  const setContent = db.prepare("UPDATE pending SET base_content = ? WHERE sequence = ?");
  const remove = db.prepare("DELETE FROM pending WHERE sequence = ?");
  const flag = db.prepare(`UPDATE items SET pending = 1, revision = ${REVISION}, creation = NULL WHERE id = ?`);
  const clean = db.prepare(`UPDATE items SET pending = 0, revision = ${REVISION}, creation = NULL WHERE id = ?`);
  function put(row: PendingRow, content: Stored | undefined): void {
    insert.run(...fromPendingRow(row, mark), content === undefined ? null : toColumn(content));
    flag.run(row.id);
  }
  return {
    pending(id) {
      const tuple = find.get(id, id);
      return tuple && toPendingRow(tuple, mark);
    },
    group: (key) => group.all(key).map((tuple) => toPendingRow(tuple, mark)),
    insertPending(row, content) {
      large.refer(content);
      put(row, content);
    },
    updatePending(before, row) {
      const { changes } = update.run(...fromPendingRow(row, mark), before.sequence);
      // A creation without a row has one from now on.
      if (changes === 0) put(row, undefined);
    },
    setBaseContent(row, content) {
      large.release(row.baseLarge);
      large.refer(content);
      const { changes } = setContent.run(content === undefined ? null : toColumn(content), row.sequence);
      if (changes === 0) put(row, content);
      return { ...row, baseLarge: content !== undefined && isLarge(content) ? content.key : undefined };
    },
    baseContent(id) {
      const found = content.get(id);
      return found === undefined || found === null ? undefined : large.stored(found);
    },
    deletePending(row) {
      large.release(row.baseLarge);
      remove.run(row.sequence);
      clean.run(row.id);
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
  content: Column | null,
];

/** A conflict record as read. */
export function toConflict(tuple: ConflictTuple, stored: (column: Column) => Stored): ConflictRow {
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
    content: content === null ? undefined : stored(content),
  };
}

function conflictRows(
  db: Database,
  large: SqliteLarge,
): Pick<SqliteRows, "addConflict" | "conflict" | "deleteConflict" | "deleteConflictsBefore"> {
  const add = db.prepare("INSERT INTO conflicts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
  const find = db.prepare<[number], ConflictTuple>("SELECT * FROM conflicts WHERE number = ?").raw();
  const remove = db.prepare("DELETE FROM conflicts WHERE number = ?");
  const largeBefore = db
    .prepare<[number], number>("SELECT content FROM conflicts WHERE record_time_us < ? AND typeof(content) = 'integer'")
    .pluck();
  const removeBefore = db.prepare("DELETE FROM conflicts WHERE record_time_us < ?");
  return {
    addConflict(record) {
      const { number, id, fingerprint, prevailed, standard, recordTimeUs, modifyTimeUs, size, content } = record;
      const times = [recordTimeUs, modifyTimeUs, size];
      large.refer(content);
      const column = content === undefined ? null : toColumn(content);
      add.run(number, id, fingerprint ?? null, prevailed ?? null, standard, ...times, column);
    },
    conflict(number) {
      const tuple = find.get(number);
      return tuple && toConflict(tuple, large.stored);
    },
    deleteConflict({ number, content }) {
      if (content !== undefined && isLarge(content)) large.release(content.key);
      remove.run(number);
    },
    deleteConflictsBefore(timeUs) {
      for (const key of largeBefore.all(timeUs)) large.release(key);
      return removeBefore.run(timeUs).changes;
    },
  };
}

function clamp(db: Database): Pick<Rows, "clampRevisions"> {
  const made = madeRuns(db);
  const items = db.prepare("UPDATE items SET revision = ? WHERE revision > ?");
  const pending = db.prepare("UPDATE pending SET base_revision = ? WHERE base_revision > ?");
  return {
    clampRevisions(beyond, revision) {
      made.write(beyond);
      return items.run(revision, beyond).changes + pending.run(revision, beyond).changes;
    },
  };
}
