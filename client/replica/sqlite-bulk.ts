import { contentSize } from "../../core/content.js";
import type { Database, Statement } from "../../core/sqlite.js";
import { type Books, hearTime, moveBase } from "./books.js";
import { applyAction, type PendingRow, writeChange } from "./rules.js";
import { fromPendingRow, type SentMark, type SqliteRows } from "./sqlite-rows.js";
import type { Action, ApplyResult, LocalWrite } from "./store.js";

/*
 * The rules for many items at once. A pull into clean items and an import of new ones go many rows to a statement; whatever
 * is not that simple goes through the rules row by row. Both must come to the same, which the contract suite checks.
 */

/** Rows of one statement, largest first: a run is cut into these, so that few statements need be prepared. */
const SIZES = [128, 16, 1] as const;

/** Many rows at once. */
export interface BulkRows {
  /** Does the actions in their order; the answer's total is the caller's to add. */
  apply(actions: readonly Action[], books: Books, nowUs: number): Omit<ApplyResult, "total">;
  /** Makes the changes of one local write. */
  write(changes: readonly LocalWrite[], books: Books, timeUs: number): void;
  /** The rows of `items` by id: fingerprint and revision. */
  findItems(ids: readonly string[]): Map<string, readonly [fingerprint: Buffer, revision: number]>;
  /** Which of these ids are pending, with their sequence numbers. */
  findPending(ids: readonly string[]): Map<string, number>;
}

/** A statement for any number of rows, as one of each size. */
function sized<R>(db: Database, sql: (rows: string) => string, row: string): (size: number) => Statement<unknown[], R> {
  const statements = new Map<number, Statement<unknown[], R>>();
  return (size) => {
    let statement = statements.get(size);
    if (statement === undefined) {
      statement = db.prepare<unknown[], R>(sql(Array(size).fill(row).join(", ")));
      if (statement.reader) statement.raw();
      statements.set(size, statement);
    }
    return statement;
  };
}

function* cut(length: number): Generator<readonly [from: number, to: number]> {
  let from = 0;
  for (const size of SIZES) {
    for (; length - from >= size; from += size) yield [from, from + size];
  }
}

type FreshTake = Extract<Action, { kind: "take" }> & { readonly upsert: object };

/** The bulk statements of an open replica file. */
export function bulkRows(db: Database, rows: SqliteRows, mark: SentMark): BulkRows {
  const itemsById = sized<[string, Buffer, number]>(
    db,
    (ids) => `SELECT id, fingerprint, revision FROM items WHERE id IN (${ids})`,
    "?",
  );
  const pendingById = sized<[string, number]>(
    db,
    (ids) => `SELECT id, sequence FROM pending WHERE id IN (${ids})`,
    "?",
  );
  const putItems = sized(
    db,
    (values) => `INSERT INTO items (id, fingerprint, revision, modify_time_us, content) VALUES ${values}
      ON CONFLICT (id) DO UPDATE SET fingerprint = excluded.fingerprint, revision = excluded.revision,
      modify_time_us = excluded.modify_time_us, content = excluded.content`,
    "(?, ?, ?, ?, ?)",
  );
  const putPending = sized(
    db,
    (values) => `INSERT INTO pending VALUES ${values}`,
    "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
  );

  function findItems(ids: readonly string[]): Map<string, readonly [Buffer, number]> {
    const found = new Map<string, readonly [Buffer, number]>();
    for (const [from, to] of cut(ids.length)) {
      for (const row of itemsById(to - from).all(...ids.slice(from, to))) found.set(row[0], [row[1], row[2]]);
    }
    return found;
  }

  function findPending(ids: readonly string[]): Map<string, number> {
    const found = new Map<string, number>();
    for (const [from, to] of cut(ids.length)) {
      for (const row of pendingById(to - from).all(...ids.slice(from, to))) found.set(row[0], row[1]);
    }
    return found;
  }

  function insert(statement: (size: number) => Statement, width: number, values: readonly unknown[]): void {
    for (const [from, to] of cut(values.length / width)) {
      statement(to - from).run(values.slice(from * width, to * width));
    }
  }

  /** Takes onto ids that were judged clean or unknown, each once. */
  function takeFresh(takes: readonly FreshTake[], books: Books, nowUs: number, stale: string[]): void {
    const ids = takes.map((action) => action.id);
    const pending = books.pending === 0 ? undefined : findPending(ids);
    const items = books.items === 0 ? undefined : findItems(ids);
    const values: unknown[] = [];
    for (const { id, upsert, revision, modifyTimeUs } of takes) {
      if (pending?.has(id) === true) {
        stale.push(id);
        continue;
      }
      const before = items?.get(id);
      if (before === undefined) books.items += 1;
      moveBase(books, before?.[0], upsert.fingerprint);
      hearTime(books, modifyTimeUs, nowUs);
      values.push(id, upsert.fingerprint, revision, modifyTimeUs, upsert.content);
    }
    insert(putItems, 5, values);
  }

  function writeNew(changes: readonly LocalWrite[], books: Books, timeUs: number): void {
    const ids = changes.map((change) => change.id);
    const known = books.items === 0 ? undefined : findItems(ids);
    const pending = books.pending === 0 ? undefined : findPending(ids);
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
    insert(putItems, 5, items);
    insert(putPending, 12, marks);
  }

  return {
    apply(actions, books, nowUs) {
      const stale: string[] = [];
      const conflicts: number[] = [];
      for (let at = 0; at < actions.length; ) {
        const run = runOf(actions, at, isFreshTake);
        if (run.length > 1) {
          takeFresh(run, books, nowUs, stale);
          at += run.length;
          continue;
        }
        const action = actions[at++] as Action;
        const outcome = applyAction(rows, books, action, nowUs);
        if (outcome.stale) stale.push(action.id);
        if (outcome.conflict !== undefined) conflicts.push(outcome.conflict);
      }
      return { stale, conflicts };
    },
    write(changes, books, timeUs) {
      for (let at = 0; at < changes.length; ) {
        const run = runOf(changes, at, isChange);
        writeNew(run, books, timeUs);
        at += run.length;
      }
    },
    findItems,
    findPending,
  };
}

/** The elements from `at` on that are of a kind, with no id twice, as many as go well with one another. */
function runOf<T extends { readonly id: string }, U extends T>(
  list: readonly T[],
  at: number,
  fits: (element: T) => element is U,
): U[] {
  const run: U[] = [];
  const ids = new Set<string>();
  for (let next = at; next < list.length && run.length < 8 * SIZES[0]; next++) {
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

function isChange(_change: LocalWrite): _change is LocalWrite {
  return true;
}

function creation(id: string, fingerprint: Uint8Array, size: number, sequence: number, timeUs: number): PendingRow {
  const none = { base: undefined, overrides: undefined, rejected: undefined, sent: false, resent: false };
  return { id, sequence, fingerprint, size, modifyTimeUs: timeUs, ...none };
}
