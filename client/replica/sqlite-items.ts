import { FINGERPRINT_BYTES } from "../../core/fingerprint.js";
import { fingerprintAt, idAt, type ProvedColumns } from "../../core/item-columns.js";
import type { Database, Statement } from "../../core/sqlite.js";
import { type Books, hearTime, moveBase } from "./books.js";
import { IS_CLEAN } from "./sqlite-made.js";

/** Rows of a statement, largest first: a page is a few of them. */
const SIZES = [256, 64, 16, 4, 1] as const;
/** Parameters of a row. */
const WIDTH = 6;

/** Takes items in columns. */
export interface ItemTaker {
  /**
   * Takes those of which there is nothing yet, and answers the ids of the others. The contents must be small, and nothing
   * may be pending.
   */
  take(items: ProvedColumns, books: Books, nowUs: number): readonly string[];
}

/**
 * Takes items into an open replica file. What they consist of is bound in one piece and cut in SQL: to make strings of it and
 * to bind those, and a buffer for each fingerprint, takes twice as long.
 */
export function itemTaker(db: Database): ItemTaker {
  const statements = new Map<number, Statement>();
  const numberOf = db.prepare<[string], number>(`SELECT rowid FROM items WHERE ${IS_CLEAN} AND id = ?`).pluck();

  function statement(rows: number, isText: boolean): Statement {
    const key = isText ? rows : -rows;
    const known = statements.get(key);
    if (known !== undefined) return known;
    const content = isText ? "CAST(substr(@bytes, ?, ?) AS TEXT)" : "substr(@bytes, ?, ?)";
    const values = Array.from({ length: rows }, (_, at) => {
      const fingerprint = `substr(@prints, ${at * FINGERPRINT_BYTES + 1}, ${FINGERPRINT_BYTES})`;
      return `(CAST(substr(@bytes, ?, ?) AS TEXT), 0, ${fingerprint}, ?, ?, ${content})`;
    });
    const made = db.prepare(
      `INSERT INTO items (id, pending, fingerprint, revision, modify_time_us, content) VALUES ${values.join(", ")}
      ON CONFLICT DO NOTHING`,
    );
    statements.set(key, made);
    return made;
  }

  /** Inserts some of them; answers the number of rows that it made. */
  function insert(
    items: ProvedColumns,
    from: number,
    rows: number,
  ): { changes: number; lastInsertRowid: number | bigint } {
    const { starts, idEnds, ends, revisions, timesUs } = items;
    const base = starts[from] as number;
    const values: number[] = new Array(rows * WIDTH);
    let at = 0;
    for (let index = from; index < from + rows; index++) {
      const start = starts[index] as number;
      const idEnd = idEnds[index] as number;
      // SQL counts from 1.
      values[at++] = start - base + 1;
      values[at++] = idEnd - start;
      values[at++] = revisions[index] as number;
      values[at++] = timesUs[index] as number;
      values[at++] = idEnd - base + 2;
      values[at++] = (ends[index] as number) - idEnd - 1;
    }
    return statement(rows, items.isText).run(values, {
      bytes: items.bytes.subarray(base, ends[from + rows - 1]),
      prints: items.fingerprints.subarray(from * FINGERPRINT_BYTES, (from + rows) * FINGERPRINT_BYTES),
    });
  }

  /** Those that were there before, and those that come twice, the second time. The others were made. */
  function sort(items: ProvedColumns, first: number, books: Books): readonly string[] {
    const made = new Set<string>();
    const stale: string[] = [];
    for (let index = 0; index < items.count; index++) {
      const id = idAt(items, index);
      // New rows come behind all others.
      if (made.has(id) || (numberOf.get(id) ?? 0) < first) stale.push(id);
      else {
        made.add(id);
        moveBase(books, id, undefined, fingerprintAt(items, index));
      }
    }
    return stale;
  }

  return {
    take(items, books, nowUs) {
      let from = 0;
      let made = 0;
      let next = Number.POSITIVE_INFINITY;
      for (const rows of SIZES) {
        for (; items.count - from >= rows; from += rows) {
          const { changes, lastInsertRowid } = insert(items, from, rows);
          made += changes;
          if (changes > 0) next = Number(lastInsertRowid) + 1;
        }
      }
      books.items += made;
      hearTime(books, items.latestUs, nowUs);
      if (made < items.count) return sort(items, next - made, books);
      books.taken.push(items);
      books.sum.merge(items.total);
      return [];
    },
  };
}
