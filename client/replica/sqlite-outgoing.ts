import type { Content } from "../../core/content.js";
import type { Database } from "../../core/sqlite.js";
import { isLarge } from "./large.js";
import { outgoingChange, takeWithin } from "./outgoing.js";
import type { OutgoingBatch, OutgoingQuery } from "./outgoing-batch.js";
import { batchOf } from "./outgoing-columns.js";
import type { PendingRow } from "./rows.js";
import type { BulkRows } from "./sqlite-bulk.js";
import type { SqliteLarge } from "./sqlite-large.js";
import { MADE_THROUGH } from "./sqlite-made.js";
import { CONTENT_BYTES, prepareCreations } from "./sqlite-outgoing-columns.js";
import {
  creationTuple,
  PENDING_COLUMNS,
  type PendingTuple,
  SENT,
  type SentMark,
  type SqliteRows,
  toPendingRow,
  UNSENT,
} from "./sqlite-rows.js";

/** Pending rows are read by so many, so that reading too far costs little. */
const PAGE_ROWS = 512;

/** A creation without a row of its own; without its content where that is over CONTENT_BYTES. */
type CreationTuple = [
  sequence: number,
  id: string,
  fingerprint: Buffer,
  size: number,
  modifyTimeUs: number,
  content: Content | null,
];
/** A pending change, with its content where that was read with it. */
type ReadRow = PendingRow & { readonly content?: Content | undefined };

/** Takes pending changes to send, within a transaction. */
export function outgoingRows(
  db: Database,
  rows: SqliteRows,
  bulk: BulkRows,
  mark: SentMark,
  large: SqliteLarge,
): (query: OutgoingQuery) => OutgoingBatch {
  const page = (where: string) =>
    db
      .prepare<[number, number], PendingTuple>(
        `SELECT ${PENDING_COLUMNS} FROM pending
        WHERE ${where} AND sequence > ? AND sequence <= ? ORDER BY sequence LIMIT ${PAGE_ROWS}`,
      )
      .raw();
  const creationPage = db
    .prepare<[number, number], CreationTuple>(
      `SELECT creation, id, fingerprint, octet_length(content), modify_time_us,
        CASE WHEN octet_length(content) <= ${CONTENT_BYTES} THEN content END
      FROM items WHERE creation > max(?, ${MADE_THROUGH}) AND creation <= ? ORDER BY creation LIMIT ${PAGE_ROWS}`,
    )
    .raw();
  const inOrder = page("true");
  // What was sent is up to the mark, but for rows that say otherwise; those have an index of their own. So changes that
  // wait for their verdicts cost nothing here, however many.
  const unsentBelow = page(`sent = ${UNSENT} AND resent = 0 AND held = 0`);
  const unsentAbove = page("sent = 0 AND resent = 0");
  const anyUnsettled = db
    .prepare<[number, number, number, number, number, number], number>(
      `SELECT EXISTS (SELECT 1 FROM items WHERE creation > max(?, ${MADE_THROUGH}) AND creation <= min(?, ?))
      OR EXISTS (SELECT 1 FROM pending WHERE sequence > ? AND sequence <= ?
      AND (resent = 1 OR sent = ${SENT} OR (sent = 0 AND sequence <= ?)) AND held = 0
      AND (group_key = 0 OR NOT EXISTS (SELECT 1 FROM pending AS member
        WHERE member.group_key = pending.group_key AND member.group_key <> 0 AND member.held = 1)))`,
    )
    .pluck();
  const countUnmarked = db
    .prepare<[number, number, number, number, number], number>(
      `SELECT count(*) FROM (SELECT 1 FROM pending WHERE sequence > ? AND sequence <= ? AND sent = 0
        UNION ALL SELECT 1 FROM items WHERE creation > max(?, ${MADE_THROUGH}) AND creation <= ? LIMIT ?)`,
    )
    .pluck();

  const firstRow = db
    .prepare<[number, number], number | null>("SELECT min(sequence) FROM pending WHERE sequence > ? AND sequence <= ?")
    .pluck();
  const readColumns = prepareCreations(db);

  function* readRows(statement: ReturnType<typeof page>, after: number, through: number): Generator<PendingRow> {
    for (let last = after; last < through; ) {
      const tuples = statement.all(last, through);
      for (const tuple of tuples) yield toPendingRow(tuple, mark);
      if (tuples.length < PAGE_ROWS) return;
      last = tuples.at(-1)?.[0] ?? through;
    }
  }

  function* readCreations(after: number, through: number): Generator<ReadRow> {
    for (let last = after; last < through; ) {
      const tuples = creationPage.all(last, through);
      for (const tuple of tuples) yield toCreation(tuple, mark);
      if (tuples.length < PAGE_ROWS) return;
      last = tuples.at(-1)?.[0] ?? through;
    }
  }

  /** Those with a row of their own, by a statement, and those without, by their sequence numbers. */
  function* read(statement: ReturnType<typeof page>, after: number, through: number): Generator<ReadRow> {
    const others = readRows(statement, after, through);
    let other = others.next();
    for (const creation of readCreations(after, through)) {
      for (; other.done !== true && other.value.sequence < creation.sequence; other = others.next()) yield other.value;
      yield creation;
    }
    for (; other.done !== true; other = others.next()) yield other.value;
  }

  function* readUnsent(after: number, through: number): Generator<ReadRow> {
    // Creations without a row are sent where they are up to the mark.
    yield* readRows(unsentBelow, after, Math.min(mark.through, through));
    yield* read(unsentAbove, Math.max(mark.through, after), through);
  }

  function* readIds(ids: readonly string[]): Generator<PendingRow> {
    for (const id of new Set(ids)) {
      const row = rows.pending(id);
      if (row !== undefined) yield row;
    }
  }

  function select({ select, eager }: OutgoingQuery): Iterable<ReadRow> {
    if ("ids" in select) return readIds(select.ids);
    return eager ? readUnsent(select.after, select.through) : read(inOrder, select.after, select.through);
  }

  /** Whether there are changes with unsettled sendings, of which an eager query did not read all. */
  function leavesOut({ select }: OutgoingQuery): boolean {
    if (!("after" in select)) return false;
    const { after, through } = select;
    return anyUnsettled.get(after, through, mark.through, after, through, mark.through) === 1;
  }

  /** Moves the mark if nothing that is not sent would come under it; else marks the rows. */
  function remember(taken: readonly PendingRow[]): void {
    let above = 0;
    let last = mark.through;
    for (const { sequence, sent } of taken) {
      if (sent || sequence <= mark.through) continue;
      above += 1;
      last = Math.max(last, sequence);
    }
    const moves = countUnmarked.get(mark.through, last, mark.through, last, above + 1) === above;
    for (const row of taken) {
      if (!row.sent && !(moves && row.sequence > mark.through)) rows.updatePending(row, { ...row, sent: true });
    }
    if (moves) mark.through = last;
  }

  /** Nothing but creations that were never sent, where that is all that there is to be taken. */
  function takeColumns({ select, maxBytes, maxChanges, eager }: OutgoingQuery): OutgoingBatch | undefined {
    if (eager || !("after" in select) || select.after < mark.through) return undefined;
    const { after, through } = select;
    const other = firstRow.get(after, through) ?? null;
    const end = other === null ? through : other - 1;
    const read = readColumns({ after, through: end, maxBytes, maxChanges });
    // What follows may have to be left out, so that there is nothing more.
    if (read === undefined || (read.whole && other !== null)) return undefined;
    const { columns, whole } = read;
    const last = columns.firstSequence + columns.count - 1;
    const unmarked = countUnmarked.get(mark.through, last, mark.through, last, columns.count + 1);
    if (unmarked !== columns.count) return undefined;
    mark.through = last;
    return batchOf(columns, !whole);
  }

  return (query) => {
    const creations = takeColumns(query);
    if (creations !== undefined) return creations;
    const { taken, more, skipped: seen } = takeWithin<ReadRow>(select(query), query, rows.group);
    const skipped = seen || (query.eager && !more && leavesOut(query));
    const unread = taken.filter((row) => row.content === undefined && row.fingerprint !== undefined);
    const contents = bulk.findContents(unread.map((row) => row.id));
    remember(taken);
    const changes = taken.map((row) => {
      const column = row.content ?? contents.get(row.id);
      if (typeof column !== "number") return outgoingChange(row, column, undefined);
      const stored = large.stored(column);
      return outgoingChange(row, stored, isLarge(stored) ? large.upload(stored) : undefined);
    });
    return { changes, more, skipped };
  };
}

function toCreation([sequence, id, fingerprint, size, time, content]: CreationTuple, mark: SentMark): ReadRow {
  const row = toPendingRow(creationTuple(sequence, id, fingerprint, size, time), mark);
  return { ...row, content: content ?? undefined };
}
