import type { Content } from "../../core/content.js";
import { sameFingerprint } from "../../core/fingerprint.js";
import { compareIds, prefixEnd } from "../../core/id.js";
import type { Database, Statement } from "../../core/sqlite.js";
import type { ErrorReason } from "../../gen/tercet/v1/error.js";
import type { AuditRow } from "./auditor.js";
import type { PendingRow } from "./rules.js";
import type { BulkRows } from "./sqlite-bulk.js";
import { type SqliteRows, toConflict } from "./sqlite-rows.js";
import type { LocalItem, LocalListQuery, LocalState, PendingChange, ReplicaStore } from "./store.js";

type Queries = Pick<
  ReplicaStore,
  "get" | "list" | "listPending" | "listConflicts" | "getConflict" | "getBaseContent" | "lookup"
> & {
  /** All items, and all pending deletions. */
  audited(): Iterable<AuditRow>;
};

type ItemTuple = [id: string, content: Content, fingerprint: Buffer, modifyTimeUs: number, pending: number];
const ITEM_COLUMNS = `id, content, fingerprint, modify_time_us,
  EXISTS (SELECT 1 FROM pending WHERE pending.id = items.id)`;

/** The reading methods of an open replica file. */
export function queries(db: Database, rows: SqliteRows, bulk: BulkRows): Queries {
  const get = db.prepare<[string], ItemTuple>(`SELECT ${ITEM_COLUMNS} FROM items WHERE id = ?`).raw();
  const listPending = db
    .prepare<[number, number], [number, string, number, number, number, number | null, string | null]>(
      `SELECT sequence, id, fingerprint IS NULL, size, modify_time_us, rejected_reason, rejected_message
      FROM pending WHERE sequence > ? ORDER BY sequence LIMIT ?`,
    )
    .raw();
  const listConflicts = db
    .prepare<[number, number], Parameters<typeof toConflict>>(
      `SELECT number, id, fingerprint, prevailed, standard, record_time_us, modify_time_us, size, NULL
      FROM conflicts WHERE number < ? ORDER BY number DESC LIMIT ?`,
    )
    .raw();
  const audited = db
    .prepare<[], AuditTuple>(
      `SELECT items.id, content, items.fingerprint, pending.sequence, pending.fingerprint, base_fingerprint
      FROM items LEFT JOIN pending ON pending.id = items.id
      UNION ALL SELECT id, NULL, NULL, sequence, fingerprint, base_fingerprint
      FROM pending WHERE NOT EXISTS (SELECT 1 FROM items WHERE items.id = pending.id)`,
    )
    .raw();
  const baseContent = db.prepare<[string], Content | null>("SELECT base_content FROM pending WHERE id = ?").pluck();
  const list = lister(db);

  return {
    get(id) {
      const tuple = get.get(id);
      return tuple && toItem(tuple);
    },
    list,
    listPending: (after, limit) => listPending.all(after, limit).map(toPendingChange),
    listConflicts: (before, limit) => listConflicts.all(before, limit).map((tuple) => toConflict(tuple as never)),
    getConflict: (number) => rows.conflict(number),
    getBaseContent: (id) => baseContent.get(id) ?? undefined,
    lookup(ids) {
      const pending = bulk.findPending(ids);
      const items = bulk.findItems(ids);
      return ids.map((id) => {
        const row = pending.get(id);
        if (row !== undefined) return pendingState(rows, row);
        const item = items.get(id);
        const base = item && { fingerprint: item[1], revision: item[2] };
        return { id, sequence: 0, pending: undefined, base, sendings: [] };
      });
    },
    *audited() {
      for (const tuple of audited.iterate()) yield toAuditRow(tuple);
    },
  };
}

type AuditTuple = [
  id: string,
  content: Content | null,
  fingerprint: Buffer | null,
  sequence: number | null,
  pendingFingerprint: Buffer | null,
  baseFingerprint: Buffer | null,
];

function toAuditRow([id, content, fingerprint, sequence, mine, base]: AuditTuple): AuditRow {
  return {
    id,
    item: content === null || fingerprint === null ? undefined : { content, fingerprint },
    pending: sequence === null ? undefined : { fingerprint: mine ?? undefined, base: base ?? undefined },
  };
}

function lister(db: Database): (query: LocalListQuery) => LocalItem[] {
  const statements = new Map<string, Statement<unknown[], ItemTuple>>();
  return ({ prefix, after, limit }) => {
    const end = prefixEnd(prefix);
    const from = compareIds(after, prefix) >= 0 ? ">" : ">=";
    // "" is before every id, so that the lower bound need not be left out.
    const where = `id ${from} ?${end === undefined ? "" : " AND id < ?"}`;
    const sql = `SELECT ${ITEM_COLUMNS} FROM items WHERE ${where} ORDER BY id LIMIT ?`;
    let statement = statements.get(sql);
    if (statement === undefined) {
      statement = db.prepare<unknown[], ItemTuple>(sql).raw();
      statements.set(sql, statement);
    }
    const bounds = [from === ">" ? after : prefix, ...(end === undefined ? [] : [end])];
    return statement.all(...bounds, limit).map(toItem);
  };
}

function toItem([id, content, fingerprint, modifyTimeUs, pending]: ItemTuple): LocalItem {
  return { id, content, fingerprint, modifyTimeUs, pending: pending === 1 };
}

function toPendingChange(tuple: [number, string, number, number, number, number | null, string | null]): PendingChange {
  const [sequence, id, deleted, size, modifyTimeUs, reason, message] = tuple;
  const rejected = reason === null ? undefined : { reason: reason as ErrorReason, message: message ?? "" };
  return { id, sequence, kind: deleted === 1 ? "deleted" : "upserted", size, modifyTimeUs, rejected };
}

function pendingState(rows: SqliteRows, row: PendingRow): LocalState {
  const { id, sequence, fingerprint, modifyTimeUs, base } = row;
  const sendings = row.resent ? rows.sendings(id) : [];
  if (row.sent && !sendings.some((sent) => sameFingerprint(sent, fingerprint))) sendings.push(fingerprint);
  return { id, sequence, pending: { fingerprint, modifyTimeUs }, base, sendings };
}
