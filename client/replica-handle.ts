import { type Content, contentSize } from "../core/content.js";
import { ErrorReason, fieldFault } from "../core/fault.js";
import { fingerprintOf } from "../core/fingerprint.js";
import { checkCollectionName, checkId } from "../core/id.js";
import { DEFAULT_LIMITS } from "../core/limits.js";
import { Limits } from "../gen/tercet/v1/sync.js";
import { TercetError, toError } from "./error.js";
import { createSqliteReplica, openSqliteReplica } from "./replica/sqlite.js";
import type { LocalConflict, LocalItem, LocalWrite, PendingChange, ReplicaStore } from "./replica/store.js";
import { type Conflict, hex, type Item, type Pending, toConflict, toItem, toPending } from "./replica-views.js";
import type { SyncOptions, SyncReport } from "./sync.js";
import { checkPositive, checkWhole, invalidField } from "./validate.js";

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
  readonly rejected: number;
  readonly conflicts: number;
  /** Revision of the server up to which everything was taken; 0 before the first exchange. */
  readonly revision: number;
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

/** Changes inside a transaction. */
export interface Transaction {
  get(id: string): Item | undefined;
  put(id: string, content: Content): void;
  delete(id: string): void;
}

/**
 * A replica of one collection in one SQLite file: read and change it at any time, and `sync` when there is a server.
 *
 * Methods other than `sync` are synchronous; what has returned is on the disk. They throw TercetError (INVALID_ID,
 * ITEM_TOO_LARGE, INVALID_FIELD) for bad input, with nothing changed, FAILED_PRECONDITION after `close`, and StorageError for
 * trouble with the file.
 */
export interface Replica {
  /** Name of the collection. */
  readonly collection: string;
  /** Creates or replaces an item. Contents are strings or bytes, up to 1 MiB. */
  put(id: string, content: Content): void;
  /** Many at once, in one transaction, far faster than one by one. No atomic group: the server takes each by itself. */
  putMany(items: Iterable<readonly [id: string, content: Content]>): void;
  /** The item, or undefined. */
  get(id: string): Item | undefined;
  /** Items in the order of their ids' UTF-8 bytes. What is changed while they are read may appear or not. */
  list(options?: ListOptions): IterableIterator<Item>;
  /** Deletes an item; false where there is none. */
  delete(id: string): boolean;
  /** All of the changes or, if the function throws, none. They see one another. */
  transaction<T>(changes: (transaction: Transaction) => T): T;
  /** Changes that the server does not have yet, oldest first. */
  pending(): IterableIterator<Pending>;
  /** Versions of this replica that gave way, latest first, without their contents. */
  conflicts(): IterableIterator<Conflict>;
  /** One of them with its content. */
  conflict(number: number): Conflict | undefined;
  /**
   * Settles a record: `restore` makes its version the item again, as a new change; `discard` forgets it. Where the item has
   * another pending change, `restore` keeps that version in a new record: nothing but `discard` loses one.
   */
  resolveConflict(number: number, how: "restore" | "discard"): void;
  status(): ReplicaStatus;
  /** One exchange with the server. One at a time; the application may go on reading and writing meanwhile. */
  sync(options: SyncOptions): Promise<SyncReport>;
  /**
   * Computes the fingerprint of every content anew, and count and fingerprint of what was last agreed on, and compares them
   * with what the file has. Takes time with the size of the replica.
   */
  check(): ReplicaCheck;
  /** Whether `check` finds the replica sound. */
  audit(): boolean;
  /** Closes the file. An exchange that is under way fails. */
  close(): void;
}

/** How a replica file is opened. */
export interface OpenOptions {
  /** MiB of page cache. */
  readonly cacheMiB?: number;
}

const PAGE = 500;

/**
 * Makes a replica file for a collection and opens it.
 *
 * @throws TercetError INVALID_COLLECTION_NAME; StorageError: `exists` where the file exists, `failed` where it can't be made or
 * leftovers of another replica of that name (`-wal`, `-shm`, `-journal`) are beside it.
 */
export function createReplica(path: string, options: OpenOptions & { readonly collection: string }): Replica {
  const fault = checkCollectionName(options.collection);
  if (fault !== undefined) throw toError(fault);
  checkPositive("cacheMiB", options.cacheMiB);
  return replicaOn(createSqliteReplica(path, options));
}

/**
 * Opens a replica file, and holds it until `close` or the end of the process.
 *
 * @throws StorageError: `failed` where there is none, `foreign` where it is no replica or of another schema version, `busy`
 * where somebody else has it open, `damaged`.
 */
export function openReplica(path: string, options: OpenOptions = {}): Replica {
  checkPositive("cacheMiB", options.cacheMiB);
  return replicaOn(openSqliteReplica(path, options));
}

/** The public face of a replica store. */
export function replicaOn(held: ReplicaStore): Replica {
  const { collection } = held.state();
  const closing = new AbortController();
  let syncing = false;
  let closed = false;

  function store(): ReplicaStore {
    if (!closed) return held;
    throw new TercetError(`this replica of ${collection} is closed`, { code: "FAILED_PRECONDITION" });
  }

  const itemLimit = (): number => {
    const { limits } = store().state();
    return limits.length === 0 ? DEFAULT_LIMITS.itemBytes : Limits.decode(limits).itemBytes;
  };

  function toWrite(id: string, content: Content, limit: number): LocalWrite {
    checkInput(id, content, limit);
    return { id, upsert: { content, fingerprint: fingerprintOf(id, content) } };
  }

  function write(changes: readonly LocalWrite[]): void {
    if (changes.length > 0) store().write(changes, Date.now() * 1000);
  }

  function getItem(id: string): Item | undefined {
    const item = store().get(id);
    return item === undefined ? undefined : toItem(item);
  }

  function* pages<T>(read: (after: T | undefined, limit: number) => readonly T[], limit = Infinity): Generator<T> {
    let last: T | undefined;
    for (let left = limit; left > 0; ) {
      const page = read(last, Math.min(left, PAGE));
      yield* page;
      left -= page.length;
      last = page.at(-1);
      if (page.length === 0) return;
    }
  }

  function check(): ReplicaCheck {
    const damage = store().audit();
    if (damage === undefined) return { sound: true, damaged: [], damagedCount: 0, agreedRight: true };
    const { damaged, damagedCount, total } = damage;
    return { sound: false, damaged, damagedCount, agreedRight: total === undefined };
  }

  return {
    collection,
    put(id, content) {
      write([toWrite(id, content, itemLimit())]);
    },
    putMany(items) {
      const limit = itemLimit();
      const changes = new Map<string, LocalWrite>();
      for (const [id, content] of items) changes.set(id, toWrite(id, content, limit));
      write([...changes.values()]);
    },
    get: getItem,
    list({ prefix = "", after = "", limit = Infinity } = {}) {
      store();
      if (limit !== Infinity) checkWhole("limit", limit);
      const read = (last: LocalItem | undefined, most: number): readonly LocalItem[] =>
        store().list({ prefix, after: last?.id ?? after, limit: most });
      return mapped(pages(read, limit), toItem);
    },
    delete(id) {
      if (store().get(id) === undefined) return false;
      write([{ id, upsert: undefined }]);
      return true;
    },
    transaction(changes) {
      const limit = itemLimit();
      const changed = new Map<string, LocalWrite>();
      const result = changes({
        get(id) {
          const change = changed.get(id);
          return change === undefined ? getItem(id) : changedItem(change);
        },
        put: (id, content) => void changed.set(id, toWrite(id, content, limit)),
        delete: (id) => void changed.set(id, { id, upsert: undefined }),
      });
      if (result instanceof Promise) {
        // What it rejects with has nowhere to go, and must not end the process.
        result.catch(() => undefined);
        const description = "a transaction is synchronous: its function must not return a promise";
        throw invalidField("changes", description);
      }
      write([...changed.values()]);
      return result;
    },
    pending() {
      store();
      const read = (last: PendingChange | undefined, most: number): readonly PendingChange[] =>
        store().listPending(last?.sequence ?? 0, most);
      return mapped(pages(read), toPending);
    },
    conflicts() {
      store();
      const read = (last: LocalConflict | undefined, most: number): readonly LocalConflict[] =>
        store().listConflicts(last?.number ?? Number.MAX_SAFE_INTEGER, most);
      return mapped(pages(read), toConflict);
    },
    conflict(number) {
      const record = store().getConflict(number);
      return record === undefined ? undefined : toConflict(record);
    },
    resolveConflict(number, how) {
      if (how !== "restore" && how !== "discard") throw invalidField("how", 'must be "restore" or "discard"');
      if (store().settleConflict(number, how === "restore", Date.now() * 1000)) return;
      const reason = ErrorReason.ERROR_REASON_CONFLICT_NOT_FOUND;
      throw toError({ reason, message: `there is no conflict record ${number} in this replica` });
    },
    status() {
      const { collectionUid, replicaId, items, pending, rejected, conflicts, revision, total } = store().state();
      return {
        collection,
        collectionUid: hex(collectionUid),
        replicaId: hex(replicaId),
        items,
        pending,
        rejected,
        conflicts,
        revision,
        agreed: { count: total.count, fingerprint: hex(total.sum) },
      };
    },
    async sync(options) {
      store();
      if (syncing) throw new TercetError("an exchange of this replica is under way", { code: "FAILED_PRECONDITION" });
      syncing = true;
      try {
        // gRPC takes as long to load as all else together, and most uses of a replica need none.
        const { syncReplica } = await import("./sync.js");
        return await syncReplica(store(), options, closing.signal);
      } finally {
        syncing = false;
      }
    },
    check,
    audit: () => check().sound,
    close() {
      closing.abort();
      closed = true;
      held.close();
    },
  };
}

function* mapped<T, U>(values: Iterable<T>, map: (value: T) => U): Generator<U> {
  for (const value of values) yield map(value);
}

function checkInput(id: string, content: Content, limit: number): void {
  const fault = checkId(id) ?? contentFault(content, limit);
  if (fault !== undefined) throw toError(fault);
}

function contentFault(content: Content, limit: number): ReturnType<typeof checkId> {
  if (typeof content !== "string" && !(content instanceof Uint8Array)) {
    return fieldFault(ErrorReason.ERROR_REASON_INVALID_FIELD, "content", "must be a string or bytes");
  }
  const size = contentSize(content);
  if (size > limit) {
    const description = `is ${size} bytes; an item has up to ${limit}`;
    return fieldFault(ErrorReason.ERROR_REASON_ITEM_TOO_LARGE, "content", description);
  }
  if (typeof content === "string" && !content.isWellFormed()) {
    return fieldFault(ErrorReason.ERROR_REASON_INVALID_FIELD, "content", "has a lone surrogate; put it as bytes");
  }
  return undefined;
}

function changedItem({ id, upsert }: LocalWrite): Item | undefined {
  if (upsert === undefined) return undefined;
  const { content, fingerprint } = upsert;
  return { id, content, fingerprint: hex(fingerprint), modifyTime: new Date(), pending: true };
}
