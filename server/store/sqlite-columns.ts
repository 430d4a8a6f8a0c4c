import { FINGERPRINT_BYTES } from "../../core/fingerprint.js";
import type { Database } from "../../core/sqlite.js";
import { type ChangeColumns, readOf } from "./change-columns.js";
import type { ChangesQuery, ChangesRead } from "./change-reads.js";
import { CHANGE_BYTES } from "./page.js";
import { AFTER_ALL_IDS, CHANGE_COLUMNS } from "./sqlite-items.js";

/** What of a read is known of the collection, whatever is read. */
export type ReadState = Pick<ChangesRead, "revision" | "total" | "lineage" | "compactedRevision">;

/** Reads a page as columns; undefined where its changes are not all alike, or it can't be told where it ends. */
export type ColumnsReader = (key: number, query: ChangesQuery, state: ReadState) => ChangesRead | undefined;

/** Most rows that are asked of SQLite at once. */
const MAX_ROWS = 8_192;
/** Where the changes of a page were not alike, those of the next pages will hardly be. */
const PAGES_WITHOUT = 32;
/** Bytes of a row, as long as none was read. */
const FIRST_ROW_BYTES = 256;
/** Few changes are read faster one by one. */
const LEAST_COMMITS = 32;
const LINE_FEED = 10;
const COMMA = 44;
const DIGIT_0 = 48;

type ColumnsRow = readonly [
  count: number,
  alike: 0 | 1 | null,
  maxSize: number,
  isText: 0 | 1,
  ids: Buffer,
  contents: Buffer | null,
  fingerprints: Buffer,
  sizes: Buffer,
  revisions: Buffer,
  times: Buffer,
];

/**
 * Prepares the statement: one row of a few long values instead of many rows of many short ones, as most of what a row costs
 * is to make values for JavaScript.
 */
export function prepareColumns(database: Database): ColumnsReader {
  const column = (value: string, between: string) => `CAST(group_concat(${value}, ${between}) AS BLOB)`;
  const select = database
    .prepare<[number, number, string, number, number], ColumnsRow>(
      `SELECT count(*),
          count(fingerprint) = count(*) AND count(content) = count(*) AND count(content_key) = 0
            AND max(group_revision) = 0 AND min(typeof(content)) = max(typeof(content)),
          max(size), min(typeof(content)) = 'text',
          ${column("id", "char(10)")}, ${column("content", "''")}, ${column("fingerprint", "''")},
          ${column("size", "','")}, ${column("revision", "','")}, ${column("modify_time_us", "','")}
        FROM (SELECT ${CHANGE_COLUMNS}, content FROM items
          WHERE collection = ? AND (revision, id) > (?, ?) AND (+fingerprint IS NOT NULL OR revision > ?)
          ORDER BY revision, id LIMIT ?)`,
    )
    .raw();
  let rowBytes = FIRST_ROW_BYTES;
  let without = 0;
  return (key, query, state) => {
    const { maxBytes, maxChanges, inlineBytes, after, tombstonesAfter } = query;
    if (inlineBytes < 0 || state.revision - after < LEAST_COMMITS) return undefined;
    if (without > 0) {
      without -= 1;
      return undefined;
    }
    // Some more than fit, to see where the page ends.
    const limit = Math.min(Math.ceil((maxBytes / rowBytes) * 1.05) + 2, maxChanges + 1, MAX_ROWS);
    const row = select.get(key, after, AFTER_ALL_IDS, tombstonesAfter, limit) as ColumnsRow;
    const [count, alike, maxSize] = row;
    if (count === 0) return { changes: [], through: state.revision, end: true, ...state };
    const columns = alike === 1 && maxSize <= inlineBytes ? toColumns(row) : undefined;
    if (columns === undefined) {
      without = PAGES_WITHOUT;
      return undefined;
    }
    const { contentEnds, idEnds, revisions } = columns;
    const bytesTo = (end: number) =>
      end === 0 ? 0 : CHANGE_BYTES * end + (idEnds[end - 1] as number) - (end - 1) + (contentEnds[end - 1] as number);
    rowBytes = Math.max(CHANGE_BYTES, bytesTo(count) / count);
    let end = Math.min(count, Math.max(1, maxChanges));
    while (end > 1 && bytesTo(end - 1) >= maxBytes) end -= 1;
    if (end < count) {
      return readOf({ ...columns, count: end }, { through: revisions[end - 1] as number, end: false, ...state });
    }
    return count < limit ? readOf(columns, { through: state.revision, end: true, ...state }) : undefined;
  };
}

/** Undefined where they are not what they should be. */
function toColumns(row: ColumnsRow): ChangeColumns | undefined {
  const [count, , , isText, ids, concatenated, fingerprints, sizes, revisionTexts, times] = row;
  const contents = concatenated ?? Buffer.alloc(0);
  const idEnds = endsOf(ids, count);
  const contentEnds = new Uint32Array(count);
  const revisions = numbersOf(revisionTexts, count);
  let at = 0;
  let before = -1;
  for (const [index, size] of numbersOf(sizes, count).entries()) {
    at += size;
    contentEnds[index] = at;
    if ((revisions[index] as number) <= before) return undefined;
    before = revisions[index] as number;
  }
  if (at !== contents.length || fingerprints.length !== count * FINGERPRINT_BYTES) return undefined;
  const timesUs = numbersOf(times, count);
  return { count, ids, idEnds, contents, contentEnds, isText: isText === 1, fingerprints, revisions, timesUs };
}

/** Where each of the texts between line feeds ends. */
function endsOf(texts: Buffer, count: number): Uint32Array {
  const ends = new Uint32Array(count);
  let found = 0;
  for (let at = 0; at < texts.length; at++) if (texts[at] === LINE_FEED) ends[found++] = at;
  ends[found] = texts.length;
  return ends;
}

/** The numbers between commas; none is negative. */
function numbersOf(texts: Buffer, count: number): Float64Array {
  const numbers = new Float64Array(count);
  let found = 0;
  let value = 0;
  for (let at = 0; at < texts.length; at++) {
    const byte = texts[at] as number;
    if (byte === COMMA) {
      numbers[found++] = value;
      value = 0;
    } else value = value * 10 + (byte - DIGIT_0);
  }
  numbers[found] = value;
  return numbers;
}
