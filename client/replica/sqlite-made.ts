import type { Database } from "../../core/sqlite.js";

/*
 * What a first push has made. Each verdict is on a row of new items: which they are, and their revisions, is known by two
 * numbers. To write that into their rows would write all their contents again, a fifth of what the push takes. So it stands
 * in `made`, and every statement that asks what an item's state is goes by the expressions here.
 *
 * The one rule: an item whose `creation` is up to the last of `made` is in one of its runs.
 */

/** Sequence number of the last creation that was made. Items up to it are clean, whatever their `pending` says. */
export const MADE_THROUGH = "coalesce((SELECT last FROM made ORDER BY first DESC LIMIT 1), 0)";

/** Whether an item is clean. */
export const IS_CLEAN = `(items.pending = 0 OR items.creation <= ${MADE_THROUGH})`;

/** `items.revision`, as it is. */
export const REVISION = `CASE WHEN items.creation <= ${MADE_THROUGH}
  THEN items.creation + (SELECT shift FROM made WHERE first <= items.creation ORDER BY first DESC LIMIT 1)
  ELSE items.revision END`;

/** `items.pending` and `items.creation` of an item of which something else is written: its row says it all from now on. */
export const PENDING = `CASE WHEN items.creation <= ${MADE_THROUGH} THEN 0 ELSE items.pending END`;
export const CREATION = `CASE WHEN items.creation <= ${MADE_THROUGH} THEN NULL ELSE items.creation END`;

/** More runs come of many short ones, which are written into their rows. */
const MOST_RUNS = 1000;

/** Creations that were made, by runs. */
export interface MadeRuns {
  /** All from the first to the last, which are pending, were made: revisions are sequence numbers and `shift`. False: not here. */
  add(first: number, last: number, shift: number): boolean;
  /** Writes into their rows what is of a later revision, if anything is. */
  write(beyond: number): void;
}

/** The table of an open replica file. */
export function madeRuns(db: Database): MadeRuns {
  const newest = db
    .prepare<[], [first: number, last: number, shift: number]>(
      "SELECT first, last, shift FROM made ORDER BY first DESC LIMIT 1",
    )
    .raw();
  const anyBetween = db
    .prepare<[number, number], number>("SELECT EXISTS (SELECT 1 FROM items WHERE creation > ? AND creation < ?)")
    .pluck();
  const count = db.prepare<[], number>("SELECT count(*) FROM made").pluck();
  const extend = db.prepare<[number, number]>("UPDATE made SET last = ? WHERE first = ?");
  const insert = db.prepare<[number, number, number]>("INSERT INTO made (first, last, shift) VALUES (?, ?, ?)");
  const isLater = db.prepare<[number], number>("SELECT EXISTS (SELECT 1 FROM made WHERE last + shift > ?)").pluck();
  const writeAll = db.prepare(
    `UPDATE items SET revision = ${REVISION}, pending = 0, creation = NULL WHERE creation <= ${MADE_THROUGH}`,
  );
  const clear = db.prepare("DELETE FROM made");
  return {
    add(first, last, shift) {
      const [begin, through, before] = newest.get() ?? [0, 0, undefined];
      // One before it that is still pending would count as made.
      if (first <= through || anyBetween.get(through, first) === 1) return false;
      if (shift === before) extend.run(last, begin);
      else if ((count.get() ?? 0) < MOST_RUNS) insert.run(first, last, shift);
      else return false;
      return true;
    },
    write(beyond) {
      if (isLater.get(beyond) !== 1) return;
      writeAll.run();
      clear.run();
    },
  };
}
