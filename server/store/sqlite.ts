import { StorageError } from "../../core/storage-error.js";
import type { CollectionCreation, CompactQuery } from "./collection-state.js";
import { createDirectory } from "./directory.js";
import { weightOf } from "./group-commit.js";
import { prepareCheckpointing } from "./sqlite-checkpoint.js";
import { prepareCollections } from "./sqlite-collections.js";
import { prepareCompaction } from "./sqlite-compact.js";
import { prepareConflicts } from "./sqlite-conflicts.js";
import { lockDirectory } from "./sqlite-lock.js";
import { preparePurge } from "./sqlite-purge.js";
import { prepareRangeIndexes, prepareRanges } from "./sqlite-ranges.js";
import { prepareReads } from "./sqlite-read.js";
import { prepareRequests } from "./sqlite-requests.js";
import { type DataFileOptions, dataFilePath, openDataFile, setSynchronous, toDataFileError } from "./sqlite-schema.js";
import { createLogSync } from "./sqlite-sync.js";
import { prepareUploads } from "./sqlite-uploads.js";
import { prepareWrite } from "./sqlite-write.js";
import type { Awaitable, Store } from "./store.js";
import type { UploadPiece } from "./uploads.js";
import type { BatchWritten, WriteBatch } from "./write-batch.js";

/** How a SQLite store is opened. */
export interface SqliteStoreOptions extends DataFileOptions {
  /** Where tercet.db lives; created where it is missing. One store at a time has it. */
  readonly directory: string;
  /** Id of the epoch that begins now: 8 random bytes, never used before. */
  readonly epoch: Uint8Array;
}

/** A store whose methods answer at once, without promises. */
export type SqliteStore = {
  readonly [K in keyof Store]: (...args: Parameters<Store[K]>) => Awaited<ReturnType<Store[K]>>;
} & {
  /**
   * As `write`, but it may resolve later, once the write is on the disk, which it holds nobody up for then: reads see it
   * before. Throws where nothing was written. Rejects where the disk failed, from then on always: only a restart tells what
   * is there.
   */
  writeAside(batches: readonly WriteBatch[]): Awaitable<readonly (BatchWritten | undefined)[]>;
};

/**
 * Opens the store of a data directory. Synchronous: every method has finished, and a write is on disk, when it returns.
 *
 * @throws StorageError `busy` where another server has the directory, `foreign` where tercet.db is not a file of ours or
 * of a later version, `damaged` where it does not read as it should, `failed` where it cannot be opened.
 */
export function openSqliteStore(options: SqliteStoreOptions): SqliteStore {
  createDirectory(options.directory);
  const lock = lockDirectory(options.directory);
  try {
    return storeOn(options, lock.release);
  } catch (error) {
    lock.release();
    throw error;
  }
}

function storeOn(options: SqliteStoreOptions, release: () => void): SqliteStore {
  const database = openDataFile(options);
  const path = dataFilePath(options.directory);
  const collections = prepareCollections(database, options.epoch);
  const reads = prepareReads(database, collections);
  const conflicts = prepareConflicts(database);
  const requests = prepareRequests(database);
  const indexes = prepareRangeIndexes(database);
  const ranges = prepareRanges(database, collections, indexes);
  const compaction = prepareCompaction(database);
  const uploads = prepareUploads(database);
  const writeBatch = prepareWrite(database, collections, indexes, compaction, uploads);
  const purge = scheduleSlices(database.transaction(preparePurge(database)).immediate);
  const removal = scheduleSlices(() => {
    collections.forget();
    return database.transaction(compaction.slice).immediate();
  });

  const checkpointing = prepareCheckpointing(database);
  const log = createLogSync(path);
  const checkpoint = scheduleSlices(() => {
    if (checkpointing.isDue()) checkpointing.run();
    return false;
  });

  const writeAll = database.transaction((batches: readonly WriteBatch[]) =>
    batches.map((batch) => {
      const written = writeBatch(batch);
      if (written !== undefined) requests.remember(batch, written);
      return written;
    }),
  );
  const create = database.transaction((creation: CollectionCreation) => collections.create(creation));
  const remove = database.transaction((uid: Uint8Array) => {
    const key = collections.byUid(uid)?.key;
    if (collections.delete(uid) && key !== undefined) indexes.drop(key);
    return key !== undefined;
  });
  const compact = database.transaction((query: CompactQuery) => {
    const horizon = ifThere(collections.byUid(query.uid), (row) => compaction.compact(row, query));
    collections.forget();
    return horizon;
  });
  const pruneConflicts = database.transaction((beforeUs: number, limit: number) => {
    collections.forget();
    return conflicts.prune(beforeUs, limit);
  });
  const pruneUploads = database.transaction(uploads.prune);
  const upload = database.transaction((piece: UploadPiece) =>
    ifThere(collections.byUid(piece.uid), (row) => uploads.upload(row.key, piece)),
  );
  const dropUpload = database.transaction(
    (uid: Uint8Array, uploadId: Uint8Array) =>
      ifThere(collections.byUid(uid), (row) => uploads.drop(row.key, uploadId)) ?? false,
  );

  /** Nothing of SQLite's own errors leaves the store. */
  function run<T>(method: () => T): T {
    try {
      return method();
    } catch (error) {
      // What was remembered may have been undone.
      collections.forget();
      throw toDataFileError(error, path);
    }
  }

  function write(batches: readonly WriteBatch[]): readonly (BatchWritten | undefined)[] {
    checkpoint.start();
    return run(() => indexes.guard(() => writeAll.immediate(batches)));
  }

  purge.start();
  removal.start();
  return {
    getCollection: (name) => run(() => collections.byName(name)),
    listCollections: (after, limit) => run(() => collections.list(after, limit)),
    createCollection: (creation) => run(() => create.immediate(creation)),
    deleteCollection(uid) {
      const deleted = run(() => remove.immediate(uid));
      if (deleted) purge.start();
      return deleted;
    },
    wasDeleted: (uid) => run(() => collections.wasDeleted(uid)),
    readChanges: (query) => run(() => ifThere(collections.byUid(query.uid), (row) => reads.changes(row, query))),
    readItems: (query) => run(() => ifThere(collections.byUid(query.uid), (row) => reads.items(row, query))),
    listItems: (query) => run(() => ifThere(collections.byUid(query.uid), (row) => reads.list(row, query))),
    readPart: (query) => run(() => ifThere(collections.byUid(query.uid), (row) => reads.part(row, query))),
    upload(piece) {
      checkpoint.start();
      return run(() => upload.immediate(piece));
    },
    readUpload: (uid, uploadId, offset, length) =>
      run(() => ifThere(collections.byUid(uid), (row) => uploads.read(row.key, uploadId, offset, length))),
    dropUpload: (uid, uploadId) => run(() => dropUpload.immediate(uid, uploadId)),
    pruneUploads: (beforeUs, limit) => run(() => pruneUploads.immediate(beforeUs, limit)),
    write,
    writeAside(batches) {
      setSynchronous(database, "NORMAL");
      let written: readonly (BatchWritten | undefined)[];
      try {
        written = write(batches);
      } finally {
        setSynchronous(database, "FULL");
      }
      const failed = (cause: unknown): StorageError =>
        new StorageError("failed", `${path}-wal could not be brought to the disk`, { cause });
      if (!log.isIdle || !isLone(batches)) {
        return log.sync().then(
          () => written,
          (cause: unknown) => {
            throw failed(cause);
          },
        );
      }
      try {
        log.syncNow();
      } catch (cause) {
        // Not thrown: it was written, and may be read already.
        return Promise.reject(failed(cause));
      }
      return written;
    },
    readRanges: (query) => run(() => ifThere(collections.byUid(query.uid), (row) => ranges(row, query))),
    compact(query) {
      const horizon = run(() => compact.immediate(query));
      removal.start();
      return horizon;
    },
    pruneConflicts: (beforeUs, limit) => run(() => pruneConflicts.immediate(beforeUs, limit)),
    listConflicts: (query) =>
      run(() => ifThere(collections.byUid(query.uid), (row) => conflicts.list(row.key, query)) ?? []),
    getConflict: (uid, number) => run(() => ifThere(collections.byUid(uid), (row) => conflicts.get(row.key, number))),
    readConflictPart: (uid, number, offset, length) =>
      run(() => ifThere(collections.byUid(uid), (row) => conflicts.part(row.key, number, offset, length))),
    getRequest: (requestId) => run(() => requests.get(requestId)),
    close() {
      purge.stop();
      removal.stop();
      checkpoint.stop();
      log.close();
      run(() => database.close());
      release();
    },
  };
}

/** Most content and most writes of a batch that nobody else need have a turn for. */
const LONE_BYTES = 64 * 1024;
const LONE_WRITES = 64;

/**
 * A small batch that came alone: nothing else waits to be committed, and the way to another thread and back would be most of
 * what it waits for. Where several come at a time, others are likely to come during the sync, and are committed together.
 */
function isLone(batches: readonly WriteBatch[]): boolean {
  const [batch] = batches;
  if (batch === undefined || batches.length > 1) return false;
  const { bytes, writes } = weightOf(batch);
  return bytes <= LONE_BYTES && writes <= LONE_WRITES;
}

function ifThere<T, R>(value: T | undefined, use: (value: T) => R): R | undefined {
  return value === undefined ? undefined : use(value);
}

/** Runs slices of work between other turns of the event loop until there is no more. */
function scheduleSlices(slice: () => boolean): { start(): void; stop(): void } {
  let next: NodeJS.Immediate | undefined;
  function step(): void {
    next = undefined;
    try {
      if (slice()) start();
    } catch {
      // A full disk, say. What is left is invisible, and taken up the next time or with the next start.
    }
  }
  function start(): void {
    next ??= setImmediate(step);
  }
  return {
    start,
    stop() {
      if (next !== undefined) clearImmediate(next);
      next = undefined;
    },
  };
}
