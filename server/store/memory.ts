import { compareIds } from "../../core/id.js";
import { createRangeSum, totalOf } from "../../core/range-sum.js";
import type { RecordedConflict } from "../../core/recorded-conflict.js";
import type { ChangesQuery, ChangesRead } from "./change-reads.js";
import type { CollectionCreation, CollectionState } from "./collection-state.js";
import type { ConflictsQuery } from "./conflicts-query.js";
import type { ItemsQuery, ItemsRead, ListQuery, StoredChange } from "./item-reads.js";
import { compactCollection, readRanges, sortedIds } from "./memory-ranges.js";
import { addPiece, pruneUploads, readConflictPart, readPart, readUpload, uploadKey } from "./memory-uploads.js";
import { type MemoryCollection, type MemoryData, withContent, writeBatches } from "./memory-write.js";
import { changeBytes, createCommitPage } from "./page.js";
import type { Store } from "./store.js";

/** A store in memory: synchronous, and durable as long as the process lives. For tests and simulation. */
export interface MemoryStore extends Store {
  /** A copy of everything as it is now, opened in another epoch: a backup that was restored, or a restart. */
  clone(epoch: Uint8Array): MemoryStore;
}

/** An empty store. `epoch`: 8 random bytes. */
export function createMemoryStore(options: { readonly epoch: Uint8Array }): MemoryStore {
  return storeOf(
    { collections: new Map(), deleted: new Set(), requests: new Map(), uploads: new Map(), serial: 0 },
    options.epoch,
  );
}

function storeOf(data: MemoryData, epoch: Uint8Array): MemoryStore {
  const find = (uid: Uint8Array): MemoryCollection | undefined => {
    for (const collection of data.collections.values()) {
      if (Buffer.compare(collection.state.uid, uid) === 0) return collection;
    }
    return undefined;
  };
  const read = <T>(uid: Uint8Array, reader: (collection: MemoryCollection) => T): T | undefined => {
    const collection = find(uid);
    return collection === undefined ? undefined : reader(collection);
  };
  return {
    getCollection: (name) => data.collections.get(name)?.state,
    listCollections(after, limit) {
      const names = [...data.collections.keys()].filter((name) => compareIds(name, after) > 0).sort(compareIds);
      return names.slice(0, limit).map((name) => (data.collections.get(name) as MemoryCollection).state);
    },
    createCollection(creation) {
      const existing = data.collections.get(creation.name);
      if (existing !== undefined) return { created: false, state: existing.state };
      const collection = newCollection(creation, epoch);
      data.collections.set(creation.name, collection);
      return { created: true, state: collection.state };
    },
    deleteCollection(uid) {
      const collection = find(uid);
      if (collection === undefined) return false;
      data.deleted.add(hex(uid));
      for (const [key, upload] of data.uploads) {
        if (Buffer.compare(upload.uid, uid) === 0) data.uploads.delete(key);
      }
      return data.collections.delete(collection.state.name);
    },
    wasDeleted: (uid) => data.deleted.has(hex(uid)),
    readChanges: (query) => read(query.uid, (collection) => readChanges(collection, query)),
    readItems: (query) => read(query.uid, (collection) => readItems(collection, query)),
    listItems: (query) => read(query.uid, (collection) => listItems(collection, query)),
    readRanges: (query) => read(query.uid, (collection) => readRanges(collection, query)),
    compact: (query) => read(query.uid, (collection) => compactCollection(collection, query)),
    pruneConflicts: (beforeUs, limit) => pruneConflicts(data, beforeUs, limit),
    readPart: (query) => read(query.uid, (collection) => readPart(collection, query)),
    upload: (piece) => read(piece.uid, () => addPiece(data, piece)),
    readUpload(uid, uploadId, offset, length) {
      const upload = data.uploads.get(uploadKey(uid, uploadId));
      return upload === undefined ? undefined : readUpload(upload, offset, length);
    },
    dropUpload: (uid, uploadId) => data.uploads.delete(uploadKey(uid, uploadId)),
    pruneUploads: (beforeUs, limit) => pruneUploads(data, beforeUs, limit),
    write: (batches) => writeBatches(data, batches, epoch, find),
    listConflicts: (query) => read(query.uid, (collection) => listConflicts(collection, query)) ?? [],
    getConflict: (uid, number) => find(uid)?.conflicts.find((conflict) => conflict.number === number),
    readConflictPart: (uid, number, offset, length) =>
      read(uid, (collection) => readConflictPart(collection, number, offset, length)),
    getRequest(requestId) {
      const request = data.requests.get(requestId);
      return request === undefined ? undefined : { digest: request.digest, answer: request.answer };
    },
    close() {},
    clone: (otherEpoch) => storeOf(copyOf(data), otherEpoch),
  };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

function newCollection(creation: CollectionCreation, epoch: Uint8Array): MemoryCollection {
  const state: CollectionState = {
    name: creation.name,
    uid: creation.uid,
    standard: creation.standard,
    revision: 0,
    total: totalOf(createRangeSum()),
    createTimeUs: creation.nowUs,
    compactedRevision: 0,
    conflicts: 0,
    lineage: [{ id: epoch, firstRevision: 1 }],
  };
  return { state, items: new Map(), feed: [], sortedIds: undefined, conflicts: [], lastConflict: 0, marks: [] };
}

function copyOf(data: MemoryData): MemoryData {
  const collections = new Map<string, MemoryCollection>();
  for (const [name, collection] of data.collections) collections.set(name, copyOfCollection(collection));
  const { deleted, requests, uploads, serial } = data;
  return {
    collections,
    deleted: new Set(deleted),
    requests: new Map(requests),
    uploads: new Map(uploads),
    serial,
  };
}

function copyOfCollection(collection: MemoryCollection): MemoryCollection {
  const { items, feed, conflicts } = collection;
  return { ...collection, items: new Map(items), feed: [...feed], conflicts: [...conflicts] };
}

function readChanges(collection: MemoryCollection, query: ChangesQuery): ChangesRead {
  const { revision, total, lineage, compactedRevision } = collection.state;
  const state = { revision, total, lineage, compactedRevision };
  const page = createCommitPage(query);
  for (let at = firstAfter(collection.feed, query.after); at < collection.feed.length; at++) {
    const change = collection.feed[at] as StoredChange;
    if (collection.items.get(change.id) !== change) continue;
    if (change.fingerprint === undefined && change.revision <= query.tombstonesAfter) continue;
    if (page.add(withContent(change, query.inlineBytes))) continue;
    return { changes: page.changes, through: page.changes.at(-1)?.revision ?? revision, end: false, ...state };
  }
  return { changes: page.changes, through: revision, end: true, ...state };
}

/** Index of the first entry with a revision after this one. */
function firstAfter(feed: readonly StoredChange[], revision: number): number {
  let low = 0;
  let high = feed.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((feed[middle] as StoredChange).revision > revision) high = middle;
    else low = middle + 1;
  }
  return low;
}

function readItems(collection: MemoryCollection, query: ItemsQuery): ItemsRead {
  const items: (StoredChange | undefined)[] = [];
  let bytes = 0;
  for (const id of query.ids) {
    const item = collection.items.get(id);
    bytes += item?.content === undefined ? 0 : item.size;
    if (bytes > query.maxBytes && items.length > 0) break;
    items.push(item);
  }
  const { revision, lineage } = collection.state;
  return { items, revision, lineage };
}

function listItems(collection: MemoryCollection, query: ListQuery): readonly StoredChange[] {
  const found: StoredChange[] = [];
  let bytes = 0;
  for (const id of sortedIds(collection)) {
    if (found.length >= query.limit || (bytes >= query.maxBytes && found.length > 0)) break;
    if (!id.startsWith(query.prefix) || compareIds(id, query.after) <= 0) continue;
    const change = collection.items.get(id);
    if (change?.fingerprint === undefined) continue;
    const item = withContent(change, query.inlineBytes);
    found.push(item);
    bytes += changeBytes(item);
  }
  return found;
}

function listConflicts(collection: MemoryCollection, query: ConflictsQuery): readonly RecordedConflict[] {
  return collection.conflicts
    .filter((conflict) => conflict.number < query.before && (query.id === "" || conflict.id === query.id))
    .reverse()
    .slice(0, query.limit)
    .map((conflict) => ({ ...conflict, content: undefined }));
}

function pruneConflicts(data: MemoryData, beforeUs: number, limit: number): number {
  const records = [...data.collections.values()].flatMap((collection) =>
    collection.conflicts.map((conflict) => ({ collection, conflict })),
  );
  const old = records.filter(({ conflict }) => conflict.recordTimeUs < beforeUs);
  // Stable: of the same time, those of lower numbers go first.
  const pruned = old.sort((a, b) => a.conflict.recordTimeUs - b.conflict.recordTimeUs).slice(0, limit);
  for (const { collection, conflict } of pruned) {
    collection.conflicts.splice(collection.conflicts.indexOf(conflict), 1);
    collection.state = { ...collection.state, conflicts: collection.conflicts.length };
  }
  return pruned.length;
}
