import type { Database } from "../../core/sqlite.js";
import { isLarge } from "./large.js";
import { outgoingChange, takeWithin } from "./outgoing.js";
import type { PendingRow } from "./rows.js";
import type { BulkRows } from "./sqlite-bulk.js";
import type { SqliteLarge } from "./sqlite-large.js";
import {
  CREATION_COLUMNS,
  type CreationTuple,
  PENDING_COLUMNS,
  type PendingTuple,
  SENT,
  type SentMark,
  type SqliteRows,
  toCreation,
  toPendingRow,
  UNSENT,
} from "./sqlite-rows.js";
import type { OutgoingBatch, OutgoingQuery } from "./store.js";

/** Pending rows are read by so many, without contents, so that reading too far costs little. */
const PAGE_ROWS = 512;

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
      .prepare<[number, number], CreationTuple>(
        `SELECT ${CREATION_COLUMNS} FROM pending
        WHERE ${where} AND sequence > ? AND sequence <= ? ORDER BY sequence LIMIT ${PAGE_ROWS}`,
      )
      .raw();
  const whole = db.prepare<[number], PendingTuple>(`SELECT ${PENDING_COLUMNS} FROM pending WHERE sequence = ?`).raw();
  const inOrder = page("true");
  // What was sent is up to the mark, but for rows that say otherwise; those have an index of their own. So changes that
  // wait for their verdicts cost nothing here, however many.
  const unsentBelow = page(`sent = ${UNSENT} AND resent = 0 AND held = 0`);
  const unsentAbove = page("sent = 0 AND resent = 0");
  const anyUnsettled = db
    .prepare<[number, number, number], number>(
      `SELECT EXISTS (SELECT 1 FROM pending WHERE sequence > ? AND sequence <= ?
      AND (resent = 1 OR sent = ${SENT} OR (sent = 0 AND sequence <= ?)) AND held = 0
      AND (group_key = 0 OR NOT EXISTS (SELECT 1 FROM pending AS member
        WHERE member.group_key = pending.group_key AND member.group_key <> 0 AND member.held = 1)))`,
    )
    .pluck();
  const countUnmarked = db
    .prepare<[number, number, number], number>(
      "SELECT count(*) FROM (SELECT 1 FROM pending WHERE sequence > ? AND sequence <= ? AND sent = 0 LIMIT ?)",
    )
    .pluck();
  const markSent = db.prepare(`UPDATE pending SET sent = ${SENT} WHERE sequence = ?`);

  function* read(statement: ReturnType<typeof page>, after: number, through: number): Generator<PendingRow> {
    for (let last = after; last < through; ) {
      const tuples = statement.all(last, through);
      for (const tuple of tuples) {
        const found = tuple[6] === 1 ? undefined : whole.get(tuple[0]);
        yield found === undefined ? toCreation(tuple, mark) : toPendingRow(found, mark);
      }
      if (tuples.length < PAGE_ROWS) return;
      last = tuples.at(-1)?.[0] ?? through;
    }
  }

  function* readUnsent(after: number, through: number): Generator<PendingRow> {
    yield* read(unsentBelow, after, Math.min(mark.through, through));
    yield* read(unsentAbove, Math.max(mark.through, after), through);
  }

  function* readIds(ids: readonly string[]): Generator<PendingRow> {
    for (const id of new Set(ids)) {
      const row = rows.pending(id);
      if (row !== undefined) yield row;
    }
  }

  function select({ select, eager }: OutgoingQuery): Iterable<PendingRow> {
    if ("ids" in select) return readIds(select.ids);
    return eager ? readUnsent(select.after, select.through) : read(inOrder, select.after, select.through);
  }

  /** Whether there are changes with unsettled sendings, of which an eager query did not read all. */
  function leavesOut({ select }: OutgoingQuery): boolean {
    return "after" in select && anyUnsettled.get(select.after, select.through, mark.through) === 1;
  }

  /** Moves the mark if nothing that is not sent would come under it; else marks the rows. */
  function remember(taken: readonly PendingRow[]): void {
    const above = taken.filter((row) => row.sequence > mark.through && !row.sent);
    const last = above.reduce((greatest, row) => Math.max(greatest, row.sequence), mark.through);
    const moves = countUnmarked.get(mark.through, last, above.length + 1) === above.length;
    for (const row of taken) {
      if (!row.sent && !(moves && row.sequence > mark.through)) markSent.run(row.sequence);
    }
    if (moves) mark.through = last;
  }

  return (query) => {
    const { taken, more, skipped: seen } = takeWithin(select(query), query, rows.group);
    const skipped = seen || (query.eager && !more && leavesOut(query));
    const contents = bulk.findContents(taken.map((row) => row.id));
    remember(taken);
    const changes = taken.map((row) => {
      const column = contents.get(row.id);
      if (typeof column !== "number") return outgoingChange(row, column, undefined);
      const stored = large.stored(column);
      return outgoingChange(row, stored, isLarge(stored) ? large.upload(stored) : undefined);
    });
    return { changes, more, skipped };
  };
}
