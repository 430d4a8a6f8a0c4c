import { compareIds } from "../../core/id.js";
import { createRangeSum, totalOf } from "../../core/range-sum.js";
import type { RecordedConflict } from "../../core/recorded-conflict.js";
import type { CollectionState, EpochState } from "./collection-state.js";
import type { StoredChange } from "./item-reads.js";
import { type MemoryUpload, passUploaded, uploadFor, uploadKey } from "./memory-uploads.js";
import { type PlannedChange, planBatch } from "./plan-batch.js";
import type { RememberedRequest } from "./requests.js";
import { MAX_REQUESTS, REQUEST_RETENTION_US, REQUESTS_PRUNED_AT_ONCE } from "./requests.js";
import { markTime, type TimeMark } from "./time-marks.js";
import type { BatchWritten, Write, WriteBatch } from "./write-batch.js";

/** A collection. Changes, conflicts and epochs in it are never altered, only replaced, so that copies may share them. */
export interface MemoryCollection {
  state: CollectionState;
  /** Latest change of every id, tombstones included, with content. */
  readonly items: Map<string, StoredChange>;
  /** The same in order of revision and id, among entries that have been overtaken since. */
  feed: StoredChange[];
  /** Ids in byte order; undefined until somebody needs them. */
  sortedIds: string[] | undefined;
  /** In the order of their numbers. */
  readonly conflicts: RecordedConflict[];
  lastConflict: number;
  /** Of each minute in which something was committed, the last revision; in order, never altered. */
  marks: readonly TimeMark[];
}

/** Everything that the store keeps. */
export interface MemoryData {
  /** By name. */
  readonly collections: Map<string, MemoryCollection>;
  /** Uids in hex. */
  readonly deleted: Set<string>;
  /** Oldest first. */
  readonly requests: Map<string, MemoryRequest>;
  /** By `uploadKey`. */
  readonly uploads: Map<string, MemoryUpload>;
  /** Of the last upload that was begun. */
  serial: number;
}

/** A remembered request. */
export interface MemoryRequest extends RememberedRequest {
  readonly timeUs: number;
}

/** What has to be done, last first, to take a failed transaction back. */
type Undo = (() => void)[];

/** The change as it is read with contents of up to so many bytes; one that was uploaded is not in it. */
export function withContent(change: StoredChange, inlineBytes: number): StoredChange {
  return change.content === undefined || change.size <= inlineBytes ? change : { ...change, content: undefined };
}

/** Store.write: all batches, or none where one of them throws. */
export function writeBatches(
  data: MemoryData,
  batches: readonly WriteBatch[],
  epoch: Uint8Array,
  find: (uid: Uint8Array) => MemoryCollection | undefined,
): readonly (BatchWritten | undefined)[] {
  const undo: Undo = [];
  try {
    return batches.map((batch) => {
      const collection = find(batch.uid);
      if (collection === undefined) return undefined;
      const written = writeBatch(data, collection, batch, epoch, undo);
      remember(data, batch, written, undo);
      return written;
    });
  } catch (error) {
    for (const step of undo.reverse()) step();
    throw error;
  }
}

function writeBatch(
  data: MemoryData,
  collection: MemoryCollection,
  batch: WriteBatch,
  epoch: Uint8Array,
  undo: Undo,
): BatchWritten {
  const { state } = collection;
  const held = batch.writes.map((write) => collection.items.get(write.id));
  const describe = (index: number) => withContent(held[index] as StoredChange, -1);
  const hasUpload = (index: number) => uploadFor(data, batch.uid, batch.writes[index] as Write) !== undefined;
  const plan = planBatch(batch.writes, held, state, describe, hasUpload);
  const { outcomes, revision } = plan;
  const revisionBefore = state.revision;
  if (plan.changes.length === 0) return { outcomes, revisionBefore, revision, lineage: state.lineage };

  undo.push(takeBack(collection, plan.changes));
  const sum = createRangeSum(state.total.count, state.total.sum);
  const changed: StoredChange[] = [];
  for (const planned of plan.changes) {
    const { id, upsert } = planned.write;
    const old = collection.items.get(id);
    if (old?.fingerprint !== undefined) sum.subtract(old.fingerprint);
    if (upsert !== undefined) sum.add(upsert.fingerprint);
    if (planned.record && old !== undefined) keepConflict(collection, old, planned, batch.nowUs);
    const change = changeOf(planned);
    takeUpload(data, batch.uid, planned.write, change, undo);
    collection.items.set(id, change);
    changed.push(change);
  }
  extendFeed(collection, changed);
  collection.sortedIds = undefined;
  collection.marks = markTime(collection.marks, revision, batch.nowUs);
  const conflicts = collection.conflicts.length;
  const lineage = extendLineage(state, epoch);
  collection.state = { ...state, revision, total: totalOf(sum), conflicts, lineage };
  return { outcomes, revisionBefore, revision, lineage };
}

/** How to bring a collection back to what it is now, before these changes. */
function takeBack(collection: MemoryCollection, changes: readonly PlannedChange[]): () => void {
  const { state, feed, sortedIds, lastConflict, marks } = collection;
  const feedLength = feed.length;
  const conflictsLength = collection.conflicts.length;
  const before = changes.map(({ write }) => [write.id, collection.items.get(write.id)] as const);
  return () => {
    feed.length = feedLength;
    collection.conflicts.length = conflictsLength;
    Object.assign(collection, { state, feed, sortedIds, lastConflict, marks });
    for (const [id, change] of before) {
      if (change === undefined) collection.items.delete(id);
      else collection.items.set(id, change);
    }
  };
}

/** Moves what was uploaded for a write to its change. */
function takeUpload(data: MemoryData, uid: Uint8Array, write: Write, change: StoredChange, undo: Undo): void {
  const upload = uploadFor(data, uid, write);
  if (upload === undefined) return;
  const key = uploadKey(uid, upload.uploadId);
  passUploaded(upload.held, change);
  data.uploads.delete(key);
  undo.push(() => data.uploads.set(key, upload.held));
}

function changeOf(planned: PlannedChange): StoredChange {
  const { id, upsert, modifyTimeUs } = planned.write;
  const { revision, group } = planned;
  const { fingerprint, size = 0, content } = upsert ?? { fingerprint: undefined, content: undefined };
  return { id, revision, fingerprint, size, modifyTimeUs, group, content };
}

function keepConflict(collection: MemoryCollection, old: StoredChange, planned: PlannedChange, nowUs: number): void {
  collection.lastConflict += 1;
  const record: RecordedConflict = {
    number: collection.lastConflict,
    id: old.id,
    fingerprint: old.fingerprint,
    prevailed: planned.write.upsert?.fingerprint,
    standard: planned.write.overrides ?? 0,
    recordTimeUs: nowUs,
    modifyTimeUs: old.modifyTimeUs,
    size: old.size,
    content: old.content,
  };
  passUploaded(old, record);
  collection.conflicts.push(record);
}

/** Appends, and drops overtaken entries once they are the greater part. */
function extendFeed(collection: MemoryCollection, changed: StoredChange[]): void {
  changed.sort((a, b) => a.revision - b.revision || compareIds(a.id, b.id));
  collection.feed.push(...changed);
  if (collection.feed.length <= 2 * collection.items.size + 16) return;
  collection.feed = collection.feed.filter((change) => collection.items.get(change.id) === change);
}

function extendLineage(state: CollectionState, epoch: Uint8Array): readonly EpochState[] {
  const last = state.lineage.at(-1);
  if (last !== undefined && Buffer.compare(last.id, epoch) === 0) return state.lineage;
  return [...state.lineage, { id: epoch, firstRevision: state.revision + 1 }];
}

function remember(data: MemoryData, batch: WriteBatch, written: BatchWritten, undo: Undo): void {
  if (batch.remember === undefined) return;
  const { requestId, digest, answer } = batch.remember;
  const expired = batch.nowUs - REQUEST_RETENTION_US;
  const known = data.requests.get(requestId);
  if (known !== undefined && known.timeUs >= expired) return;

  const before = [...data.requests];
  undo.push(() => {
    data.requests.clear();
    for (const [id, request] of before) data.requests.set(id, request);
  });
  // To the end of the order, where the latest stand.
  data.requests.delete(requestId);
  data.requests.set(requestId, { digest, answer: answer(written), timeUs: batch.nowUs });
  for (const [id, request] of [...data.requests].slice(0, REQUESTS_PRUNED_AT_ONCE)) {
    if (request.timeUs < expired || data.requests.size > MAX_REQUESTS) data.requests.delete(id);
  }
}
