import { randomBytes } from "node:crypto";
import { WHOLE_BYTES } from "../../core/limits.js";
import { totalOf } from "../../core/range-sum.js";
import { type Database, toStorageError } from "../../core/sqlite.js";
import { StorageError } from "../../core/storage-error.js";
import type { Action } from "./action.js";
import type { ApplyBatch } from "./apply-batch.js";
import { auditRows } from "./auditor.js";
import { type Books, bind, closeBooks, keepProgress, type Ledger, openBooks, part, stateOf } from "./books.js";
import { createEarlySendings, takeEarly } from "./early-sendings.js";
import { resolveItem } from "./held-rules.js";
import { restore } from "./local-rules.js";
import { bulkRows } from "./sqlite-bulk.js";
import { sqliteLarge } from "./sqlite-large.js";
import { ledgerFile } from "./sqlite-ledger.js";
import { outgoingRows } from "./sqlite-outgoing.js";
import { queries } from "./sqlite-queries.js";
import { sqliteRanges } from "./sqlite-ranges.js";
import { sqliteRows } from "./sqlite-rows.js";
import { createFile, openFile, type SqliteReplicaOptions } from "./sqlite-schema.js";
import type { ReplicaStore } from "./store.js";

export type { SqliteReplicaOptions } from "./sqlite-schema.js";

/**
 * Makes the replica file and opens it; `replicaId` is 16 bytes, random by default.
 *
 * @throws StorageError `exists` where the file exists; `failed` where it can't be made, or leftovers of another replica of
 * that name are beside it; `full` where there is no room for it.
 */
export function createSqliteReplica(
  path: string,
  options: SqliteReplicaOptions & { readonly collection: string; readonly replicaId?: Uint8Array },
): ReplicaStore {
  createFile(path, options.collection, options.replicaId ?? randomBytes(16));
  return openSqliteReplica(path, options);
}

/**
 * Opens a replica file, and holds it until `close` or the end of the process: one SQLite file, with its write-ahead log
 * beside it.
 *
 * @throws StorageError `failed` where there is none; `foreign` where it is no SQLite file, no replica, or of a schema
 * version that this one does not know; `busy` where another process holds it, or this one; `damaged`. The methods throw
 * `full`, `damaged` and `failed`; what they were to do is then not done, and the replica goes on.
 */
export function openSqliteReplica(path: string, options: SqliteReplicaOptions = {}): ReplicaStore {
  const db = openFile(path, options);
  try {
    return sqliteReplica(db, path, options.wholeBytes ?? WHOLE_BYTES);
  } catch (error) {
    db.close();
    throw toStorageError(error, path);
  }
}

/**
 * What is applied in one transaction, about. With ids in no order each one writes most pages of their index, however few
 * items it brings: 1,000,000 of them in transactions of 20,000 take half as long again.
 */
const SHARED_ITEMS = 65_536;
const SHARED_BYTES = 16 * 1024 * 1024;

/** Bytes of the contents that come with actions, about. */
function bytesOf(actions: readonly Action[]): number {
  let bytes = 0;
  for (const action of actions) if (action.kind === "take") bytes += action.upsert?.content?.length ?? 0;
  return bytes;
}

function sqliteReplica(db: Database, path: string, wholeBytes: number): ReplicaStore {
  const file = ledgerFile(db, path);
  const loaded = file.load();
  const { mark } = loaded;
  let { ledger } = loaded;
  const large = sqliteLarge(db, wholeBytes);
  const rows = sqliteRows(db, mark, large);
  const bulk = bulkRows(db, rows, mark, large, wholeBytes);
  const read = queries(db, rows, bulk, mark, large);
  const ranges = sqliteRanges(db);
  const takeOutgoing = outgoingRows(db, rows, bulk, mark, large);
  const early = createEarlySendings();
  const begin = db.prepare("BEGIN IMMEDIATE");
  const commit = db.prepare("COMMIT");
  const rollback = db.prepare("ROLLBACK");
  const touch = db.prepare("UPDATE progress SET one = 1");
  /** Something was applied that may not be on the disk yet. */
  let unflushed = false;
  let waits = true;
  /** A transaction that waits for more to be applied: what it is to go back to, and how much it has. */
  let open: { readonly ledger: Ledger; readonly through: number; items: number; bytes: number } | undefined;
  /** What was applied could not be kept: nothing that builds on it may be. */
  let lost = false;

  /** Whether a commit waits for the disk. In WAL mode one that does brings all commits before it to the disk. */
  function waitForDisk(wait: boolean): void {
    if (waits === wait) return;
    db.pragma(`synchronous = ${wait ? "FULL" : "NORMAL"}`);
    waits = wait;
  }

  function guard<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw toStorageError(error, path);
    }
  }

  function start(durable: boolean): NonNullable<typeof open> {
    waitForDisk(durable);
    begin.run();
    open = { ledger, through: mark.through, items: 0, bytes: 0 };
    return open;
  }

  /** Does a part of the transaction, or undoes all of it. */
  function takePart<T>(of: NonNullable<typeof open>, work: (books: Books) => T): T {
    early.touch();
    try {
      const books = openBooks(ledger);
      const result = work(books);
      ranges.note(books);
      large.settle();
      ledger = closeBooks(books);
      return result;
    } catch (error) {
      undo(of);
      throw error;
    }
  }

  function finish(of: NonNullable<typeof open>): void {
    try {
      ranges.store();
      file.save(of.ledger, ledger, of.through, mark.through);
      commit.run();
      open = undefined;
    } catch (error) {
      undo(of);
      throw error;
    }
  }

  function undo(of: NonNullable<typeof open>): void {
    lost ||= of.items > 0;
    open = undefined;
    ledger = of.ledger;
    mark.through = of.through;
    ranges.reset();
    large.reset();
    // SQLite has rolled back by itself after some failures.
    if (db.inTransaction) rollback.run();
  }

  /** All or nothing, and on the disk before it returns, unless said otherwise. What is kept here of the file moves with it. */
  function transaction<T>(work: (books: Books) => T, durable = true): T {
    return guard(() => {
      if (open !== undefined) finish(open);
      const alone = start(durable);
      const result = takePart(alone, work);
      finish(alone);
      return result;
    });
  }

  /** The same for what is applied, which may share a transaction with what is applied next. */
  function applying<T>(work: (books: Books) => T, { actions, items, settled = [], more = false }: ApplyBatch): T {
    return guard(() => {
      refuseLost();
      unflushed = true;
      const shared = open ?? start(false);
      const result = takePart(shared, work);
      // Also where it was nothing: it is not to be lost without a word.
      shared.items += actions.length + (items?.count ?? 0) + 1;
      for (const { from, to } of settled) shared.items += to - from;
      shared.bytes += bytesOf(actions) + (items?.bytes.length ?? 0);
      if (!more || shared.items >= SHARED_ITEMS || shared.bytes >= SHARED_BYTES) finish(shared);
      return result;
    });
  }

  function refuseLost(): void {
    if (lost) throw new StorageError("failed", `${path}: what this exchange had stored before could not be kept`);
  }

  transaction(() => large.sweep());

  return {
    get: (id) => guard(() => read.get(id)),
    list: (query) => guard(() => read.list(query)),
    listPending: (after, limit) => guard(() => read.listPending(after, limit)),
    listConflicts: (before, limit) => guard(() => read.listConflicts(before, limit)),
    getConflict: (number) => guard(() => read.getConflict(number)),
    getBaseContent: (id) => guard(() => read.getBaseContent(id)),
    getBase: (id) => guard(() => read.getBase(id)),
    readContent: (of, offset, length) => guard(() => read.readContent(of, offset, length)),
    stage(to, piece) {
      unflushed = true;
      return transaction(() => large.stage(to, piece), false);
    },
    unstage: (which) => transaction(() => large.unstage(which), false),
    listDownloads: (ids) => guard(() => large.downloads(ids)),
    lookup: (ids) => guard(() => read.lookup(ids)),
    state: () => stateOf(ledger),
    begin() {
      guard(() => {
        if (open !== undefined) finish(open);
      });
      lost = false;
      early.forget();
    },
    write(changes, nowUs, group, sending = false) {
      const { sequences, sent } = transaction((books) => {
        const sequences = bulk.write(changes, books, nowUs, group);
        return { sequences, sent: sending ? takeEarly(changes, sequences, wholeBytes, takeOutgoing) : undefined };
      });
      if (sent !== undefined) early.add(sent);
      return { sequences };
    },
    settleConflict: (number, bringBack, nowUs) =>
      transaction((books) => {
        const record = rows.conflict(number);
        if (record === undefined) return false;
        rows.deleteConflict(record);
        books.conflicts -= 1;
        if (bringBack) restore(rows, books, record, nowUs);
        return true;
      }),
    pruneConflicts: (beforeUs) =>
      transaction((books) => {
        const removed = rows.deleteConflictsBefore(beforeUs);
        books.conflicts -= removed;
        return removed;
      }),
    listHeld: (after, limit) => guard(() => read.listHeld(after, limit)),
    resolveHeld: (id, how, nowUs, group) => transaction((books) => resolveItem(rows, books, id, how, nowUs, group)),
    listUnsettledCreations: (after, limit) => guard(() => read.listUnsettledCreations(after, limit)),
    sumRanges: (intervals) => guard(() => intervals.map((interval) => ranges.total(interval))),
    splitRange: (interval, parts) => guard(() => ranges.split(interval, parts)),
    listBases: (interval, limit) => guard(() => ranges.entries(interval, limit)),
    takeOutgoing(query) {
      guard(refuseLost);
      return early.take(query) ?? early.taken(transaction(() => takeOutgoing(query)));
    },
    settlesWhole: (run) => guard(() => bulk.settlesWhole(run)),
    apply(batch) {
      const { opened, parted } = batch;
      return applying((books) => {
        if (opened !== undefined) bind(books, opened);
        if (parted !== undefined) part(books, parted, rows.clampRevisions);
        const done = bulk.apply(batch, books);
        keepProgress(books, batch, done.stale.length > 0, rows.clampRevisions, () => {
          const { taken, moves, added } = books;
          ranges.note({ taken: taken.splice(0), moves: moves.splice(0), added: added.splice(0) });
          return ranges.total({ from: "", to: undefined });
        });
        return { ...done, total: totalOf(books.sum) };
      }, batch);
    },
    flush() {
      guard(refuseLost);
      ranges.forget();
      if (!unflushed) return;
      transaction(() => touch.run());
      unflushed = false;
    },
    audit: () =>
      guard(() => {
        if (open !== undefined) finish(open);
        return auditRows(read.audited(), ledger.total, ranges.areRight());
      }),
    close() {
      try {
        guard(() => {
          if (open !== undefined) finish(open);
        });
      } finally {
        guard(() => void db.close());
      }
    },
  };
}
