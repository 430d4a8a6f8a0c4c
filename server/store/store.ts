import type { RecordedConflict } from "../../core/recorded-conflict.js";
import type { ChangesQuery, ChangesRead } from "./change-reads.js";
import type { CollectionCreation, CollectionState, CompactQuery } from "./collection-state.js";
import type { ConflictsQuery } from "./conflicts-query.js";
import type { ItemsQuery, ItemsRead, ListQuery, PartQuery, PartRead, StoredChange } from "./item-reads.js";
import type { RangesQuery, RangesRead } from "./range-reads.js";
import type { RememberedRequest } from "./requests.js";
import type { UploadPiece, UploadRead } from "./uploads.js";
import type { BatchWritten, WriteBatch } from "./write-batch.js";

/**
 * What a server keeps, as a contract. SQLite and memory keep it today. test/store/contract.ts is run over every one.
 *
 * Obligations of every store:
 *   - A method is one transaction: it happens whole or not at all, reads one snapshot, and when a write has returned (or
 *     its promise resolved) it is durable.
 *   - Revisions of a collection grow without gaps in visibility: once a reader has seen revision r, nothing with a
 *     revision <= r can appear any more.
 *   - `count`, `sum` and `revision` of a collection are kept with every write, never computed by a scan.
 *   - Ids are ordered by their UTF-8 bytes.
 *   - Input has been validated before it comes here. What a store throws is a failure of the storage, not of the caller:
 *     a StorageError (core/storage-error.ts).
 */
export interface Store {
  /** The collection of that name, or undefined. */
  getCollection(name: string): Awaitable<CollectionState | undefined>;
  /** Collections in the order of their names after `after` ("" for all), at most `limit`. */
  listCollections(after: string, limit: number): Awaitable<readonly CollectionState[]>;
  /** Creates a collection, or answers the one that has the name, as it is. Its first epoch begins at revision 1. */
  createCollection(
    creation: CollectionCreation,
  ): Awaitable<{ readonly created: boolean; readonly state: CollectionState }>;
  /** Deletes a collection with all it has, and remembers its uid for ever. False where it is not there. */
  deleteCollection(uid: Uint8Array): Awaitable<boolean>;
  /** Whether a collection with this uid was deleted here. */
  wasDeleted(uid: Uint8Array): Awaitable<boolean>;

  /**
   * Changes after a revision, in order of revision and, within a commit, of id; never cutting a commit. Undefined: no such
   * collection any more.
   */
  readChanges(query: ChangesQuery): Awaitable<ChangesRead | undefined>;
  /** Items by id, each at most once; `contents` as far as `maxBytes` goes. Undefined: no such collection any more. */
  readItems(query: ItemsQuery): Awaitable<ItemsRead | undefined>;
  /** Items in the order of their ids. Undefined: no such collection any more. */
  listItems(query: ListQuery): Awaitable<readonly StoredChange[] | undefined>;
  /** A part of an item's content, of whatever size. Undefined: no such collection, or no such item. */
  readPart(query: PartQuery): Awaitable<PartRead | undefined>;
  /**
   * Adds a piece to an upload, or begins one, if it begins where the upload ends and agrees with the pieces before it; else
   * nothing is added. Answers what is there then; undefined: no such collection, or no such upload and no piece at 0. Uploads
   * that were not added to for 24 hours go with `pruneUploads`.
   */
  upload(piece: UploadPiece): Awaitable<UploadRead | undefined>;
  /** A part of what was uploaded; undefined: no such upload. */
  readUpload(uid: Uint8Array, uploadId: Uint8Array, offset: number, length: number): Awaitable<Uint8Array | undefined>;
  /** Removes an upload. False where it is not there. */
  dropUpload(uid: Uint8Array, uploadId: Uint8Array): Awaitable<boolean>;
  /** Removes uploads that were last added to before a time; at most `limit`. Answers how many. */
  pruneUploads(beforeUs: number, limit: number): Awaitable<number>;
  /**
   * Makes the changes of several batches in one transaction, in order. The result has one entry for each batch: its
   * outcomes, one for each write, or undefined where its collection is not there any more.
   */
  write(batches: readonly WriteBatch[]): Awaitable<readonly (BatchWritten | undefined)[]>;

  /**
   * Compares ranges with what another side says of them, in one snapshot: as many as `maxBytes` allow, at least one. The
   * sums of ranges are kept with every write. Undefined: no such collection any more.
   */
  readRanges(query: RangesQuery): Awaitable<RangesRead | undefined>;
  /**
   * Moves the tombstone horizon, which never moves back and never beyond the head: tombstones up to it may go at any time
   * from then on, and are told no more by `readRanges`. Answers where it stands. Undefined: no such collection any more.
   */
  compact(query: CompactQuery): Awaitable<number | undefined>;
  /**
   * Removes conflict records of all collections that were made before a time; at most `limit`, oldest first. Answers how
   * many.
   */
  pruneConflicts(beforeUs: number, limit: number): Awaitable<number>;

  /** Conflict records, latest first, without contents: those with a number below `before`, at most `limit`. */
  listConflicts(query: ConflictsQuery): Awaitable<readonly RecordedConflict[]>;
  /** One conflict record with its content, but for one that was uploaded: `readConflictPart` reads that. */
  getConflict(uid: Uint8Array, number: number): Awaitable<RecordedConflict | undefined>;
  /** A part of a record's content, of whatever size. Undefined: no such record, or it is of a deletion. */
  readConflictPart(
    uid: Uint8Array,
    number: number,
    offset: number,
    length: number,
  ): Awaitable<{ readonly data: Uint8Array; readonly text: boolean } | undefined>;

  /**
   * The answer that was remembered for a request id, with what it answered. Kept for 24 hours and 100,000 answers, by the
   * clock of the writes; forgotten as later requests are remembered.
   */
  getRequest(requestId: string): Awaitable<RememberedRequest | undefined>;

  /** Ends everything; no method may be called after. */
  close(): Awaitable<void>;
}

/** A value or a promise of it: a store may be synchronous (SQLite) or not (PostgreSQL). */
export type Awaitable<T> = T | Promise<T>;
