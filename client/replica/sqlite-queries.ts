import { sameFingerprint } from "../../core/fingerprint.js";
import { compareIds, prefixEnd } from "../../core/id.js";
import type { Database, Statement } from "../../core/sqlite.js";
import type { AuditRow } from "./auditor.js";
import type { ContentOf } from "./kept-content.js";
import { isLarge, keptContent, partOf, type Stored } from "./large.js";
import type { LocalItem, LocalListQuery } from "./local-items.js";
import type { LocalState } from "./local-state.js";
import type { PendingRow } from "./rows.js";
import type { BulkRows } from "./sqlite-bulk.js";
import type { Column, SqliteLarge } from "./sqlite-large.js";
import { MADE_THROUGH, PENDING } from "./sqlite-made.js";
import {
  CREATION_COLUMNS,
  PENDING_COLUMNS,
  type PendingTuple,
  SENT,
  type SentMark,
  type SqliteRows,
  toConflict,
  toPendingRow,
} from "./sqlite-rows.js";
import type { ReplicaStore } from "./store.js";
import { cleanState, conflictView, heldItem, itemView, pendingChange, pendingState } from "./views.js";

type Queries = Pick<
  ReplicaStore,
  | "get"
  | "list"
  | "listPending"
  | "listConflicts"
  | "getConflict"
  | "getBaseContent"
  | "getBase"
  | "readContent"
  | "lookup"
  | "listHeld"
  | "listUnsettledCreations"
> & {
  /** All items, and all pending deletions. */
  audited(): Iterable<AuditRow>;
};

type ItemTuple = [id: string, content: Column, fingerprint: Buffer, modifyTimeUs: number, pending: number];
const ITEM_COLUMNS = `id, content, fingerprint, modify_time_us, ${PENDING}`;

/** The reading methods of an open replica file. */
export function queries(db: Database, rows: SqliteRows, bulk: BulkRows, mark: SentMark, large: SqliteLarge): Queries {
  const get = db.prepare<[string], ItemTuple>(`SELECT ${ITEM_COLUMNS} FROM items WHERE id = ?`).raw();
  const pendingWhere = <P extends unknown[]>(where: string) =>
    db.prepare<P, PendingTuple>(`SELECT ${PENDING_COLUMNS} FROM pending WHERE ${where} LIMIT ?`).raw();
  const creationsWhere = (where: string): string => `UNION ALL SELECT ${CREATION_COLUMNS} FROM items WHERE ${where}`;
  const listPending = pendingWhere<[number, number, number]>(
    `sequence > ? ${creationsWhere(`creation > max(?, ${MADE_THROUGH})`)} ORDER BY 1`,
  );
  const listHeld = pendingWhere<[string, number]>("held = 1 AND id > ? ORDER BY id");
  const listCreations = pendingWhere<[number, number, number, number, number]>(
    `sequence > ? AND base_fingerprint IS NULL
    AND (resent = 1 OR sent = ${SENT} OR (sent = 0 AND sequence <= ?))
    ${creationsWhere(`creation > max(?, ${MADE_THROUGH}) AND creation <= ?`)} ORDER BY 1`,
  );
  const listConflicts = db
    .prepare<[number, number], Parameters<typeof toConflict>[0]>(
      `SELECT number, id, fingerprint, prevailed, standard, record_time_us, modify_time_us, size,
      CASE typeof(content) WHEN 'text' THEN '' WHEN 'blob' THEN X'' ELSE content END
      FROM conflicts WHERE number < ? ORDER BY number DESC LIMIT ?`,
    )
    .raw();
  const audited = db
    .prepare<[], AuditTuple>(
      `SELECT items.id, content, items.fingerprint,
      CASE WHEN creation > ${MADE_THROUGH} THEN creation ELSE pending.sequence END,
      CASE WHEN creation > ${MADE_THROUGH} THEN items.fingerprint ELSE pending.fingerprint END, base_fingerprint
      FROM items LEFT JOIN pending ON pending.id = items.id
      UNION ALL SELECT id, NULL, NULL, sequence, fingerprint, base_fingerprint
      FROM pending WHERE NOT EXISTS (SELECT 1 FROM items WHERE items.id = pending.id)`,
    )
    .raw();
  const toItem = ([id, content, fingerprint, modifyTimeUs, pending]: ItemTuple): LocalItem =>
    itemView(id, { fingerprint, modifyTimeUs }, large.stored(content), pending === 1, large.whole);
  const list = lister(db, toItem);

  function toAuditRow([id, content, fingerprint, sequence, mine, base]: AuditTuple): AuditRow {
    const whole = typeof content === "number" ? undefined : (content ?? undefined);
    const pieces = typeof content === "number" ? { pieces: large.pieces(content) } : {};
    return {
      id,
      item: content === null || fingerprint === null ? undefined : { content: whole, fingerprint, ...pieces },
      pending: sequence === null ? undefined : { fingerprint: mine ?? undefined, base: base ?? undefined },
    };
  }

  function storedOf(of: Exclude<ContentOf, { staged: number }>): Stored | undefined {
    if ("base" in of) return rows.baseContent(of.base);
    if ("conflict" in of) return rows.conflict(of.conflict)?.content;
    const item = rows.item("item" in of ? of.item : of.pending);
    if (item === undefined) return undefined;
    if ("pending" in of)
      return rows.pending(of.pending)?.sequence === of.sequence ? rows.content(of.pending) : undefined;
    const other = of.fingerprint !== undefined && !sameFingerprint(of.fingerprint, item.fingerprint);
    return other ? undefined : rows.content(of.item);
  }

  return {
    get(id) {
      const tuple = get.get(id);
      return tuple && toItem(tuple);
    },
    list,
    listPending: (after, limit) =>
      listPending.all(after, after, limit).map((tuple) => pendingChange(toPendingRow(tuple, mark))),
    listConflicts: (before, limit) =>
      listConflicts.all(before, limit).map((tuple) => conflictView(toConflict(tuple, large.stored), undefined)),
    getConflict(number) {
      const record = rows.conflict(number);
      return record && conflictView(record, large.whole);
    },
    getBaseContent(id) {
      const content = rows.baseContent(id);
      return content !== undefined && isLarge(content) ? large.whole(content) : content;
    },
    getBase(id) {
      const content = rows.baseContent(id);
      return content === undefined ? undefined : keptContent(content, large.whole);
    },
    readContent(of, offset, length) {
      if ("staged" in of) return large.part(of.staged, offset, length);
      const content = storedOf(of);
      if (content === undefined) return undefined;
      return isLarge(content) ? large.part(content.key, offset, length) : partOf(content, offset, length);
    },
    listHeld: (after, limit) => listHeld.all(after, limit).map((tuple) => heldItem(toPendingRow(tuple, mark))),
    listUnsettledCreations(after, limit) {
      const found = listCreations.all(after, mark.through, after, mark.through, limit);
      return found.map((tuple) => toPendingRow(tuple, mark)).map(stateReader(rows));
    },
    lookup(ids) {
      const { items, pending } = bulk.findStates(ids);
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
  content: Column | null,
  fingerprint: Buffer | null,
  sequence: number | null,
  pendingFingerprint: Buffer | null,
  baseFingerprint: Buffer | null,
];

function lister(db: Database, toItem: (tuple: ItemTuple) => LocalItem): (query: LocalListQuery) => LocalItem[] {
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
