import { FINGERPRINT_BYTES } from "../../core/fingerprint.js";
import { createRangeSum, toRangeFingerprint, totalOf } from "../../core/range-sum.js";
import { ChangeKind } from "../../gen/tercet/v1/item.js";
import { PushBatch } from "../../gen/tercet/v1/sync.js";
import { type CreationRun, changesOf, type OutgoingColumns, startOf } from "../replica/outgoing-columns.js";
import { runBytes, toPushBatch } from "./send-content.js";

/** Tags of ExchangeRequest.push, PushBatch.pushes and of the fields of Push (sync.proto). */
const PUSH = 18;
const PUSHES = 10;
const ID = 10;
const KIND = 16;
const DATA = 26;
const TEXT = 34;
const MODIFY_TIME = 72;
/** Most bytes of all that is not id and content: tags, lengths, kind, a number of 64 bits. */
const MOST_BESIDE = 32;

/** Most bytes before the pushes in a request: its tag, and the length of the batch. */
const HEAD_BYTES = 6;

/** Batches that were made of columns. Each is encoded when it is sent: there are many in the window. */
const runByBatch = new WeakMap<PushBatch, CreationRun>();

/** Cuts creations where a message would exceed `bytes`. */
export function cutRun(columns: OutgoingColumns, bytes: number): readonly CreationRun[] {
  const cuts: CreationRun[] = [];
  let from = 0;
  for (let to = 1; to <= columns.count; to++) {
    if (to < columns.count && runBytes({ columns, from, to: to + 1 }) <= bytes) continue;
    cuts.push({ columns, from, to });
    from = to;
  }
  return cuts;
}

/**
 * Creations as a batch to push, as `toPushBatch` makes it; its pushes are made only for who looks at them. Their contents are
 * not held against their fingerprints: the server does that, and where one was damaged in the replica, it rejects all of
 * them by the batch's fingerprint. Then they are sent again as `toPushBatch` makes it (settle-verdicts.ts).
 */
export function toColumnsBatch(run: CreationRun, seen: number | undefined): PushBatch {
  const { columns, from, to } = run;
  const sum = createRangeSum();
  sum.addAll(columns.fingerprints.subarray(from * FINGERPRINT_BYTES, to * FINGERPRINT_BYTES));
  let pushes: PushBatch["pushes"] | undefined;
  const batch: PushBatch = {
    get pushes() {
      pushes ??= toPushBatch(changesOf(run), seen, 0).pushes;
      return pushes;
    },
    fingerprint: toRangeFingerprint(totalOf(sum)),
    revisionSeen: seen,
  };
  runByBatch.set(batch, run);
  return batch;
}

/** A batch that was made of columns as an encoded ExchangeRequest, without its pushes being made one by one. */
export function encodedRequest(batch: PushBatch): Buffer | undefined {
  const run = runByBatch.get(batch);
  if (run === undefined) return undefined;
  const { columns, from, to } = run;
  const { fingerprint, revisionSeen } = batch;
  const rest = PushBatch.encode({ pushes: [], fingerprint, revisionSeen }).finish();
  const most = startOf(columns, to) - startOf(columns, from) + (to - from) * MOST_BESIDE;
  const out = Buffer.allocUnsafe(HEAD_BYTES + most + rest.length);
  const end = putPushes(out, HEAD_BYTES, run);
  out.set(rest, end);
  const size = end + rest.length - HEAD_BYTES;
  const begin = HEAD_BYTES - 1 - varintBytes(size);
  out[begin] = PUSH;
  putVarint(out, begin + 1, size);
  return out.subarray(begin, end + rest.length);
}

/** Puts PushBatch.pushes of these; answers where they end. */
function putPushes(out: Buffer, offset: number, { columns, from, to }: CreationRun): number {
  const { bytes, idEnds, ends, isText, timesUs } = columns;
  const begin = startOf(columns, from);
  let at = offset;
  let start = begin;
  let timeUs = 0;
  for (let index = from; index < to; index++) {
    const idEnd = idEnds[index] as number;
    const end = ends[index] as number;
    const ownTimeUs = timesUs[index] as number;
    const told = ownTimeUs === timeUs ? 0 : ownTimeUs;
    timeUs = ownTimeUs;
    const time = told === 0 ? 0 : 1 + varintBytes(told);
    out[at++] = PUSHES;
    at = putVarint(out, at, field(idEnd - start) + 2 + field(end - idEnd - 1) + time);
    out[at++] = ID;
    at = putVarint(out, at, idEnd - start);
    for (let byte = start; byte < idEnd; byte++) out[at++] = bytes[byte] as number;
    out[at++] = KIND;
    out[at++] = ChangeKind.CHANGE_KIND_UPSERTED;
    out[at++] = isText ? TEXT : DATA;
    at = putVarint(out, at, end - idEnd - 1);
    at += bytes.copy(out, at, idEnd + 1, end);
    if (told !== 0) {
      out[at++] = MODIFY_TIME;
      at = putVarint(out, at, told);
    }
    start = end;
  }
  return at;
}

/** Bytes of a field of so many bytes, with its tag and length. */
function field(bytes: number): number {
  return 1 + varintBytes(bytes) + bytes;
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let left = value; left >= 128; left = Math.floor(left / 128)) bytes += 1;
  return bytes;
}

/** Answers where it ends. */
function putVarint(out: Buffer, from: number, value: number): number {
  let at = from;
  let left = value;
  while (left >= 128) {
    out[at++] = (left % 128) + 128;
    left = Math.floor(left / 128);
  }
  out[at++] = left;
  return at;
}
