import { PAGE_BYTES, type Pages } from "./sqlite-rebuild-pages.js";

/*
 * Rows in the pages of a damaged replica (https://www.sqlite.org/fileformat2.html): a cell has the size of its record, the
 * key where it is one of a table, and the record: the types of the columns, and their values behind them. What does not fit
 * into the page goes on in a chain of pages.
 */

/** Bytes of the number of the next page, with which a page of a chain begins. */
const LINK_BYTES = 4;
/** Most bytes of a record within its page: of a table's leaf, and of an index. At least so many, where it is more. */
const MOST_IN_TABLE = PAGE_BYTES - 35;
const MOST_IN_INDEX = Math.floor(((PAGE_BYTES - 12) * 64) / 255) - 23;
const LEAST = Math.floor(((PAGE_BYTES - 12) * 32) / 255) - 23;
/** Sizes of values by their types, up to 9; 8 and 9 are the numbers 0 and 1. */
const SIZES = [0, 1, 2, 3, 4, 6, 8, 8, 0, 0];
const REAL = 7;
const FIRST_BLOB = 12;

/** A row that has the form of one; whether its values are what they were is for others to say. */
export interface Row {
  /** 0 in an index. */
  readonly key: number;
  /** The value of a column, read anew; undefined where its pages can't be read. The column that is the key is null. */
  value(column: number): unknown;
}

/** How the records of a tree are stored. */
export interface RecordForm {
  readonly columns: number;
  /** Columns of the first schema version: a row that was not written since has no more. */
  readonly leastColumns: number;
  readonly isIndex: boolean;
}

/** The row of a cell; undefined where it does not have the form of one. */
export function rowAt(pages: Pages, bytes: Buffer, at: number, form: RecordForm): Row | undefined {
  const place = { at };
  const size = takeNumber(bytes, place);
  const key = form.isIndex ? 0 : takeNumber(bytes, place);
  if (!(size > 0) || size > pages.bytes || !Number.isSafeInteger(key)) return undefined;
  const local = localBytes(size, form.isIndex);
  const start = place.at;
  const end = start + local;
  if (end + (local < size ? LINK_BYTES : 0) > PAGE_BYTES) return undefined;
  const types = takeTypes(bytes, place, end);
  if (types === undefined || types.length < form.leastColumns || types.length > form.columns) return undefined;
  let next = place.at - start;
  const starts = types.map((type) => {
    next += sizeOf(type);
    return next - sizeOf(type);
  });
  if (next !== size) return undefined;

  function read(from: number, length: number): Buffer | undefined {
    const inPage = bytes.subarray(start + Math.min(from, local), start + Math.min(from + length, local));
    if (inPage.length === length) return inPage;
    const rest = length - inPage.length;
    const beyond = readChain(pages, bytes.readUInt32BE(end), from + inPage.length - local, rest);
    return beyond && Buffer.concat([inPage, beyond]);
  }

  return {
    key,
    value(column) {
      const type = types[column] ?? 0;
      const found = read(starts[column] ?? 0, sizeOf(type));
      return found === undefined ? undefined : toValue(type, found);
    },
  };
}

/** The types of a record's columns, which stand before its values; undefined where they can't be types. */
function takeTypes(bytes: Buffer, place: { at: number }, end: number): number[] | undefined {
  const start = place.at;
  const through = start + takeNumber(bytes, place);
  // Also where it is no number.
  if (!(through <= end)) return undefined;
  const types: number[] = [];
  while (place.at < through) {
    const type = takeNumber(bytes, place);
    if (Number.isNaN(sizeOf(type))) return undefined;
    types.push(type);
  }
  return place.at === through ? types : undefined;
}

/** How much of a record is within its page. */
function localBytes(size: number, isIndex: boolean): number {
  const most = isIndex ? MOST_IN_INDEX : MOST_IN_TABLE;
  if (size <= most) return size;
  const fitting = LEAST + ((size - LEAST) % (PAGE_BYTES - LINK_BYTES));
  return fitting <= most ? fitting : LEAST;
}

/** Reads what goes on in a chain of pages. */
function readChain(pages: Pages, first: number, from: number, length: number): Buffer | undefined {
  const each = PAGE_BYTES - LINK_BYTES;
  const parts: Buffer[] = [];
  let number = first;
  for (let at = 0; at < from + length; at += each) {
    const page = pages.page(number);
    if (page === undefined) return undefined;
    if (at + each > from) {
      const begin = Math.max(0, from - at);
      parts.push(page.subarray(LINK_BYTES + begin, LINK_BYTES + Math.min(each, from + length - at)));
    }
    number = page.readUInt32BE(0);
  }
  return Buffer.concat(parts);
}

/** A number of one to nine bytes; the place moves behind it. NaN where the bytes end. */
export function takeNumber(bytes: Buffer, place: { at: number }): number {
  let value = 0;
  for (let count = 1; count <= 9; count += 1) {
    const byte = bytes[place.at];
    if (byte === undefined) return Number.NaN;
    place.at += 1;
    if (count === 9) return value * 256 + byte;
    value = value * 128 + (byte & 127);
    if (byte < 128) break;
  }
  return value;
}

function sizeOf(type: number): number {
  return type >= FIRST_BLOB ? Math.floor((type - FIRST_BLOB) / 2) : (SIZES[type] ?? Number.NaN);
}

function toValue(type: number, bytes: Buffer): unknown {
  // Not the bytes themselves, which would keep their page.
  if (type >= FIRST_BLOB) return type % 2 === 0 ? Buffer.from(bytes) : bytes.toString();
  if (type === 0) return null;
  if (type === REAL) return bytes.readDoubleBE(0);
  if (bytes.length === 0) return type === 8 ? 0 : 1;
  return bytes.length === 8 ? Number(bytes.readBigInt64BE(0)) : bytes.readIntBE(0, bytes.length);
}
