import type { Content } from "../../core/content.js";
import { compareIds, prefixEnd } from "../../core/id.js";
import type { Database, Statement } from "../../core/sqlite.js";
import type { AuditRow } from "./auditor.js";
import type { PendingRow } from "./rows.js";
import type { BulkRows } from "./sqlite-bulk.js";
import {
  PENDING_COLUMNS,
  type PendingTuple,
  SENT,
  type SentMark,
  type SqliteRows,
  toConflict,
  toPendingRow,
} from "./sqlite-rows.js";
import type { LocalItem, LocalListQuery, LocalState, ReplicaStore } from "./store.js";
import { cleanState, heldItem, pendingChange, pendingState } from "./views.js";

type Queries = Pick<
  ReplicaStore,
  | "get"
  | "list"
  | "listPending"
  | "listConflicts"
  | "getConflict"
  | "getBaseContent"
  | "lookup"
  | "listHeld"
  | "listUnsettledCreations"
> & {
  /** All items, and all pending deletions. */
  audited(): Iterable<AuditRow>;
};

type ItemTuple = [id: string, content: Content, fingerprint: Buffer, modifyTimeUs: number, pending: number];
const ITEM_COLUMNS = "id, content, fingerprint, modify_time_us, pending";

/** The reading methods of an open replica file. */
export function queries(db: Database, rows: SqliteRows, bulk: BulkRows, mark: SentMark): Queries {
  const get = db
    .prepare<[string], ItemTuple>(`SELECT ${ITEM_COLUMNS} FROM items WHERE pending IN (0, 1) AND id = ?`)
    .raw();
  const pendingWhere = <P extends unknown[]>(where: string) =>
    db.prepare<P, PendingTuple>(`SELECT ${PENDING_COLUMNS} FROM pending WHERE ${where} LIMIT ?`).raw();
  const listPending = pendingWhere<[number, number]>("sequence > ? ORDER BY sequence");
  const listHeld = pendingWhere<[string, number]>("held = 1 AND id > ? ORDER BY id");
  const listCreations = pendingWhere<[number, number, number]>(
    `sequence > ? AND base_fingerprint IS NULL
    AND (resent = 1 OR sent = ${SENT} OR (sent = 0 AND sequence <= ?)) ORDER BY sequence`,
  );
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
      FROM pending WHERE NOT EXISTS (SELECT 1 FROM items WHERE items.pending IN (0, 1) AND items.id = pending.id)`,
    )
    .raw();
  const list = lister(db);

  return {
    get(id) {
      const tuple = get.get(id);
      return tuple && toItem(tuple);
    },
    list,
    listPending: (after, limit) =>
      listPending.all(after, limit).map((tuple) => pendingChange(toPendingRow(tuple, mark))),
    listConflicts: (before, limit) => listConflicts.all(before, limit).map((tuple) => toConflict(tuple as never)),
    getConflict: (number) => rows.conflict(number),
    getBaseContent: (id) => rows.baseContent(id),
    listHeld: (after, limit) => listHeld.all(after, limit).map((tuple) => heldItem(toPendingRow(tuple, mark))),
    listUnsettledCreations(after, limit) {
      const found = listCreations.all(after, mark.through, limit).map((tuple) => toPendingRow(tuple, mark));
      return found.map(stateReader(rows));
    },
    lookup(ids) {
      const pending = bulk.findPending(ids);
      const items = bulk.findItems(ids);
      const read = stateReader(rows);
      return ids.map((id) => {
        const row = pending.get(id);
        return row === undefined ? cleanState(id, items.get(id)) : read(row);
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
    const part = (pending: number) => `SELECT ${ITEM_COLUMNS} FROM items WHERE pending = ${pending} AND ${where}`;
    const sql = `${part(0)} UNION ALL ${part(1)} ORDER BY id LIMIT ?`;
    let statement = statements.get(sql);
    if (statement === undefined) {
      statement = db.prepare<unknown[], ItemTuple>(sql).raw();
      statements.set(sql, statement);
    }
    const bounds = [from === ">" ? after : prefix, ...(end === undefined ? [] : [end])];
    return statement.all(...bounds, ...bounds, limit).map(toItem);
  };
}

function toItem([id, content, fingerprint, modifyTimeUs, pending]: ItemTuple): LocalItem {
  return { id, content, fingerprint, modifyTimeUs, pending: pending === 1 };
}

/** Reads what is known of pending changes, each group once. */
function stateReader(rows: SqliteRows): (row: PendingRow) => LocalState {
  const groups = new Map<number, readonly PendingRow[]>();
  return (row) => {
    let members = groups.get(row.group);
    if (members === undefined) {
      members = row.group === 0 ? [] : rows.group(row.group);
      groups.set(row.group, members);
    }
    return pendingState(row, row.resent ? rows.sendings(row.id) : [], members);
  };
}
