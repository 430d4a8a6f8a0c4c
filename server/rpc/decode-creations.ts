import { isUtf8 } from "node:buffer";
import { MAX_ID_BYTES } from "../../core/id.js";
import { ChangeKind } from "../../gen/tercet/v1/item.js";
import type { PushColumns } from "../protocol/push-columns.js";
import { COLUMN_CONTENT_BYTES } from "../store/creations.js";

/** Tags of PushBatch.pushes and of the fields of Push (sync.proto). */
const PUSHES = 10;
const ID = 10;
const KIND = 16;
const DATA = 26;
const TEXT = 34;
const MODIFY_TIME = 72;

const FIRST_PRINTABLE = 0x20;
const LAST_PRINTABLE = 0x7e;
/** Longer varints are not read here: they may not be exact in a number. */
const MOST_VARINT_BYTES = 8;
/** Fewer pushes are faster one by one. */
const LEAST_PUSHES = 8;

/** Where the reading of a message stands. */
interface Reader {
  readonly bytes: Buffer;
  readonly out: Buffer;
  readonly starts: number[];
  readonly idBytes: number[];
  readonly timesUs: number[];
  at: number;
  put: number;
  /** TEXT or DATA, once the first content came. */
  type: number;
  mostBytes: number;
  isAscending: boolean;
}

/**
 * Decodes the pushes of a batch from a place in its message on, up to what is no push, as columns: where each is an upsert of
 * a small content with an id of printable ASCII, written in the order of its fields as every encoder does it, that says no
 * more but, maybe, when it was. Answers undefined where they are not like that, or few: they are for `decodePush`.
 */
export function decodeCreations(
  bytes: Buffer,
  from: number,
): { readonly columns: PushColumns; readonly end: number } | undefined {
  const out = Buffer.allocUnsafe(bytes.length);
  const reader: Reader = {
    bytes,
    out,
    starts: [],
    idBytes: [],
    timesUs: [],
    at: from,
    put: 0,
    type: 0,
    mostBytes: 0,
    isAscending: true,
  };
  while (reader.at < bytes.length && bytes[reader.at] === PUSHES) {
    reader.at += 1;
    if (!readPush(reader)) return undefined;
  }
  const { starts, idBytes, timesUs, put, type, mostBytes, isAscending, at: end } = reader;
  const count = starts.length;
  if (count < LEAST_PUSHES) return undefined;
  const used = out.subarray(0, put);
  const isText = type === TEXT;
  // Ids and what is between them are ASCII: where the whole is UTF-8, each content is.
  if (isText && !isUtf8(used)) return undefined;
  starts.push(put);
  const items = {
    count,
    bytes: used,
    starts: Uint32Array.from(starts),
    idBytes: Uint16Array.from(idBytes),
    mostBytes,
    isText,
    isAscending,
  };
  return { columns: { items, timesUs: Float64Array.from(timesUs) }, end };
}

/** False where it is not as it must be. */
function readPush(reader: Reader): boolean {
  const { bytes } = reader;
  const length = varint(reader);
  const end = reader.at + length;
  if (end > bytes.length || bytes[reader.at++] !== ID || !readId(reader)) return false;
  if (bytes[reader.at++] !== KIND || bytes[reader.at++] !== ChangeKind.CHANGE_KIND_UPSERTED) return false;
  const type = bytes[reader.at++] as number;
  if (reader.type === 0) reader.type = type;
  if (type !== reader.type || (type !== TEXT && type !== DATA)) return false;
  const size = varint(reader);
  if (size > COLUMN_CONTENT_BYTES || reader.at + size > end) return false;
  bytes.copy(reader.out, reader.put, reader.at, reader.at + size);
  reader.put += size;
  reader.at += size;
  if (size > reader.mostBytes) reader.mostBytes = size;
  if (reader.at === end) {
    reader.timesUs.push(0);
    return true;
  }
  if (bytes[reader.at++] !== MODIFY_TIME) return false;
  const timeUs = varint(reader);
  reader.timesUs.push(timeUs);
  return reader.at === end && timeUs !== Number.POSITIVE_INFINITY;
}

/** Copies the id that comes next, with the zero byte behind it, and notes whether it is greater than the one before. */
function readId(reader: Reader): boolean {
  const { bytes, out, starts, idBytes } = reader;
  const length = varint(reader);
  const from = reader.at;
  if (length === 0 || length > MAX_ID_BYTES || from + length > bytes.length) return false;
  const start = reader.put;
  for (let index = 0; index < length; index++) {
    const byte = bytes[from + index] as number;
    if (byte < FIRST_PRINTABLE || byte > LAST_PRINTABLE) return false;
    out[start + index] = byte;
  }
  out[start + length] = 0;
  if (reader.isAscending && starts.length > 0) reader.isAscending = isGreater(out, start, starts.at(-1) as number);
  starts.push(start);
  idBytes.push(length);
  reader.put = start + length + 1;
  reader.at = from + length;
  return true;
}

/** Whether the id that begins at `start` is greater than the one at `before`; each ends with a zero byte. */
function isGreater(bytes: Buffer, start: number, before: number): boolean {
  for (let at = 0; ; at++) {
    const byte = bytes[start + at] as number;
    const other = bytes[before + at] as number;
    if (byte !== other) return byte > other;
    if (byte === 0) return false;
  }
}

/** Infinity where it is none, or one that may not be exact. */
function varint(reader: Reader): number {
  const { bytes } = reader;
  let value = 0;
  let scale = 1;
  for (let read = 0; read < MOST_VARINT_BYTES; read++) {
    const byte = bytes[reader.at++];
    if (byte === undefined) break;
    value += (byte & 127) * scale;
    if (byte < 128) return value <= Number.MAX_SAFE_INTEGER ? value : Number.POSITIVE_INFINITY;
    scale *= 128;
  }
  return Number.POSITIVE_INFINITY;
}
