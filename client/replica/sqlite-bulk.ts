import { type Content, contentSize } from "../../core/content.js";
import type { Database } from "../../core/sqlite.js";
import { type Books, hearTime, moveBase } from "./books.js";
import { applyAction, type PendingRow, writeChange } from "./rules.js";
import {
  fromPendingRow,
  PENDING_COLUMNS,
  type PendingTuple,
  type SentMark,
  type SqliteRows,
  toPendingRow,
} from "./sqlite-rows.js";
import { RUN_ROWS, sized } from "./sqlite-sized.js";
import type { Action, ApplyResult, LocalWrite } from "./store.js";

/*
 * The rules for many items at once. A pull into clean items, an import of new ones and the verdicts on a push go many rows
 * to a statement; whatever is not that simple goes through the rules row by row. Both must come to the same, which the
 * contract suite checks.
 */

/** Many rows at once. */
export interface BulkRows {
  /** Does the actions in their order. */
  apply(actions: readonly Action[], books: Books, nowUs: number): Omit<ApplyResult, "total">;
  /** Makes the changes of one local write. */
  write(changes: readonly LocalWrite[], books: Books, timeUs: number): void;
  /** What there is in `items` of these ids. */
  findItems(ids: readonly string[]): Map<string, FoundItem>;
  findContents(ids: readonly string[]): Map<string, Content>;
  /** The pending changes of these ids. */
  findPending(ids: readonly string[]): Map<string, PendingRow>;
}

type FoundItem = readonly [id: string, fingerprint: Buffer, revision: number];
/** A pending change that still is what was sent, of which there is a verdict. */
type SentTuple = [
  sequence: number,
  id: string,
  baseRevision: number | null,
  baseFingerprint: Buffer | null,
  rejected: number,
  resent: number,
];
type Settle = Extract<Action, { kind: "settle" }>;
type FreshTake = Extract<Action, { kind: "take" }> & { readonly upsert: object };

/** The bulk statements of an open replica file. */
export function bulkRows(db: Database, rows: SqliteRows, mark: SentMark): BulkRows {
  const find = finders(db, mark);
  const putItems = sized(
    db,
    "(?, ?, ?, ?, ?)",
    (values) => `INSERT INTO items (id, fingerprint, revision, modify_time_us, content) VALUES ${values}
      ON CONFLICT (id) DO UPDATE SET fingerprint = excluded.fingerprint, revision = excluded.revision,
      modify_time_us = excluded.modify_time_us, content = excluded.content`,
  );
  const putPending = sized(
    db,
    "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
    (values) => `INSERT INTO pending VALUES ${values}`,
  );
  const setRevisions = sized(
    db,
    "(?, ?)",
    (values) => `WITH settled (id, revision) AS (VALUES ${values})
      UPDATE items SET revision = settled.revision FROM settled WHERE items.id = settled.id`,
  );
  const dropPending = sized(db, "?", (sequences) => `DELETE FROM pending WHERE sequence IN (${sequences})`);

  /** Takes onto ids that were judged clean or unknown, each once. */
  function takeFresh(takes: readonly FreshTake[], books: Books, nowUs: number, stale: string[]): void {
    const ids = takes.map((action) => action.id);
    const pending = books.pending === 0 ? undefined : find.pending(ids);
    const items = books.items === 0 ? undefined : find.items(ids);
    const values: unknown[] = [];
    for (const { id, upsert, revision, modifyTimeUs } of takes) {
      if (pending?.has(id) === true) {
        stale.push(id);
        continue;
      }
      const before = items?.get(id);
      if (before === undefined) books.items += 1;
      moveBase(books, before?.[1], upsert.fingerprint);
      hearTime(books, modifyTimeUs, nowUs);
      values.push(id, upsert.fingerprint, revision, modifyTimeUs, upsert.content);
    }
    putItems.run(values, 5);
  }

  /** Verdicts on different ids; those on exactly what is pending, with nothing sent before it, here. */
  function settleSent(actions: readonly Settle[], books: Books, nowUs: number): void {
    const still = find.sent(actions);
    const revisions: unknown[] = [];
    const sequences: unknown[] = [];
    for (const action of actions) {
      const { id, sequence, fingerprint, revision } = action;
      const row = still.get(sequence);
      if (row === undefined || row[1] !== id || row[5] === 1 || (row[2] ?? -1) >= revision) {
        applyAction(rows, books, action, nowUs);
        continue;
      }
      moveBase(books, row[3] ?? undefined, fingerprint);
      books.pending -= 1;
      if (row[4] === 1) books.rejected -= 1;
      sequences.push(sequence);
      if (fingerprint !== undefined) revisions.push(id, revision);
    }
    dropPending.run(sequences, 1);
    setRevisions.run(revisions, 2);
  }

  function writeNew(changes: readonly LocalWrite[], books: Books, timeUs: number): void {
    const ids = changes.map((change) => change.id);
    const known = books.items === 0 ? undefined : find.items(ids);
    const pending = books.pending === 0 ? undefined : find.pending(ids);
    const items: unknown[] = [];
    const marks: unknown[] = [];
    for (const change of changes) {
      const { id, upsert } = change;
      if (upsert === undefined || known?.has(id) === true || pending?.has(id) === true) {
        writeChange(rows, books, change, timeUs);
        continue;
      }
      books.lastSequence += 1;
      books.items += 1;
      books.pending += 1;
      books.lastTimeUs = timeUs;
      const mine = creation(id, upsert.fingerprint, contentSize(upsert.content), books.lastSequence, timeUs);
      items.push(id, upsert.fingerprint, 0, timeUs, upsert.content);
      marks.push(...fromPendingRow(mine, mark));
    }
    putItems.run(items, 5);
    putPending.run(marks, 12);
  }

  return {
    apply(actions, books, nowUs) {
      const stale: string[] = [];
      const conflicts: number[] = [];
      for (let at = 0; at < actions.length; ) {
        const takes = runOf(actions, at, isFreshTake);
        const settles = takes.length > 0 ? [] : runOf(actions, at, isSettle);
        if (takes.length > 1) takeFresh(takes, books, nowUs, stale);
        else if (settles.length > 1) settleSent(settles, books, nowUs);
        else {
          const action = actions[at] as Action;
          const outcome = applyAction(rows, books, action, nowUs);
          if (outcome.stale) stale.push(action.id);
          if (outcome.conflict !== undefined) conflicts.push(outcome.conflict);
        }
        at += Math.max(takes.length, settles.length, 1);
      }
      return { stale, conflicts };
    },
    write(changes, books, timeUs) {
      if (changes.length === 1) writeChange(rows, books, changes[0] as LocalWrite, timeUs);
      else {
        for (let at = 0; at < changes.length; ) {
          const run = runOf(changes, at, isChange);
          writeNew(run, books, timeUs);
          at += run.length;
        }
      }
    },
    findItems: find.items,
    findContents: find.contents,
    findPending: find.pending,
  };
}

function finders(db: Database, mark: SentMark) {
  const items = sized(db, "?", (ids) => `SELECT id, fingerprint, revision FROM items WHERE id IN (${ids})`);
  const contents = sized(db, "?", (ids) => `SELECT id, content FROM items WHERE id IN (${ids})`);
  // By sequence number, and without reading the fingerprint: half the time of reading whole rows by id.
  const sent = sized(
    db,
    "(?, ?)",
    (values) => `WITH verdict (sequence, fingerprint) AS (VALUES ${values})
      SELECT pending.sequence, id, base_revision, base_fingerprint, rejected_reason IS NOT NULL, resent
      FROM verdict CROSS JOIN pending
      ON pending.sequence = verdict.sequence AND pending.fingerprint IS verdict.fingerprint`,
  );
  const pending = sized(db, "?", (ids) => `SELECT ${PENDING_COLUMNS} FROM pending WHERE id IN (${ids})`);
  return {
    items(ids: readonly string[]): Map<string, FoundItem> {
      const found = new Map<string, FoundItem>();
      for (const row of items.all(ids)) found.set(row[0] as string, row as unknown as FoundItem);
      return found;
    },
    sent(actions: readonly Settle[]): Map<number, SentTuple> {
      const found = new Map<number, SentTuple>();
      const values = actions.flatMap((action) => [action.sequence, action.fingerprint ?? null]);
      for (const row of sent.all(values, 2)) found.set(row[0] as number, row as SentTuple);
      return found;
    },
    contents: (ids: readonly string[]) => new Map(contents.all(ids) as Iterable<[string, Content]>),
    pending(ids: readonly string[]): Map<string, PendingRow> {
      const found = new Map<string, PendingRow>();
      for (const tuple of pending.all(ids)) found.set(tuple[1] as string, toPendingRow(tuple as PendingTuple, mark));
      return found;
    },
  };
}

/** The elements from `at` on that are of a kind, with no id twice. */
function runOf<T extends { readonly id: string }, U extends T>(
  list: readonly T[],
  at: number,
  fits: (element: T) => element is U,
): U[] {
  const run: U[] = [];
  const ids = new Set<string>();
  for (let next = at; next < list.length && run.length < RUN_ROWS; next++) {
    const element = list[next] as T;
    if (!fits(element) || ids.has(element.id)) break;
    ids.add(element.id);
    run.push(element);
  }
  return run;
}

function isFreshTake(action: Action): action is FreshTake {
  return action.kind === "take" && action.sequence === 0 && action.upsert !== undefined;
}

function isSettle(action: Action): action is Settle {
  return action.kind === "settle";
}

function isChange(_change: LocalWrite): _change is LocalWrite {
  return true;
}

function creation(id: string, fingerprint: Uint8Array, size: number, sequence: number, timeUs: number): PendingRow {
  const none = { base: undefined, overrides: undefined, rejected: undefined, sent: false, resent: false };
  return { id, sequence, fingerprint, size, modifyTimeUs: timeUs, ...none };
}
