import { isAscii } from "node:buffer";
import { FINGERPRINT_BYTES } from "../../core/fingerprint.js";
import { fingerprintAt, idAt, type ProvedColumns } from "../../core/item-columns.js";
import type { Database, Statement } from "../../core/sqlite.js";
import { type Books, hearTime, moveBase } from "./books.js";
import { IS_CLEAN } from "./sqlite-made.js";

/** Rows of a statement, largest first: a page is a few of them. Larger ones are no faster, and take longer to prepare. */
const SIZES = [64, 8, 1] as const;

/** Takes items in columns. */
export interface ItemTaker {
  /**
   * Takes those of which there is nothing yet, and answers the ids of the others. The contents must be small, and nothing
   * may be pending.
   */
  take(items: ProvedColumns, books: Books, nowUs: number): readonly string[];
}

/** What a statement takes: all of its contents are text or all bytes; its revisions follow one another, at one time. */
interface Shape {
  readonly rows: number;
  readonly isText: boolean;
  readonly isRun: boolean;
}

/**
 * Takes items into an open replica file, in statements with as few parameters as can be, each of which costs as much as a
 * good part of the insert: fingerprints, and contents that are bytes, are bound in one piece and cut in SQL; revisions that
 * follow one another are counted there. Text is bound as strings, which are cheap where they are slices of one.
 */
export function itemTaker(db: Database): ItemTaker {
  const statements = new Map<string, Statement>();
  const numberOf = db.prepare<[string], number>(`SELECT rowid FROM items WHERE ${IS_CLEAN} AND id = ?`).pluck();

  function statement({ rows, isText, isRun }: Shape): Statement {
    const key = `${rows} ${isText} ${isRun}`;
    const known = statements.get(key);
    if (known !== undefined) return known;
    const content = isText ? "?" : "substr(@bytes, ?, ?)";
    const values = Array.from({ length: rows }, (_, at) => {
      const fingerprint = `substr(@prints, ${at * FINGERPRINT_BYTES + 1}, ${FINGERPRINT_BYTES})`;
      return `(?, 0, ${fingerprint}, ${isRun ? `@revision + ${at}, @timeUs` : "?, ?"}, ${content})`;
    });
    const made = db.prepare(
      `INSERT INTO items (id, pending, fingerprint, revision, modify_time_us, content) VALUES ${values.join(", ")}
      ON CONFLICT DO NOTHING`,
    );
    statements.set(key, made);
    return made;
  }

  /** Inserts some of them; answers the number of rows that it made. `text`: all bytes, where they are ASCII. */
  function insert(
    items: ProvedColumns,
    from: number,
    rows: number,
    text: string | undefined,
  ): { changes: number; lastInsertRowid: number | bigint } {
    const { bytes, starts, idEnds, ends, isText, revisions, timesUs } = items;
    const revision = revisions[from] as number;
    const timeUs = timesUs[from] as number;
    const to = from + rows;
    const isRun = isOneRun(items, from, to);
    const values: (string | number)[] = [];
    for (let index = from; index < to; index++) {
      const idEnd = idEnds[index] as number;
      const end = ends[index] as number;
      values.push(text?.slice(starts[index], idEnd) ?? bytes.toString("utf8", starts[index], idEnd));
      if (!isRun) values.push(revisions[index] as number, timesUs[index] as number);
      // SQL counts from 1.
      if (!isText) values.push(idEnd + 2 - (starts[from] as number), end - idEnd - 1);
      else values.push(text?.slice(idEnd + 1, end) ?? bytes.toString("utf8", idEnd + 1, end));
    }
    return statement({ rows, isText, isRun }).run(values, {
      prints: items.fingerprints.subarray(from * FINGERPRINT_BYTES, to * FINGERPRINT_BYTES),
      ...(isRun ? { revision, timeUs } : {}),
      ...(isText ? {} : { bytes: bytes.subarray(starts[from], ends[to - 1]) }),
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
      const { bytes } = items;
      const text = isAscii(bytes) ? bytes.toString("latin1") : undefined;
      let from = 0;
      let made = 0;
      let next = Number.POSITIVE_INFINITY;
      for (const rows of SIZES) {
        for (; items.count - from >= rows; from += rows) {
          const { changes, lastInsertRowid } = insert(items, from, rows, text);
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

/** Whether the revisions of some follow one another, and their times are the same. */
function isOneRun({ revisions, timesUs }: ProvedColumns, from: number, to: number): boolean {
  const revision = revisions[from] as number;
  for (let index = from + 1; index < to; index++) {
    if (revisions[index] !== revision + index - from || timesUs[index] !== timesUs[from]) return false;
  }
  return true;
}
