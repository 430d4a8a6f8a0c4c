import type { Content } from "../../core/content.js";
import type { Database } from "../../core/sqlite.js";
import { type Candidate, takeWithin, unsettled } from "./outgoing.js";
import type { PendingRow } from "./rules.js";
import {
  PENDING_COLUMNS,
  type PendingTuple,
  SENT,
  type SentMark,
  type SqliteRows,
  toPendingRow,
  UNSENT,
} from "./sqlite-rows.js";
import type { OutgoingBatch, OutgoingQuery } from "./store.js";

const WITH_CONTENT = `SELECT ${PENDING_COLUMNS}, items.content FROM pending LEFT JOIN items ON items.id = pending.id`;

/** Takes pending changes to send, within a transaction. */
export function outgoingRows(db: Database, rows: SqliteRows, mark: SentMark): (query: OutgoingQuery) => OutgoingBatch {
  const inOrder = db
    .prepare<[number, number], [...PendingTuple, Content | null]>(
      `${WITH_CONTENT} WHERE sequence > ? AND sequence <= ? ORDER BY sequence`,
    )
    .raw();
  // What was sent is up to the mark, but for rows that say otherwise; those have an index of their own. So changes that
  // wait for their verdicts cost nothing here, however many.
  const unsentBelow = db
    .prepare<[number, number, number], [...PendingTuple, Content | null]>(
      `${WITH_CONTENT} WHERE sent = ${UNSENT} AND resent = 0 AND sequence > ? AND sequence <= min(?, ?) ORDER BY sequence`,
    )
    .raw();
  const unsentAbove = db
    .prepare<[number, number, number], [...PendingTuple, Content | null]>(
      `${WITH_CONTENT} WHERE sent = 0 AND resent = 0 AND sequence > max(?, ?) AND sequence <= ? ORDER BY sequence`,
    )
    .raw();
  const anyUnsettled = db
    .prepare<[number, number, number], number>(
      `SELECT EXISTS (SELECT 1 FROM pending WHERE sequence > ? AND sequence <= ?
      AND (resent = 1 OR sent = ${SENT} OR (sent = 0 AND sequence <= ?)))`,
    )
    .pluck();
  const countUnmarked = db
    .prepare<[number, number, number], number>(
      "SELECT count(*) FROM (SELECT 1 FROM pending WHERE sequence > ? AND sequence <= ? AND sent = 0 LIMIT ?)",
    )
    .pluck();
  const markSent = db.prepare(`UPDATE pending SET sent = ${SENT} WHERE sequence = ?`);

  function* read(tuples: Iterable<[...PendingTuple, Content | null]>): Generator<Candidate> {
    for (const tuple of tuples) {
      const row = toPendingRow(tuple as unknown as PendingTuple, mark);
      yield { row, content: () => tuple[12] ?? undefined };
    }
  }

  function* readIds(ids: readonly string[], eager: boolean): Generator<Candidate> {
    for (const id of new Set(ids)) {
      const row = rows.pending(id);
      if (row === undefined || (eager && unsettled(row))) continue;
      yield { row, content: () => (row.fingerprint === undefined ? undefined : rows.content(id)) };
    }
  }

  function* readUnsent(after: number, through: number): Generator<Candidate> {
    yield* read(unsentBelow.iterate(after, through, mark.through));
    yield* read(unsentAbove.iterate(after, mark.through, through));
  }

  function candidates({ select, eager }: OutgoingQuery): Iterable<Candidate> {
    if ("ids" in select) return readIds(select.ids, eager);
    return eager ? readUnsent(select.after, select.through) : read(inOrder.iterate(select.after, select.through));
  }

  function leavesOut({ select }: OutgoingQuery): boolean {
    if (!("ids" in select)) return anyUnsettled.get(select.after, select.through, mark.through) === 1;
    return select.ids.some((id) => {
      const row = rows.pending(id);
      return row !== undefined && unsettled(row);
    });
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
    const { rows: taken, changes, more } = takeWithin(candidates(query), query);
    const skipped = query.eager && !more && leavesOut(query);
    remember(taken);
    return { changes, more, skipped };
  };
}
