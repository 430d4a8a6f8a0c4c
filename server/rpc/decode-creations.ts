import { isUtf8 } from "node:buffer";
import { fingerprintsOf } from "../../core/fingerprint.js";
import { MAX_ID_BYTES } from "../../core/id.js";
import { type Cursor, readVarint } from "../../core/read-varint.js";
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
/** Fewer pushes are faster one by one. */
const LEAST_PUSHES = 8;
/** What is between items. */
const BLANK = 0x20;

/** Where the reading of a message stands. */
interface Reader extends Cursor {
  /** In the message: where each id begins, its bytes, and where each content begins and ends. */
  readonly ids: number[];
  readonly idBytes: number[];
  readonly contents: number[];
  readonly ends: number[];
  readonly timesUs: number[];
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
  const reader: Reader = {
    bytes,
    ids: [],
    idBytes: [],
    contents: [],
    ends: [],
    timesUs: [],
    at: from,
    type: 0,
    mostBytes: 0,
    isAscending: true,
  };
  while (reader.at < bytes.length && bytes[reader.at] === PUSHES) {
    reader.at += 1;
    if (!readPush(reader)) return undefined;
  }
  const { timesUs, at: end } = reader;
  if (timesUs.length < LEAST_PUSHES) return undefined;
  const items = gather(reader, from);
  // Ids and what is between items are ASCII: where the whole is UTF-8, each content is.
  if (items.isText && !isUtf8(items.bytes)) return undefined;
  // As soon as they are here, which may be while an earlier batch is on its way to the disk.
  const fingerprints = fingerprintsOf(items.bytes, items.starts, items.ends);
  return { columns: { items, fingerprints, timesUs: Float64Array.from(timesUs) }, end };
}

/**
 * The items, in a copy of the message: to copy it as a whole, and to bring each id up to its content, is several times faster
 * than to copy each content.
 */
function gather(reader: Reader, from: number): PushColumns["items"] {
  const { ids, idBytes, contents, ends, type, mostBytes, isAscending } = reader;
  const count = ids.length;
  const bytes = Buffer.from(reader.bytes.subarray(from, ends[count - 1]));
  const starts = new Uint32Array(count);
  const itemEnds = new Uint32Array(count);
  let itemBytes = 0;
  let before = 0;
  for (let index = 0; index < count; index++) {
    // Tag, kind and length of the content are between the two, which are more bytes than the one that is needed.
    const id = (ids[index] as number) - from;
    const zero = (contents[index] as number) - from - 1;
    const length = idBytes[index] as number;
    const start = zero - length;
    bytes[zero] = 0;
    for (let at = length - 1; at >= 0; at--) bytes[start + at] = bytes[id + at] as number;
    for (let at = before; at < start; at++) bytes[at] = BLANK;
    before = (ends[index] as number) - from;
    starts[index] = start;
    itemEnds[index] = before;
    itemBytes += before - start;
  }
  const places = { starts, ends: itemEnds, idBytes: Uint16Array.from(idBytes) };
  return { count, bytes, ...places, itemBytes, mostBytes, isText: type === TEXT, isAscending };
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
  reader.contents.push(reader.at);
  reader.at += size;
  reader.ends.push(reader.at);
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

/** Notes the id that comes next, and whether it is greater than the one before. */
function readId(reader: Reader): boolean {
  const { bytes, ids, idBytes } = reader;
  const length = varint(reader);
  const from = reader.at;
  const end = from + length;
  if (length === 0 || length > MAX_ID_BYTES || end > bytes.length) return false;
  for (let at = from; at < end; at++) {
    const byte = bytes[at] as number;
    if (byte < FIRST_PRINTABLE || byte > LAST_PRINTABLE) return false;
  }
  const last = ids.length - 1;
  if (reader.isAscending && last >= 0) {
    const before = ids[last] as number;
    reader.isAscending = isGreater(bytes, from, end, before, before + (idBytes[last] as number));
  }
  ids.push(from);
  idBytes.push(length);
  reader.at = end;
  return true;
}

/** Whether the id from `from` to before `end` is greater than the one that is from `before` to before `beforeEnd`. */
function isGreater(bytes: Buffer, from: number, end: number, before: number, beforeEnd: number): boolean {
  const shared = Math.min(end - from, beforeEnd - before);
  for (let at = 0; at < shared; at++) {
    const byte = bytes[from + at] as number;
    const other = bytes[before + at] as number;
    if (byte !== other) return byte > other;
  }
  return end - from > beforeEnd - before;
}

/** Infinity where it is none, or one that may not be exact. */
function varint(reader: Reader): number {
  const value = readVarint(reader);
  return reader.at < 0 ? Number.POSITIVE_INFINITY : value;
}
