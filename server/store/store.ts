import type { Content } from "../../core/content.js";
import type { IdInterval, RangePart } from "../../core/range-index.js";
import type { RangeTotal } from "../../core/range-sum.js";
import type { ChangeStandard } from "../../gen/tercet/v1/item.js";

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
  listConflicts(query: ConflictsQuery): Awaitable<readonly StoredConflict[]>;
  /** One conflict record with its content, but for one that was uploaded: `readConflictPart` reads that. */
  getConflict(uid: Uint8Array, number: number): Awaitable<StoredConflict | undefined>;
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

/** One start of a server on a collection's data. */
export interface EpochState {
  /** Random, 8 bytes. */
  readonly id: Uint8Array;
  /** First revision committed in it. */
  readonly firstRevision: number;
}

/** A collection as it stands in one snapshot. */
export interface CollectionState {
  readonly name: string;
  /** Random, 16 bytes; names the collection in every other method. */
  readonly uid: Uint8Array;
  /** The standard that it binds; UNSPECIFIED for none. */
  readonly standard: ChangeStandard;
  /** Revision of the last commit, 0 before the first. */
  readonly revision: number;
  /** Count and sum of its items. */
  readonly total: RangeTotal;
  readonly createTimeUs: number;
  /** Tombstones up to here are gone. */
  readonly compactedRevision: number;
  /** Number of conflict records. */
  readonly conflicts: number;
  /**
   * All epochs, oldest first; there is at least one. A store is opened with a random epoch id of its own and appends it
   * with the first commit that it makes to a collection.
   */
  readonly lineage: readonly EpochState[];
}

/** What a new collection begins with. */
export interface CollectionCreation {
  readonly name: string;
  readonly uid: Uint8Array;
  readonly standard: ChangeStandard;
  readonly nowUs: number;
}

/** An item's latest change. */
export interface StoredChange {
  readonly id: string;
  readonly revision: number;
  /** 32 bytes; undefined for a tombstone. */
  readonly fingerprint: Uint8Array | undefined;
  /** Bytes of the content, 0 for a tombstone. */
  readonly size: number;
  readonly modifyTimeUs: number;
  /** Revision of its atomic group, 0 for none. */
  readonly group: number;
  /** Where it was asked for and fits; never for a tombstone or what was uploaded: `readPart` reads that. */
  readonly content: Content | undefined;
}

/** Which part of an item's content to read. */
export interface PartQuery {
  readonly uid: Uint8Array;
  readonly id: string;
  readonly offset: number;
  /** Most bytes. */
  readonly length: number;
}

/** A part of an item's content, and the item in the same snapshot. */
export interface PartRead {
  /** Without content. */
  readonly change: StoredChange;
  /** Empty beyond the end. */
  readonly data: Uint8Array;
  /** The content was stored as text. */
  readonly text: boolean;
}

/** A piece of a content that is uploaded. */
export interface UploadPiece {
  readonly uid: Uint8Array;
  /** 16 random bytes. */
  readonly uploadId: Uint8Array;
  /** Id of the item; the same for all pieces. */
  readonly id: string;
  /** Bytes of the whole content, and whether it is text; the same for all pieces. */
  readonly size: number;
  readonly text: boolean;
  readonly offset: number;
  /** Empty: only asks how much there is. */
  readonly data: Uint8Array;
  readonly nowUs: number;
}

/** How much of an upload there is. */
export interface UploadRead {
  readonly id: string;
  readonly size: number;
  readonly text: boolean;
  /** Bytes that are there. */
  readonly offset: number;
  /** Whether this piece was added. Else what is there at its place need not be what it brought. */
  readonly added: boolean;
  /** Another one for each upload that was ever begun, also under the same id: what was checked is known again by it. */
  readonly serial: number;
}

/** Which changes to read. */
export interface ChangesQuery {
  readonly uid: Uint8Array;
  /** Those with a greater revision. */
  readonly after: number;
  /** Leave out tombstones up to this revision (the head when a first pull began); 0 for none. */
  readonly tombstonesAfter: number;
  /** Ends the page after the commit with which ids, contents and 64 bytes an item come to this many bytes. */
  readonly maxBytes: number;
  /** Ends the page at this many changes, after the commit that reaches them; at least one commit is read. */
  readonly maxChanges: number;
  /** Read contents up to this many bytes along; -1 for none. */
  readonly inlineBytes: number;
}

/** Which ranges to compare. */
export interface RangesQuery {
  readonly uid: Uint8Array;
  readonly asks: readonly RangeAsk[];
  /** Tombstones with a greater revision are told with the lists. */
  readonly tombstonesAfter: number;
  /** Contents up to this many bytes are read along with lists, as long as they come to no more than `maxBytes`; -1 for none. */
  readonly inlineBytes: number;
  /** Stops once the answers come to about this many bytes; at least one is given. */
  readonly maxBytes: number;
}

/** A range, and what the other side has in it: its count and the low 8 bytes of its sum, or short fingerprints in the order of ids. */
export type RangeAsk =
  | { readonly kind: "sum"; readonly interval: IdInterval; readonly count: number; readonly shortSum: Uint8Array }
  | { readonly kind: "items"; readonly interval: IdInterval; readonly prints: Uint8Array };

/** What comes of one: see core/reconcile.ts for which ranges are split and which listed. */
export type RangeAnswer =
  | { readonly kind: "equal" }
  | { readonly kind: "split"; readonly parts: readonly RangePart[] }
  | {
      readonly kind: "list";
      /** All items of the range; of an "items" range those that the other side does not have like this. */
      readonly items: readonly StoredChange[];
      readonly deleted: readonly StoredChange[];
      /** Of an "items" range: which of the other's items, counted from 0, are not here like that. */
      readonly differing: readonly number[];
    };

/** Ranges that were compared, and the collection in the same snapshot. */
export interface RangesRead {
  /** In the order asked for, up to where it stopped. */
  readonly answers: readonly RangeAnswer[];
  readonly revision: number;
  readonly compactedRevision: number;
  readonly lineage: readonly EpochState[];
}

/** How far to compact: tombstones up to a revision, or of commits made before a time (to the minute, and rather less than more). */
export type CompactQuery = { readonly uid: Uint8Array } & (
  | { readonly through: number }
  | { readonly beforeUs: number }
);

/** A page of changes, and the collection in the same snapshot. */
export interface ChangesRead {
  readonly changes: readonly StoredChange[];
  /** The reader has now read up to this revision; the head where `end`. */
  readonly through: number;
  /** Nothing is after `through`. */
  readonly end: boolean;
  /** The collection in this snapshot. */
  readonly revision: number;
  readonly total: RangeTotal;
  readonly lineage: readonly EpochState[];
  /** A reader that stands before it may have missed deletions. */
  readonly compactedRevision: number;
}

/** Which items to read. */
export interface ItemsQuery {
  readonly uid: Uint8Array;
  readonly ids: readonly string[];
  /** Stops before the content that would go beyond this many bytes in all; at least one is read. */
  readonly maxBytes: number;
}

/** Items that were read, in the order asked for. */
export interface ItemsRead {
  /** One for each id up to where it stopped: the item or its tombstone, or undefined where there is neither. */
  readonly items: readonly (StoredChange | undefined)[];
  /** The collection in this snapshot. */
  readonly revision: number;
  readonly lineage: readonly EpochState[];
}

/** Which items to list. */
export interface ListQuery {
  readonly uid: Uint8Array;
  /** Ids that begin with this; "" for all. */
  readonly prefix: string;
  /** Ids after this one; "" for all. */
  readonly after: string;
  readonly limit: number;
  /** Ends the page once ids, contents and 64 bytes an item come to this; at least one item is read. */
  readonly maxBytes: number;
  /** Read contents up to this many bytes along; -1 for none. */
  readonly inlineBytes: number;
}

/** A new content. */
export interface Upsert {
  /** Up to WHOLE_BYTES (core/limits.ts); undefined where it was uploaded. */
  readonly content: Content | undefined;
  /** The upload that the content came in: a write that is made takes it over, another leaves it. */
  readonly upload?: UploadRef;
  /** Has been checked. */
  readonly fingerprint: Uint8Array;
  readonly size: number;
}

/** Names an upload that was checked. */
export interface UploadRef {
  readonly uploadId: Uint8Array;
  readonly serial: number;
}

/** A change to make if the item is in the expected state. */
export interface Write {
  readonly id: string;
  /** The new content with its fingerprint and size; undefined deletes the item. */
  readonly upsert: Upsert | undefined;
  readonly modifyTimeUs: number;
  /** `any`: whatever is there. Else the fingerprint that must be there, undefined for no item. */
  readonly expected: Uint8Array | undefined | "any";
  /** The item, tombstones included, must not have changed after this revision. Undefined: does not matter. */
  readonly seen: number | undefined;
  /** Commit under a new revision even where the item already is in the wanted state. */
  readonly fence: boolean;
  /**
   * Keep what is overwritten, an item or a tombstone in another state, in a conflict record, and by which standard;
   * undefined for an ordinary change. Where nothing was there, nothing gives way and no record is made.
   */
  readonly overrides: ChangeStandard | undefined;
  /** Writes next to each other with the same number are an atomic group; 0 for none. */
  readonly group: number;
}

/** Writes of one caller to one collection; each id at most once. */
export interface WriteBatch {
  readonly uid: Uint8Array;
  readonly writes: readonly Write[];
  readonly nowUs: number;
  /** Remember this answer to a request id in the same transaction; made from the outcomes. An earlier answer stays. */
  readonly remember?: {
    readonly requestId: string;
    readonly digest: Uint8Array;
    answer(written: BatchWritten): Uint8Array;
  };
}

/** What became of one write. */
export type WriteOutcome =
  /** Committed with this revision. */
  | { readonly kind: "applied"; readonly revision: number; readonly group: number }
  /** The item was already so, since this revision (0 where it was never there). */
  | { readonly kind: "already"; readonly revision: number }
  /**
   * Not in the expected state, but in this one: for an item that the store knows nothing of, a deletion at the
   * collection's revision. Of a group, the members that are as expected are `group-conflict`. Without content.
   */
  | { readonly kind: "conflict"; readonly current: StoredChange }
  | { readonly kind: "group-conflict" }
  /** Would have been made, but for its upload: not there, not whole, or of another item. Of a group, all members. */
  | { readonly kind: "no-upload"; readonly revision: 0 };

/** What became of a batch. */
export interface BatchWritten {
  readonly outcomes: readonly WriteOutcome[];
  /** Revision of the collection right before and right after this batch. */
  readonly revisionBefore: number;
  readonly revision: number;
  /** All epochs after this batch: the first commit of a store appends its own. */
  readonly lineage: readonly EpochState[];
}

/** A version that gave way. */
export interface StoredConflict {
  readonly number: number;
  readonly id: string;
  /** Undefined where what gave way was a deletion. */
  readonly fingerprint: Uint8Array | undefined;
  /** Undefined where what prevailed is a deletion. */
  readonly prevailed: Uint8Array | undefined;
  readonly standard: ChangeStandard;
  readonly recordTimeUs: number;
  readonly modifyTimeUs: number;
  readonly size: number;
  readonly content: Content | undefined;
}

/** Which conflict records to list. */
export interface ConflictsQuery {
  readonly uid: Uint8Array;
  /** Only of this item; "" for all. */
  readonly id: string;
  /** Records with a lower number. */
  readonly before: number;
  readonly limit: number;
}

/** The answer to a request id. */
export interface RememberedRequest {
  /** Digest of the request that it answered. */
  readonly digest: Uint8Array;
  readonly answer: Uint8Array;
}
