import { FINGERPRINT_BYTES, toFingerprint } from "../../core/fingerprint.js";
import { type Cursor, readVarint } from "../../core/read-varint.js";
import { type ChangeKind, ChangeStandard } from "../../gen/tercet/v1/item.js";
import type { ExchangeRequest, Push, PushBatch } from "../../gen/tercet/v1/sync.js";
import { batchOfColumns, NO_UPLOAD } from "../protocol/push-columns.js";
import { decodeCreations } from "./decode-creations.js";
import { decodeUtf8 } from "./decode-utf8.js";

/** Tag of ExchangeRequest.push. */
const PUSH = 18;
/** Tags of PushBatch.pushes, of what is behind them, and of the fields of Push (sync.proto). */
const PUSHES = 10;
const BATCH_FINGERPRINT = 18;
const BATCH_SEEN = 24;
const ID = 10;
const KIND = 16;
const DATA = 26;
const TEXT = 34;
const FINGERPRINT = 42;
const SEEN = 56;
const MODIFY_TIME = 72;

const MOST_KIND = 127;

/** How the Fingerprint of an item begins: its algorithm, and the length of what follows. */
const SHA256 = [0x08, 0x01, 0x12, FINGERPRINT_BYTES] as const;

function isSha256(bytes: Buffer, from: number, to: number): boolean {
  return to - from === SHA256.length + FINGERPRINT_BYTES && SHA256.every((byte, at) => bytes[from + at] === byte);
}

/**
 * Decodes the pushes of a batch, several times faster than the generated code, where they have what nearly all have: id,
 * kind, content, fingerprint, the revision seen and a modify time; faster still where all are creations (decode-creations.ts). Answers
 * undefined for any other message, also a broken one: it is for the generated decoder. `decodeRest` decodes what is behind
 * the pushes.
 */
export function decodePush(
  bytes: Buffer,
  decodeRest: (bytes: Buffer) => PushBatch | undefined,
): ExchangeRequest | undefined {
  if (bytes[0] !== PUSH) return undefined;
  const cursor: Cursor = { bytes, at: 1 };
  const length = readVarint(cursor);
  if (cursor.at < 0 || cursor.at + length !== bytes.length) return undefined;
  const creations = decodeCreations(bytes, cursor.at);
  if (creations !== undefined) cursor.at = creations.end;
  const pushes: Push[] = [];
  while (cursor.at < bytes.length && bytes[cursor.at] === PUSHES) {
    cursor.at += 1;
    const push = onePush(cursor);
    if (push === undefined) return undefined;
    pushes.push(push);
  }
  const tag = bytes[cursor.at];
  if (cursor.at < bytes.length && tag !== BATCH_FINGERPRINT && tag !== BATCH_SEEN) return undefined;
  const rest = decodeRest(bytes.subarray(cursor.at));
  // More pushes behind other fields.
  if (rest === undefined || rest.pushes.length > 0) return undefined;
  const value = creations === undefined ? { ...rest, pushes } : batchOfColumns(creations.columns, rest);
  return { message: { $case: "push", value } };
}

function onePush(cursor: Cursor): Push | undefined {
  const { bytes } = cursor;
  const length = readVarint(cursor);
  const end = cursor.at + length;
  if (cursor.at < 0 || end > bytes.length) return undefined;
  const push: Push = {
    id: "",
    kind: 0,
    content: undefined,
    fingerprint: undefined,
    expected: undefined,
    revisionSeen: undefined,
    overrides: ChangeStandard.CHANGE_STANDARD_UNSPECIFIED,
    modifyTimeUs: 0,
    group: 0,
    uploadId: NO_UPLOAD,
    fence: false,
  };
  while (cursor.at < end) {
    const tag = bytes[cursor.at++];
    const value = readVarint(cursor);
    if (cursor.at < 0) return undefined;
    // The generated decoder takes the low 32 bits.
    if (tag === KIND && value > MOST_KIND) return undefined;
    if (tag === KIND) push.kind = value as ChangeKind;
    else if (tag === SEEN) push.revisionSeen = value;
    else if (tag === MODIFY_TIME) push.modifyTimeUs = value;
    else {
      const from = cursor.at;
      cursor.at = from + value;
      if (cursor.at > end) return undefined;
      if (tag === ID) push.id = decodeUtf8(bytes, from, cursor.at);
      else if (tag === TEXT) push.content = { $case: "text", value: decodeUtf8(bytes, from, cursor.at) };
      else if (tag === DATA) push.content = { $case: "data", value: Buffer.from(bytes.subarray(from, cursor.at)) };
      else if (tag === FINGERPRINT && push.fingerprint === undefined && isSha256(bytes, from, cursor.at))
        push.fingerprint = toFingerprint(Buffer.from(bytes.subarray(from + SHA256.length, cursor.at)));
      else return undefined;
    }
  }
  return cursor.at === end ? push : undefined;
}
