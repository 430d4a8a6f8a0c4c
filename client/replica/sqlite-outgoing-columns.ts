import { FINGERPRINT_BYTES } from "../../core/fingerprint.js";
import type { Database } from "../../core/sqlite.js";
import { CHANGE_BYTES } from "./outgoing.js";
import type { OutgoingColumns } from "./outgoing-columns.js";
import { MADE_THROUGH } from "./sqlite-made.js";

/** Contents up to this many bytes are read with their items. */
export const CONTENT_BYTES = 4096;
/** Bytes of a row, as long as none was read. */
const FIRST_ROW_BYTES = 256;
/** Where what was read was not alike, the next will hardly be. */
const QUERIES_WITHOUT = 16;
/** Sizes of an id and its content are read as one number. */
const SIZES_STEP = 2 ** 32;
const COMMA = 44;
const DIGIT_0 = 48;

type ColumnsRow = readonly [
  count: number,
  first: number,
  last: number,
  texts: number,
  blobs: number,
  maxSize: number,
  parts: Buffer,
  fingerprints: Buffer,
  sizes: Buffer,
  /** Of each, or the one of all. */
  times: Buffer | number,
  /** Whether they are where their sequence numbers say, and have one time. */
  isRun: 0 | 1,
];

/** What may be read of the creations without a row of their own. */
export interface ColumnsQuery {
  readonly after: number;
  readonly through: number;
  readonly maxBytes: number;
  readonly maxChanges: number;
}

/** Reads creations as columns. `whole`: there are no more up to `through`. */
export type CreationsReader = (
  query: ColumnsQuery,
) => { readonly columns: OutgoingColumns; readonly whole: boolean } | undefined;

/**
 * Prepares the statements: one row of a few long values instead of many rows of many short ones, as most of what a row costs
 * is to make values for JavaScript. It answers undefined where there are none, or they are not
 * alike.
 */
export function prepareCreations(db: Database): CreationsReader {
  const column = (value: string, between: string) => `CAST(group_concat(${value}, ${between}) AS BLOB)`;
  const columns = (times: string, isRun: string) =>
    `count(*), min(creation), max(creation), sum(typeof(content) = 'text'), sum(typeof(content) = 'blob'),
      max(octet_length(content)),
      ${column(`CASE WHEN octet_length(content) <= ${CONTENT_BYTES} THEN id || char(0) || content END`, "''")},
      ${column("fingerprint", "''")}, ${column(`octet_length(id) * ${SIZES_STEP} + octet_length(content)`, "','")},
      ${times}, ${isRun}`;
  const select = db
    .prepare<[number, number, number], ColumnsRow>(
      `SELECT ${columns(column("modify_time_us", "','"), "0")}
      FROM (SELECT creation, id, fingerprint, modify_time_us, content
        FROM items WHERE creation > max(?, ${MADE_THROUGH}) AND creation <= ? ORDER BY creation LIMIT ?)`,
    )
    .raw();
  // New items of an import lie one behind the other: to read them there takes two thirds of the time.
  const findFirst = db
    .prepare<[number, number], [row: number, sequence: number]>(
      `SELECT rowid, creation FROM items WHERE creation > max(?, ${MADE_THROUGH}) AND creation <= ?
      ORDER BY creation LIMIT 1`,
    )
    .raw();
  const selectRun = db
    .prepare<[number, number, number], ColumnsRow>(
      `SELECT ${columns(
        "min(modify_time_us)",
        `min(modify_time_us) = max(modify_time_us) AND sum(creation = rowid + ?) = count(*)`,
      )}
      FROM items WHERE rowid BETWEEN ? AND ?`,
    )
    .raw();
  let rowBytes = FIRST_ROW_BYTES;
  let without = 0;

  function read(after: number, through: number, limit: number): ColumnsRow | undefined {
    const first = findFirst.get(after, through);
    if (first === undefined) return undefined;
    const [row, sequence] = first;
    const rows = Math.min(limit, through - sequence + 1);
    const run = selectRun.get(sequence - row, row, row + rows - 1) as ColumnsRow;
    return run[0] === rows && run.at(-1) === 1 ? run : select.get(after, through, limit);
  }

  return ({ after, through, maxBytes, maxChanges }) => {
    if (without > 0) {
      without -= 1;
      return undefined;
    }
    // Some more than fit, to see where it ends.
    const limit = Math.min(Math.ceil((maxBytes / rowBytes) * 1.05) + 2, maxChanges + 1);
    const row = read(after, through, limit);
    if (row === undefined) return undefined;
    const [count] = row;
    const columns = toColumns(row);
    if (columns === undefined) {
      without = QUERIES_WITHOUT;
      return undefined;
    }
    // The byte between id and content is none of theirs.
    const bytesTo = (end: number) => (end === 0 ? 0 : (columns.ends[end - 1] as number) + end * (CHANGE_BYTES - 1));
    rowBytes = bytesTo(count) / count;
    let end = Math.min(count, maxChanges);
    while (end > 1 && bytesTo(end) > maxBytes) end -= 1;
    // It may be that more would fit: only where all were read, or one that does not fit, is it known where it ends.
    if (end === count && count === limit) return undefined;
    return { columns: { ...columns, count: end }, whole: end === count };
  };
}

/** Undefined where they are not what they should be. */
function toColumns(row: ColumnsRow): OutgoingColumns | undefined {
  const [count, first, last, texts, blobs, maxSize, bytes, fingerprints, sizes, times] = row;
  if (texts !== count && blobs !== count) return undefined;
  if (maxSize > CONTENT_BYTES || last - first + 1 !== count) return undefined;
  if (fingerprints.length !== count * FINGERPRINT_BYTES) return undefined;
  const idEnds = new Uint32Array(count);
  const ends = new Uint32Array(count);
  let at = 0;
  for (const [index, both] of numbersOf(sizes, count).entries()) {
    const size = both % SIZES_STEP;
    at += (both - size) / SIZES_STEP;
    idEnds[index] = at;
    at += 1 + size;
    ends[index] = at;
  }
  if (at !== bytes.length) return undefined;
  const timesUs = typeof times === "number" ? new Float64Array(count).fill(times) : numbersOf(times, count);
  return { count, firstSequence: first, bytes, idEnds, ends, maxSize, isText: texts === count, fingerprints, timesUs };
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
