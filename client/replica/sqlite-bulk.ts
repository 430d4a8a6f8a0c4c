import { type Content, contentSize } from "../../core/content.js";
import { sameFingerprint } from "../../core/fingerprint.js";
import type { Database } from "../../core/sqlite.js";
import type { Action } from "./action.js";
import type { ApplyBatch, ApplyResult } from "./apply-batch.js";
import { addBases, type Books, hearTime, moveBase, nextTime } from "./books.js";
import { groupWrites, type Written } from "./group-rules.js";
import { standsAlone } from "./large.js";
import type { GroupLimits, LocalWrite } from "./local-items.js";
import { writeChange } from "./local-rules.js";
import { toActions } from "./one-by-one.js";
import { type SettledRun, settlesOf } from "./outgoing-columns.js";
import { applyUnit, orderByUnit, unitAt, unitOf } from "./rules.js";
import { bulkFinders, type FoundStates, type Settle } from "./sqlite-find.js";
import { itemTaker } from "./sqlite-items.js";
import type { Column, SqliteLarge } from "./sqlite-large.js";
import { madeRuns, REVISION } from "./sqlite-made.js";
import type { SentMark, SqliteRows } from "./sqlite-rows.js";
import { RUN_ROWS, sized } from "./sqlite-sized.js";

/*
 * The rules for many items at once. A pull into clean items, an import of new ones and the verdicts on a push go many rows
 * to a statement; whatever is not that simple goes through the rules row by row. Both must come to the same, which the
 * contract suite checks.
 */

/** Many rows at once. */
export interface BulkRows {
  /** Takes the items, settles what is `settled`, then does the actions in their order. */
  apply(batch: Pick<ApplyBatch, "items" | "settled" | "actions" | "nowUs">, books: Books): Omit<ApplyResult, "total">;
  /**
   * Makes the changes of one local write; answers their sequence numbers.
   *
   * @throws GroupTooLarge by `limits`.
   */
  write(changes: readonly LocalWrite[], books: Books, nowUs: number, limits: GroupLimits | undefined): number[];
  /** Whether all of a run are pending just as they were sent. */
  settlesWhole(run: SettledRun): boolean;
  /** The items and the pending changes of these ids. */
  findStates(ids: readonly string[]): FoundStates;
  /** The contents of those that have a pending change. */
  findContents(ids: readonly string[]): Map<string, Column>;
}

type Done = { readonly stale: string[]; readonly conflicts: number[] };
type Small = LocalWrite & { readonly upsert: { readonly content: Content } };
type FreshTake = Extract<Action, { kind: "take" }> & { readonly upsert: { readonly content: Content } };

/** The bulk statements of an open replica file. */
export function bulkRows(
  db: Database,
  rows: SqliteRows,
  mark: SentMark,
  large: SqliteLarge,
  wholeBytes: number,
): BulkRows {
  const find = bulkFinders(db, mark);
  const taker = itemTaker(db);
  const putItems = sized(
    db,
    "(?, ?, ?, ?, ?, ?)",
    (values) => `INSERT INTO items (id, pending, fingerprint, revision, modify_time_us, content) VALUES ${values}
      ON CONFLICT (id) DO UPDATE SET fingerprint = excluded.fingerprint, revision = excluded.revision,
      modify_time_us = excluded.modify_time_us, content = excluded.content, pending = excluded.pending, creation = NULL`,
  );
  const addItems = sized(
    db,
    "(?, 0, ?, ?, ?, ?)",
    (values) => `INSERT INTO items (id, pending, fingerprint, revision, modify_time_us, content) VALUES ${values}
      ON CONFLICT (id) DO NOTHING`,
  );
  const addCreations = sized(
    db,
    "(?, 1, ?, ?, 0, ?, ?)",
    (values) => `INSERT INTO items (id, pending, creation, fingerprint, revision, modify_time_us, content)
      VALUES ${values}`,
  );
  // Clean items become the bases of changes, with their contents: a large one stays in one row.
  const addChanges = sized(
    db,
    "(?, ?, ?, ?, ?)",
    (values) => `WITH change (sequence, id, fingerprint, size, modify_time_us) AS (VALUES ${values})
      INSERT INTO pending SELECT change.sequence, change.id, change.fingerprint, change.size, change.modify_time_us,
        ${REVISION}, items.fingerprint, NULL, NULL, NULL, 0, 0, items.modify_time_us, 0, 0, items.content
      FROM change CROSS JOIN items ON items.id = change.id`,
  );
  const cleanItems = sized(
    db,
    "(?, ?)",
    (values) => `WITH settled (id, revision) AS (VALUES ${values})
      UPDATE items SET revision = settled.revision, pending = 0, creation = NULL FROM settled
      WHERE items.id = settled.id`,
  );
  const cleanBetween = db.prepare(
    "UPDATE items SET revision = creation + ?, pending = 0, creation = NULL WHERE creation BETWEEN ? AND ?",
  );
  const made = madeRuns(db);
  const dropPending = sized(db, "?", (sequences) => `DELETE FROM pending WHERE sequence IN (${sequences})`);

  /** Takes onto ids that were judged clean or unknown, each once. */
  function takeFresh(takes: readonly FreshTake[], books: Books, nowUs: number, stale: string[]): void {
    const { items, pending } = find.states(
      takes.map((action) => action.id),
      books,
    );
    const values: unknown[] = [];
    for (const { id, upsert, revision, modifyTimeUs } of takes) {
      if (pending.has(id)) {
        stale.push(id);
        continue;
      }
      const before = items.get(id);
      if (before === undefined) books.items += 1;
      large.release(before?.large);
      moveBase(books, id, before?.fingerprint, upsert.fingerprint);
      hearTime(books, modifyTimeUs, nowUs);
      values.push(id, 0, upsert.fingerprint, revision, modifyTimeUs, upsert.content);
    }
    putItems.run(values, 6);
  }

  /** Takes onto ids of which nothing is known, each once: without looking them up, as almost all of them are new. */
  function takeNew(takes: readonly FreshTake[], books: Books, nowUs: number, stale: string[]): void {
    const pending = books.pending === 0 ? undefined : find.pending(takes.map((action) => action.id));
    const free = pending === undefined || pending.size === 0 ? takes : takes.filter(({ id }) => !pending.has(id));
    if (free.length < takes.length) for (const { id } of takes) if (pending?.has(id) === true) stale.push(id);
    const values: unknown[] = [];
    for (const { id, upsert, revision, modifyTimeUs } of free) {
      values.push(id, upsert.fingerprint, revision, modifyTimeUs, upsert.content);
    }
    const added = addItems.insert(values, 5);
    const known = added.count === free.length ? undefined : find.before(free, added.first);
    for (const { id, upsert, modifyTimeUs } of free) {
      if (known?.has(id) === true) {
        stale.push(id);
        continue;
      }
      moveBase(books, id, undefined, upsert.fingerprint);
      hearTime(books, modifyTimeUs, nowUs);
    }
    books.items += added.count;
  }

  /**
   * Verdicts on creations that are pending just as they were sent, one behind the other in sequence and revision: what a
   * first push gets. Answers whether they all are; else nothing has happened. A creation that was changed since has another
   * sequence number, and is none that was never anything else.
   */
  function settleCreations(actions: readonly Settle[], books: Books): boolean {
    const { sequence: first, revision } = actions[0] as Settle;
    const isRow = actions.every((action, at) => {
      return action.fingerprint !== undefined && action.sequence === first + at && action.revision === revision + at;
    });
    const last = first + actions.length - 1;
    if (!isRow || find.countCreations(first, last) !== actions.length) return false;
    cleanBetween.run(revision - first, first, last);
    for (const { id, fingerprint } of actions) moveBase(books, id, undefined, fingerprint);
    books.pending -= actions.length;
    return true;
  }

  function settlesWhole({ columns: { firstSequence }, from, to }: SettledRun): boolean {
    return find.countCreations(firstSequence + from, firstSequence + to - 1) === to - from;
  }

  /** The same of creations in a row. */
  function settleRun(run: SettledRun, books: Books): boolean {
    if (!settlesWhole(run)) return false;
    const { columns, from, to, revision } = run;
    const first = columns.firstSequence + from;
    const last = columns.firstSequence + to - 1;
    if (!made.add(first, last, revision - first)) cleanBetween.run(revision - first, first, last);
    addBases(books, { columns, from, to });
    books.pending -= to - from;
    return true;
  }

  /** Verdicts on different ids; those on exactly what is pending, with nothing sent before it, here. */
  function settleSent(actions: readonly Settle[], books: Books, nowUs: number, done: Done): void {
    if (settleCreations(actions, books)) return;
    const still = find.sent(actions);
    const revisions: unknown[] = [];
    const sequences: unknown[] = [];
    for (const action of actions) {
      const { id, sequence, fingerprint, revision } = action;
      const row = still.get(sequence);
      if (row === undefined || row[1] !== id || row[5] === 1 || row[6] === 1 || (row[2] ?? -1) >= revision) {
        applyUnit(rows, books, [action], nowUs, done);
        continue;
      }
      moveBase(books, id, row[3] ?? undefined, fingerprint);
      large.release(row[7]);
      books.pending -= 1;
      if (row[4] === 1) books.rejected -= 1;
      sequences.push(sequence);
      if (fingerprint !== undefined) revisions.push(id, revision);
    }
    dropPending.run(sequences, 1);
    cleanItems.run(revisions, 2);
  }

  /** A change without a large content, or a deletion. */
  function isSmall(change: LocalWrite): change is Small | (LocalWrite & { readonly upsert: undefined }) {
    return change.upsert === undefined || !standsAlone(change.upsert, wholeBytes);
  }

  function isNewTake(action: Action): action is FreshTake {
    return action.kind === "take" && action.onlyNew === true && isPlainTake(action);
  }

  function isFreshTake(action: Action): action is FreshTake {
    return action.kind === "take" && action.onlyNew !== true && isPlainTake(action);
  }

  function isPlainTake(action: Action): boolean {
    if (action.kind !== "take" || action.sequence !== 0 || action.upsert === undefined) return false;
    if (unitOf(action) !== 0 || action.conflict !== undefined || action.upsert.kept === true) return false;
    return !standsAlone(action.upsert, wholeBytes);
  }

  function writeRun(
    changes: readonly (Small | (LocalWrite & { readonly upsert: undefined }))[],
    books: Books,
    timeUs: number,
  ): Written[] {
    const { items: known, pending } = find.states(
      changes.map((change) => change.id),
      books,
    );
    const creations: unknown[] = [];
    const overwriting: unknown[] = [];
    const overwritten: unknown[] = [];
    const written = changes.map((change) => {
      const { id, upsert } = change;
      const item = known.get(id);
      if (upsert === undefined || pending.has(id)) {
        return writeChange(rows, books, change, timeUs);
      }
      const { fingerprint, content } = upsert;
      if (sameFingerprint(item?.fingerprint, fingerprint)) return undefined;
      books.lastSequence += 1;
      books.pending += 1;
      books.lastTimeUs = timeUs;
      const sequence = books.lastSequence;
      if (item === undefined) {
        books.items += 1;
        creations.push(id, sequence, fingerprint, timeUs, content);
      } else {
        overwriting.push(sequence, id, fingerprint, contentSize(content), timeUs);
        overwritten.push(id, 1, fingerprint, 0, timeUs, content);
      }
      return { sequence, group: 0 };
    });
    addCreations.run(creations, 5);
    addChanges.run(overwriting, 5);
    putItems.run(overwritten, 6);
    return written;
  }

  return {
    apply({ actions, items, settled = [], nowUs }, books) {
      const done: Done = { stale: [], conflicts: [] };
      const inColumns = items !== undefined && books.pending === 0 && items.largest <= wholeBytes;
      if (inColumns) for (const id of taker.take(items, books, nowUs)) done.stale.push(id);
      const taken = items === undefined || inColumns ? [] : toActions(items);
      const changed = settled.filter((run) => !settleRun(run, books)).flatMap(settlesOf);
      const ordered = orderByUnit(taken.length + changed.length === 0 ? actions : [...taken, ...changed, ...actions]);
      for (let at = 0; at < ordered.length; ) {
        const news = runOf(ordered, at, isNewTake);
        const takes = news.length > 0 ? [] : runOf(ordered, at, isFreshTake);
        const settles = news.length + takes.length > 0 ? [] : runOf(ordered, at, isSettle);
        const run = Math.max(news.length, takes.length, settles.length);
        const unit = run > 1 ? [] : unitAt(ordered, at);
        if (news.length > 1) takeNew(news, books, nowUs, done.stale);
        else if (takes.length > 1) takeFresh(takes, books, nowUs, done.stale);
        else if (settles.length > 1) settleSent(settles, books, nowUs, done);
        else applyUnit(rows, books, unit, nowUs, done);
        at += Math.max(run, unit.length);
      }
      return done;
    },
    write(changes, books, nowUs, limits) {
      const timeUs = nextTime(books, nowUs);
      const written: Written[] = [];
      for (let at = 0; at < changes.length; at = written.length) {
        const run = runOf(changes, at, isSmall);
        if (run.length === 0) written.push(writeChange(rows, books, changes[at] as LocalWrite, timeUs));
        for (const each of writeRun(run, books, timeUs)) written.push(each);
      }
      return groupWrites(rows, books, changes, written, limits);
    },
    settlesWhole,
    findStates: find.states,
    findContents: find.contents,
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

function isSettle(action: Action): action is Settle {
  return action.kind === "settle";
}
