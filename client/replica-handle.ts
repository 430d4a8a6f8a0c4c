import type { Content } from "../core/content.js";
import { checkCollectionName } from "../core/id.js";
import { TercetError, toError } from "./error.js";
import type { OpenContent, PutOptions } from "./large-content.js";
import type { LiveSync } from "./live.js";
import type { AppliedChange, ChangeListener, ChangesOptions } from "./live-changes.js";
import { noticeWrites } from "./live-writes.js";
import { mapped, pages } from "./pages.js";
import type { LocalItem, PendingChange } from "./replica/local-items.js";
import { createSqliteReplica, openSqliteReplica } from "./replica/sqlite.js";
import type { ReplicaStore } from "./replica/store.js";
import { type ReplicaConflicts, type ResolveHow, replicaConflicts } from "./replica-conflicts.js";
import { replicaExchanges } from "./replica-exchanges.js";
import {
  type Conflict,
  type Held,
  type HeldVersions,
  hex,
  type Item,
  type Pending,
  toItem,
  toPending,
} from "./replica-views.js";
import { type Change, type Changes, type ReplicaWrites, replicaWrites, type Transaction } from "./replica-writes.js";
import type { SyncReport, VerifyReport } from "./sync.js";
import type { LiveOptions, SyncOptions, VerifyOptions } from "./sync-options.js";
import { checkNamed, checkPath, checkPositive, checkString, checkWhole } from "./validate.js";
import type { Verdict, VerdictOptions } from "./verdict.js";
import { createVerdicts } from "./verdicts.js";

/** Which items to list. */
export interface ListOptions {
  /** Only ids that begin with this. */
  readonly prefix?: string;
  /** Only ids after this one, in the order of their UTF-8 bytes. */
  readonly after?: string;
  /** Most items; without it all, read a page at a time. */
  readonly limit?: number;
}

/** What a replica says of itself. */
export interface ReplicaStatus {
  readonly collection: string;
  /** Uid of the server's collection, 32 hex digits; empty before the first exchange. A collection made anew has another. */
  readonly collectionUid: string;
  readonly replicaId: string;
  /** Items that the application sees. */
  readonly items: number;
  readonly pending: number;
  /** Pending changes that the server did not accept, and that are held in conflict. */
  readonly rejected: number;
  readonly held: number;
  /** Conflict records. */
  readonly conflicts: number;
  /** Revision of the server up to which everything was taken; 0 before the first exchange, and while `recovering`. */
  readonly revision: number;
  /** A recovery was begun, as the server has another history, and was cut: the next exchange begins it again. */
  readonly recovering: boolean;
  /** Count and fingerprint of what was last agreed on with the server: compare with GetCollection. */
  readonly agreed: { readonly count: number; readonly fingerprint: string };
}

/** What a check of a replica found. */
export interface ReplicaCheck {
  /** All contents are as they were put or taken, and what the file says was agreed on is right. */
  readonly sound: boolean;
  /** Ids of items whose content does not have the fingerprint that is kept of it: at most 100. */
  readonly damaged: readonly string[];
  /** How many there are. */
  readonly damagedCount: number;
  /** Whether `ReplicaStatus.agreed` is what the items add up to. */
  readonly agreedRight: boolean;
}

/**
 * A replica of one collection in one SQLite file: read and change it at any time, and `sync` when there is a server.
 *
 * Methods that return no promise are synchronous; what has returned is on the disk. They throw TercetError (INVALID_ID,
 * ITEM_TOO_LARGE, INVALID_FIELD, GROUP_INVALID, ITEM_HELD) for bad input, with nothing changed, FAILED_PRECONDITION after
 * `close`, and StorageError for trouble with the file: where it is `damaged`, see `rebuildReplica`.
 */
export interface Replica {
  /** Name of the collection. */
  readonly collection: string;
  /**
   * Creates or replaces an item. Contents are strings or bytes, up to 64 MiB or what the server last said; `putFile` takes
   * large ones without having them in memory. An item of an atomic group that is pending stays a member of it:
   * GROUP_INVALID where the group would become too large; sync first.
   */
  put(id: string, content: Content): Change;
  /** Many at once, in one transaction, far faster than one by one. No atomic group: the server takes each by itself. */
  putMany(items: Iterable<readonly [id: string, content: Content]>): Changes;
  /**
   * As `put`, with the bytes of a file, of which never more than a piece is in memory. The item changes at the end, at once;
   * reading and writing go on meanwhile. Rejects with ITEM_TOO_LARGE before anything is stored where the file is too large,
   * and where it becomes so while it is read; with INVALID_FIELD where it is to be text and is not UTF-8; with Node's error
   * where it can't be read. Nothing is changed then.
   */
  putFile(id: string, path: string, options?: PutOptions): Promise<Change>;
  /** The same with bytes from anywhere: a stream of Node's, or any other async iterable of bytes. */
  putStream(id: string, source: AsyncIterable<Uint8Array>, options?: PutOptions): Promise<Change>;
  /** The item, or undefined. A large content is read only when `content` is asked for. */
  get(id: string): Item | undefined;
  /** The content of an item as it is now, to be read piece by piece; undefined where there is no such item. */
  openContent(id: string): OpenContent | undefined;
  /** Items in the order of their ids' UTF-8 bytes. What is changed while they are read may appear or not. */
  list(options?: ListOptions): IterableIterator<Item>;
  /** Deletes an item; undefined where there is none. */
  delete(id: string): Change | undefined;
  /**
   * All of the changes or, if the function throws, none. They see one another. Two or more are an atomic group, on the
   * server as here: it takes them as one commit or not at all, they prevail, give way, are held or rejected together, and
   * pending groups that share an item become one. At most 1,000 items and 1 MiB, or what the server last said: GROUP_INVALID.
   */
  transaction<T>(changes: (transaction: Transaction) => T): T;
  /** The verdict on the change that is pending of an item now, as Change.verdict; undefined where none is pending. */
  verdict(id: string, options?: VerdictOptions): Promise<Verdict | undefined>;
  /** Changes that the server does not have yet, oldest first. */
  pending(): IterableIterator<Pending>;
  /** Items held in conflict, by id, without their contents. */
  held(): IterableIterator<Held>;
  /** One of them with the contents of both versions; undefined where it is not held. */
  heldItem(id: string): HeldVersions | undefined;
  /**
   * Resolves an item that is held, with all items of its group: `mine` prevails, and the next exchange sends it over theirs;
   * `theirs` becomes the item, and mine is kept in a conflict record; `{ content }` or `{ deleted: true }` prevails over both
   * (the other items of its group are as `mine`).
   *
   * @throws TercetError ITEM_HELD where it is not held, or where theirs is a content that is not known here; GROUP_INVALID
   *   where a content makes its group too large.
   */
  resolve(id: string, how: ResolveHow): void;
  /** Versions of this replica that gave way, latest first, without their contents. */
  conflicts(): IterableIterator<Conflict>;
  /** One of them with its content. */
  conflict(number: number): Conflict | undefined;
  /**
   * Settles a record: `restore` makes its version the item again, as a new change; `discard` forgets it. Where the item has
   * another pending change, `restore` keeps that version in a new record: nothing but `discard` and pruning loses one.
   */
  resolveConflict(number: number, how: "restore" | "discard"): void;
  /** Removes records that are older, for good; answers how many. `sync` does it by itself, by `conflictRetentionMs`. */
  pruneConflicts(options: { readonly olderThanMs: number }): number;
  /** What it is a replica of, up to where, and how much of it is pending, rejected or held. */
  status(): ReplicaStatus;
  /**
   * One exchange with the server. One at a time; the application may go on reading and writing meanwhile. With `dryRun` it
   * finds out what would move, and changes nothing.
   */
  sync(options: SyncOptions): Promise<SyncReport>;
  /**
   * Stays in exchange with the server: what either side changes is taken by the other one as it happens. Returns at once; see
   * LiveSync. Throws FAILED_PRECONDITION where an exchange is under way, and INVALID_FIELD or UNKNOWN_STANDARD.
   */
  sync(options: LiveOptions): LiveSync;
  /**
   * Calls `listener` with every change that an exchange (any `sync`) makes to an item: what came from the server, and what a
   * resolver made of both sides, in the order in which it was stored, after its transaction was committed. The
   * application's own changes are not told. The function that is returned ends it, and so do `off` and `close`.
   *
   * It is called in the middle of the exchange: it may read and change the replica, and should be quick. What it throws does
   * not reach the exchange: it is thrown again as an uncaught exception. After a power failure changes that were told before
   * may come again.
   */
  on(event: "change", listener: ChangeListener): () => void;
  /** Calls a listener of `on` no more. */
  off(event: "change", listener: ChangeListener): void;
  /**
   * The same changes, to be read one by one: `for await (const change of replica.changes())`. From this call on none is
   * left out. A reader that is behind by 10,000 changes holds the exchange up until it has read half of them, so nothing
   * piles up: read while the exchange runs, don't wait in the loop for its end or for a verdict, and don't leave an iterator
   * lying about (`break` ends it, as do `return()`, the signal, and closing the replica).
   */
  changes(options?: ChangesOptions): AsyncIterableIterator<AppliedChange>;
  /**
   * Compares what was last agreed on with what the server has, range by range: the differences, with nothing changed on
   * either side. It believes the fingerprints that the file keeps; `check` is about the contents.
   */
  verify(options: VerifyOptions): Promise<VerifyReport>;
  /**
   * Computes the fingerprint of every content anew, and count and fingerprint of what was last agreed on, and compares them
   * with what the file has. Takes time with the size of the replica.
   */
  check(): ReplicaCheck;
  /** Whether `check` finds the replica sound. */
  audit(): boolean;
  /** Closes the file. An exchange that is under way fails, and so does waiting for a verdict. */
  close(): void;
}

/** How a replica file is opened. */
export interface OpenOptions {
  /** MiB of page cache, 36 by default. A process with many replicas wants less for each; many random ids want more. */
  readonly cacheMiB?: number;
}

/**
 * Makes a replica file for a collection and opens it.
 *
 * @throws TercetError INVALID_COLLECTION_NAME, INVALID_FIELD; StorageError: `exists` where the file exists, `failed` where it
 * can't be made or leftovers of another replica of that name (`-wal`, `-shm`, `-journal`) are beside it.
 */
export function createReplica(path: string, options: OpenOptions & { readonly collection: string }): Replica {
  checkPath("path", path);
  checkNamed(options, ["collection", "cacheMiB"]);
  const fault = checkCollectionName(options.collection);
  if (fault !== undefined) throw toError(fault);
  checkPositive("cacheMiB", options.cacheMiB);
  return replicaOn(createSqliteReplica(path, options));
}

/**
 * Opens a replica file, and holds it until `close` or the end of the process.
 *
 * @throws TercetError INVALID_FIELD; StorageError: `failed` where there is none, `foreign` where it is no replica or of
 * another schema version, `busy` where somebody else has it open, `damaged`.
 */
export function openReplica(path: string, options: OpenOptions = {}): Replica {
  checkPath("path", path);
  checkNamed(options, ["cacheMiB"]);
  checkPositive("cacheMiB", options.cacheMiB);
  return replicaOn(openSqliteReplica(path, options));
}

/** The public face of a replica store. */
export function replicaOn(held: ReplicaStore): Replica {
  const { collection } = held.state();
  const closing = new AbortController();
  const listener = { notify: () => exchanges.notify(), sendsAtOnce: () => exchanges.sendsAtOnce() };
  const verdicts = createVerdicts(noticeWrites(held, listener));
  let closed = false;

  function isClosed(): TercetError {
    return new TercetError(`this replica of ${collection} is closed`, { code: "FAILED_PRECONDITION" });
  }

  function store(): ReplicaStore {
    if (!closed) return verdicts.store;
    throw isClosed();
  }

  function check(): ReplicaCheck {
    const damage = store().audit();
    if (damage === undefined) return { sound: true, damaged: [], damagedCount: 0, agreedRight: true };
    const { damaged, damagedCount, total, ranges } = damage;
    return { sound: false, damaged, damagedCount, agreedRight: total === undefined && ranges };
  }

  const writes: ReplicaWrites = replicaWrites(store, verdicts);
  const conflicts: ReplicaConflicts = replicaConflicts(store);
  const exchanges = replicaExchanges(store, closing.signal);
  return {
    collection,
    ...writes,
    ...conflicts,
    ...exchanges.methods,
    get(id) {
      const item = store().get(id);
      return item === undefined ? undefined : toItem(item);
    },
    list(options = {}) {
      checkNamed(options, ["prefix", "after", "limit"]);
      const { prefix = "", after = "", limit = Infinity } = options;
      store();
      checkString("prefix", prefix);
      checkString("after", after);
      if (limit !== Infinity) checkWhole("limit", limit);
      const read = (last: LocalItem | undefined, most: number): readonly LocalItem[] =>
        store().list({ prefix, after: last?.id ?? after, limit: most });
      return mapped(pages(read, limit), toItem);
    },
    pending() {
      store();
      const read = (last: PendingChange | undefined, most: number): readonly PendingChange[] =>
        store().listPending(last?.sequence ?? 0, most);
      return mapped(pages(read), toPending);
    },
    status() {
      const { collectionUid, replicaId, items, pending, rejected, conflicts, revision, recovering, total, held } =
        store().state();
      return {
        collection,
        collectionUid: hex(collectionUid),
        replicaId: hex(replicaId),
        items,
        pending,
        rejected,
        held,
        conflicts,
        revision,
        recovering: recovering !== undefined,
        agreed: { count: total.count, fingerprint: hex(total.sum) },
      };
    },
    check,
    audit: () => check().sound,
    close() {
      closing.abort();
      closed = true;
      verdicts.close(isClosed());
      held.close();
    },
  };
}
