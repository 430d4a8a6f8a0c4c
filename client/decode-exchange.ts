import { isUtf8 } from "node:buffer";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import type { ItemColumns } from "../core/item-columns.js";
import { setColumns } from "../core/page-columns.js";
import { type Cursor, readVarint } from "../core/read-varint.js";
import { ChangeKind } from "../gen/tercet/v1/item.js";
import { ChangePage, ExchangeResponse } from "../gen/tercet/v1/sync.js";

/** Tag of ExchangeResponse.page. */
const PAGE = 18;
/** Tags of ChangePage.changes, of what is behind them, and of the fields of ChangeInfo (item.proto). */
const CHANGES = 10;
const PAGE_REST = [18, 26, 32, 42];
const ID = 10;
const KIND = 16;
const REVISION = 24;
const MODIFY_TIME = 48;
const DATA = 66;
const TEXT = 74;

const ASCII = 128;

/**
 * A message of an exchange out of its bytes. A page whose changes are items with their contents, as in a first pull, is read
 * into columns (`columnsOf`), and the objects are made only for who looks at them; the generated decoder does everything else,
 * also what is broken.
 *
 * @throws Error where they are no message.
 */
export function decodeExchangeResponse(bytes: Buffer): ExchangeResponse {
  return decodePage(bytes) ?? ExchangeResponse.decode(bytes);
}

function decodePage(bytes: Buffer): ExchangeResponse | undefined {
  if (bytes[0] !== PAGE) return undefined;
  const cursor: Cursor = { bytes, at: 1 };
  const length = readVarint(cursor);
  if (cursor.at < 0 || cursor.at + length !== bytes.length) return undefined;
  const from = cursor.at;
  const columns = readChanges(cursor);
  if (columns === undefined || !isSound(columns)) return undefined;
  const tag = bytes[cursor.at];
  if (tag !== undefined && !PAGE_REST.includes(tag)) return undefined;
  const reader = new BinaryReader(bytes.subarray(cursor.at));
  const { changes: more, ...rest } = ChangePage.decode(reader);
  // More changes behind other fields; or it stopped without a word, as it does at a tag of 0.
  if (more.length > 0 || reader.pos !== reader.len) return undefined;
  let changes: ChangePage["changes"] | undefined;
  const page: ChangePage = {
    get changes() {
      changes ??= ChangePage.decode(bytes.subarray(from)).changes;
      return changes;
    },
    ...rest,
  };
  setColumns(page, columns);
  return { message: { $case: "page", value: page } };
}

/**
 * The changes from where the cursor stands on; undefined where there are none, or one that has anything unusual. In a copy
 * of the message ids are moved to before their contents, and what was between is cleared: to copy each part by itself would
 * be most of the work.
 */
function readChanges(cursor: Cursor): ItemColumns | undefined {
  const { bytes } = cursor;
  const into = Buffer.allocUnsafeSlow(bytes.length + 1);
  bytes.copy(into);
  const starts: number[] = [];
  const idEnds: number[] = [];
  const ends: number[] = [];
  const revisions: number[] = [];
  const timesUs: number[] = [];
  const parts: Parts = { tag: 0, idFrom: 0, idTo: 0, from: 0, to: 0, revision: 0, timeUs: 0 };
  let clear = 0;
  let revision = 0;
  let timeUs = 0;
  let latestUs = 0;
  let largest = 0;
  while (bytes[cursor.at] === CHANGES) {
    cursor.at += 1;
    if (!readChange(cursor, parts)) return undefined;
    const idEnd = parts.from - 1;
    const start = idEnd - (parts.idTo - parts.idFrom);
    while (clear < start) into[clear++] = 0;
    for (let at = parts.idFrom; clear < idEnd; at++) into[clear++] = bytes[at] as number;
    into[idEnd] = 0;
    into[parts.to] = 0;
    clear = parts.to + 1;
    revision = parts.revision === 0 ? revision + 1 : parts.revision;
    timeUs = parts.timeUs === 0 ? timeUs : parts.timeUs;
    if (timeUs > latestUs) latestUs = timeUs;
    if (parts.to - parts.from > largest) largest = parts.to - parts.from;
    starts.push(start);
    idEnds.push(idEnd);
    ends.push(parts.to);
    revisions.push(revision);
    timesUs.push(timeUs);
  }
  const count = starts.length;
  if (count === 0) return undefined;
  const isText = parts.tag === TEXT;
  const places = { bytes: into.subarray(0, clear), starts, idEnds, ends };
  return { count, ...places, isText, largest, revisions, timesUs, latestUs };
}

/** Where the parts of a change lie, and with which tag its content came, as did those before it. */
interface Parts {
  tag: number;
  idFrom: number;
  idTo: number;
  from: number;
  to: number;
  revision: number;
  timeUs: number;
}

/** Reads a change that puts an item, its id before its content, which is of the same kind as those before it; else false. */
function readChange(cursor: Cursor, parts: Parts): boolean {
  const { bytes } = cursor;
  const length = readVarint(cursor);
  const end = cursor.at + length;
  if (cursor.at < 0 || end > bytes.length) return false;
  parts.idTo = 0;
  parts.to = 0;
  parts.revision = 0;
  parts.timeUs = 0;
  let isUpsert = false;
  while (cursor.at < end) {
    const tag = bytes[cursor.at++] as number;
    const value = readVarint(cursor);
    const from = cursor.at;
    if (from < 0) return false;
    if (tag === KIND) isUpsert = value === ChangeKind.CHANGE_KIND_UPSERTED;
    else if (tag === REVISION) parts.revision = value;
    else if (tag === MODIFY_TIME) parts.timeUs = value;
    else {
      cursor.at = from + value;
      if (tag === ID) {
        parts.idFrom = from;
        parts.idTo = cursor.at;
      } else if (tag === TEXT || tag === DATA) {
        if (parts.tag === 0) parts.tag = tag;
        if (tag !== parts.tag) return false;
        parts.from = from;
        parts.to = cursor.at;
      } else return false;
    }
  }
  return cursor.at === end && isUpsert && parts.idTo > parts.idFrom && parts.idTo < parts.from;
}

/** Whether all text is UTF-8. The zero bytes between do not let what one of them lacks come from the next. */
function isSound({ isText, count, bytes, starts, idEnds }: ItemColumns): boolean {
  if (isText) return isUtf8(bytes);
  for (let index = 0; index < count; index++) {
    const from = starts[index] as number;
    const to = idEnds[index] as number;
    for (let at = from; at < to; at++) {
      if ((bytes[at] as number) < ASCII) continue;
      if (!isUtf8(bytes.subarray(from, to))) return false;
      break;
    }
  }
  return true;
}
