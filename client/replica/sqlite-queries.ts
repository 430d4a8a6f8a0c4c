import type { Content } from "../../core/content.js";
import { sameFingerprint } from "../../core/fingerprint.js";
import { compareIds, prefixEnd } from "../../core/id.js";
import { createRangeSum, type RangeTotal, totalOf } from "../../core/range-sum.js";
import type { Database, Statement } from "../../core/sqlite.js";
import type { ErrorReason } from "../../gen/tercet/v1/error.js";
import type { PendingRow } from "./rules.js";
import type { BulkRows } from "./sqlite-bulk.js";
import { type SqliteRows, toConflict } from "./sqlite-rows.js";
import type { LocalItem, LocalListQuery, LocalState, PendingChange, ReplicaStore } from "./store.js";

type Queries = Pick<
  ReplicaStore,
  "get" | "list" | "listPending" | "listConflicts" | "getConflict" | "getBaseContent" | "lookup"
> & {
  /** Count and sum over bases by a scan. */
  scan(): RangeTotal;
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
  const baseFingerprints = db
    .prepare<[], Buffer>(
      `SELECT fingerprint FROM items WHERE NOT EXISTS (SELECT 1 FROM pending WHERE pending.id = items.id)
      UNION ALL SELECT base_fingerprint FROM pending WHERE base_fingerprint IS NOT NULL`,
    )
    .pluck();
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
    scan() {
      const sum = createRangeSum();
      for (const fingerprint of baseFingerprints.iterate()) sum.add(fingerprint);
      return totalOf(sum);
    },
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
