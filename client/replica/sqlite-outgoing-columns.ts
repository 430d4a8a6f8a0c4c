import { FINGERPRINT_BYTES } from "../../core/fingerprint.js";
import type { Database } from "../../core/sqlite.js";
import { CHANGE_BYTES } from "./outgoing.js";
import type { OutgoingColumns } from "./outgoing-columns.js";

/** Contents up to this many bytes are read with their items. */
export const CONTENT_BYTES = 4096;
/** Bytes of a row, as long as none was read. */
const FIRST_ROW_BYTES = 256;
/** Where what was read was not alike, the next will hardly be. */
const QUERIES_WITHOUT = 16;
const COMMA = 44;
const DIGIT_0 = 48;

type ColumnsRow = readonly [
  count: number,
  first: number,
  last: number,
  alike: 0 | 1,
  maxSize: number,
  isText: 0 | 1,
  parts: Buffer,
  fingerprints: Buffer,
  idSizes: Buffer,
  sizes: Buffer,
  times: Buffer,
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
 * Prepares the statement: one row of a few long values instead of many rows of many short ones, as most of what a row costs
 * is to make values for JavaScript. It answers undefined where there are none, or they are not
 * alike.
 */
export function prepareCreations(db: Database): CreationsReader {
  const column = (value: string, between: string) => `CAST(group_concat(${value}, ${between}) AS BLOB)`;
  const select = db
    .prepare<[number, number, number], ColumnsRow>(
      `SELECT count(*), min(creation), max(creation),
        count(part) = count(*) AND min(type) = max(type), max(size), min(type) = 'text',
        ${column("part", "''")}, ${column("fingerprint", "''")},
        ${column("id_size", "','")}, ${column("size", "','")}, ${column("modify_time_us", "','")}
      FROM (SELECT creation, fingerprint, modify_time_us, typeof(content) AS type,
          octet_length(id) AS id_size, octet_length(content) AS size,
          CASE WHEN octet_length(content) <= ${CONTENT_BYTES} THEN id || char(0) || content END AS part
        FROM items WHERE creation > ? AND creation <= ? ORDER BY creation LIMIT ?)`,
    )
    .raw();
  let rowBytes = FIRST_ROW_BYTES;
  let without = 0;

  return ({ after, through, maxBytes, maxChanges }) => {
    if (without > 0) {
      without -= 1;
      return undefined;
    }
    // Some more than fit, to see where it ends.
    const limit = Math.min(Math.ceil((maxBytes / rowBytes) * 1.05) + 2, maxChanges + 1);
    const row = select.get(after, through, limit) as ColumnsRow;
    const [count] = row;
    if (count === 0) return undefined;
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
  const [count, first, last, alike, maxSize, isText, bytes, fingerprints, idSizes, sizes, times] = row;
  if (alike !== 1 || last - first + 1 !== count) return undefined;
  if (fingerprints.length !== count * FINGERPRINT_BYTES) return undefined;
  const idEnds = new Uint32Array(count);
  const ends = new Uint32Array(count);
  const ids = numbersOf(idSizes, count);
  let at = 0;
  for (const [index, size] of numbersOf(sizes, count).entries()) {
    at += ids[index] as number;
    idEnds[index] = at;
    at += 1 + size;
    ends[index] = at;
  }
  if (at !== bytes.length) return undefined;
  const timesUs = numbersOf(times, count);
  return { count, firstSequence: first, bytes, idEnds, ends, maxSize, isText: isText === 1, fingerprints, timesUs };
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
