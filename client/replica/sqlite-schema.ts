import { randomBytes } from "node:crypto";
import { closeSync, existsSync, fsyncSync, linkSync, openSync, rmSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { type Database, openDatabase, toStorageError } from "../../core/sqlite.js";
import { StorageError } from "../../core/storage-error.js";

/** How a replica file is held. */
export interface SqliteReplicaOptions {
  /** Page cache in MiB, 36 by default. Ids without order want a cache that holds most of their index (60 bytes an id). */
  readonly cacheMiB?: number;
  /** For tests: the file may have this many pages of 4 KiB; beyond it a write fails with StorageError `full`. */
  readonly maxPageCount?: number;
  /** For tests: contents of more than this many bytes are large. */
  readonly wholeBytes?: number;
}

/** In the header of every replica file: "tcrp". */
const APPLICATION_ID = 0x74637270;
const DEFAULT_CACHE_MIB = 36;
/**
 * Pages in the write-ahead log (80 MiB) after which a commit moves them into the file. Fewer make random ids slower, as
 * each page is written more often; more make that one commit longer.
 */
const CHECKPOINT_PAGES = 20_000;
const JOURNAL_LIMIT_BYTES = 96 * 1024 * 1024;

/**
 * Schema versions: the n-th brings a file from version n to n + 1. Never change one that was released; add another.
 *
 * An item without a pending row is clean: it is its own base. `items` has a rowid because ids without order then dirty
 * the pages of a small index only, and the contents are appended (2.5 times as fast as WITHOUT ROWID; ordered ids are
 * alike). `progress` has the numbers that change with every transaction, apart from what is long and seldom changes.
 *
 * `items.creation`: the sequence number of a pending creation that was never anything else. All that is to be known of such
 * a one is in its item, so it has no row in `pending`: a first push of a million items reads them, and settles them, in the
 * order of one small index. Whatever changes it gives it a row, and clears this (sqlite-rows.ts). `sent` is 0 for it.
 *
 * `made`: creations with sequence numbers from the first to the last were made, with revisions that are these numbers and
 * `shift`: each is clean, whatever its row says (sqlite-made.ts).
 *
 * `pending.sent`: 0, sent if `sequence` is up to `progress.sent_through`; 1, sent; 2, not sent. A push of a million
 * changes so moves one number instead of marking a million rows. Held rows are 2: they would stop the mark.
 *
 * `segments` has what bases come to, some at a time (core/range-index.ts); one row that begins at '' with a count of -1 says
 * that they are still to be made, after many ids came in no order. `items.pending` tells whether a change is pending, so that
 * bases are read without asking for each. It is in no index: to move its entry cost half of what a verdict does. (A table of
 * the bases by id, with fingerprints, doubled the time of a first pull of random ids.)
 *
 * A content of more than WHOLE_BYTES is in `pieces`; an integer in the column of a content is its key in `large`, so that
 * small ones need nothing beside their row. Each key is in one row only, of `items`, `pending`, `conflicts`, or `staging`:
 * what was downloaded so far, or (no id) what the application is making.
 */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE replica (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    collection TEXT NOT NULL,
    replica_id BLOB NOT NULL,
    collection_uid BLOB NOT NULL DEFAULT X'',
    settings BLOB NOT NULL DEFAULT X''
  ) STRICT;
  CREATE TABLE lineage (
    ordinal INTEGER PRIMARY KEY,
    id BLOB NOT NULL,
    first_revision INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE progress (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    token BLOB NOT NULL DEFAULT X'',
    revision INTEGER NOT NULL DEFAULT 0,
    witness BLOB NOT NULL DEFAULT X'',
    witness_revision INTEGER NOT NULL DEFAULT 0,
    items INTEGER NOT NULL DEFAULT 0,
    pending INTEGER NOT NULL DEFAULT 0,
    rejected INTEGER NOT NULL DEFAULT 0,
    held INTEGER NOT NULL DEFAULT 0,
    conflicts INTEGER NOT NULL DEFAULT 0,
    last_sequence INTEGER NOT NULL DEFAULT 0,
    last_conflict INTEGER NOT NULL DEFAULT 0,
    last_time_us INTEGER NOT NULL DEFAULT 0,
    base_count INTEGER NOT NULL DEFAULT 0,
    base_sum BLOB NOT NULL DEFAULT (zeroblob(32)),
    sent_through INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE TABLE items (
    id TEXT NOT NULL UNIQUE,
    pending INTEGER NOT NULL,
    creation INTEGER,
    fingerprint BLOB NOT NULL,
    revision INTEGER NOT NULL,
    modify_time_us INTEGER NOT NULL,
    content ANY NOT NULL
  ) STRICT;
  CREATE INDEX items_creation ON items (creation) WHERE creation IS NOT NULL;
  CREATE TABLE made (
    first INTEGER PRIMARY KEY,
    last INTEGER NOT NULL,
    shift INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE pending (
    sequence INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    fingerprint BLOB,
    size INTEGER NOT NULL,
    modify_time_us INTEGER NOT NULL,
    base_revision INTEGER,
    base_fingerprint BLOB,
    overrides INTEGER,
    rejected_reason INTEGER,
    rejected_message TEXT,
    sent INTEGER NOT NULL,
    resent INTEGER NOT NULL,
    base_time_us INTEGER NOT NULL,
    held INTEGER NOT NULL,
    group_key INTEGER NOT NULL,
    base_content ANY
  ) STRICT;
  CREATE INDEX pending_unsent ON pending (sequence) WHERE sent = 2;
  CREATE INDEX pending_based ON pending (id) WHERE base_fingerprint IS NOT NULL;
  CREATE INDEX pending_held ON pending (id) WHERE held = 1;
  CREATE INDEX pending_group ON pending (group_key) WHERE group_key <> 0;
  CREATE TABLE sendings (
    id TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    modify_time_us INTEGER NOT NULL,
    PRIMARY KEY (id, fingerprint)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE conflicts (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    fingerprint BLOB,
    prevailed BLOB,
    standard INTEGER NOT NULL,
    record_time_us INTEGER NOT NULL,
    modify_time_us INTEGER NOT NULL,
    size INTEGER NOT NULL,
    content ANY
  ) STRICT;
  CREATE TABLE large (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    size INTEGER NOT NULL,
    text INTEGER NOT NULL,
    upload_id BLOB
  ) STRICT;
  CREATE TABLE pieces (
    key INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    data BLOB NOT NULL,
    UNIQUE (key, offset)
  ) STRICT;
  CREATE TABLE staging (
    key INTEGER PRIMARY KEY,
    id TEXT UNIQUE,
    revision INTEGER NOT NULL,
    modify_time_us INTEGER NOT NULL,
    size INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE segments (
    from_id TEXT PRIMARY KEY,
    count INTEGER NOT NULL,
    sum BLOB NOT NULL
  ) STRICT, WITHOUT ROWID;
  `,
  // To write the row anew gives it these columns in the file as well, by which a damaged one is read.
  `
  ALTER TABLE progress ADD COLUMN lost_after INTEGER;
  ALTER TABLE progress ADD COLUMN recovery_reason TEXT;
  UPDATE progress SET lost_after = NULL;
  `,
];

/** The schema version of today. */
export const SCHEMA_VERSION = MIGRATIONS.length;

/**
 * Makes the file of an empty replica, whole or not at all: a crash leaves at most a stray file beside it.
 *
 * @throws StorageError as `createSqliteReplica` says.
 */
export function createFile(path: string, collection: string, replicaId: Uint8Array): void {
  const exists = new StorageError("exists", `cannot create a replica at ${path}: the file exists`);
  if (existsSync(path)) throw exists;
  refuseLeftovers(path);
  const draft = `${path}.${randomBytes(6).toString("hex")}.new`;
  try {
    const db = openDatabase(draft, { timeout: 0 });
    try {
      // WAL is a property of the file; set here, an open never has to change it.
      db.pragma("journal_mode = WAL");
      db.pragma("synchronous = FULL");
      migrate(db, 0);
      db.prepare("INSERT INTO replica (one, collection, replica_id) VALUES (1, ?, ?)").run(collection, replicaId);
      db.exec("INSERT INTO progress (one) VALUES (1)");
      db.pragma(`application_id = ${APPLICATION_ID}`);
    } finally {
      db.close();
    }
    // Unlike a rename, a link does not replace what came to be there meanwhile.
    linkSync(draft, path);
  } catch (error) {
    throw (error as { code?: unknown }).code === "EEXIST" ? exists : creationError(error, path);
  } finally {
    const made = [draft, `${draft}-wal`, `${draft}-shm`].filter((file) => existsSync(file));
    for (const file of made) rmSync(file, { force: true });
  }
  syncDirectory(path);
}

/** SQLite would take a log of this name for the new file's own, and put another replica's items into it. */
function refuseLeftovers(path: string): void {
  const found = ["-wal", "-shm", "-journal"].map((suffix) => path + suffix).filter((file) => existsSync(file));
  if (found.length === 0) return;
  const them = found.length === 1 ? "it" : "them";
  throw new StorageError(
    "failed",
    `cannot create a replica at ${path}: there are leftovers of another replica: ${found.join(", ")}; delete ${them} or name another file`,
  );
}

/** Why a file could not be made: of the file that was asked for, not of the draft. */
function creationError(thrown: unknown, path: string): unknown {
  const error = thrown instanceof StorageError ? (thrown.cause ?? thrown) : thrown;
  const failed = (why: string) =>
    new StorageError("failed", `cannot create a replica at ${path}: ${why}`, { cause: error });
  if (!existsSync(dirname(resolve(path)))) return failed("its directory does not exist");
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (code === "SQLITE_CANTOPEN")
    return failed("the file can't be made there (is it a directory that you may write to?)");
  return syscall === undefined ? toStorageError(error, path) : failed(String(code));
}

/**
 * Opens a replica file and holds it: nobody else can, until it is closed or its process ends, in whatever way.
 *
 * @throws StorageError as `openSqliteReplica` says.
 */
export function openFile(path: string, options: SqliteReplicaOptions): Database {
  // Never by opening the file itself: closing it again would give up the locks that this process has on it (POSIX).
  if (!existsSync(path)) throw new StorageError("failed", `there is no replica at ${path}; createReplica makes one`);
  const db = openDatabase(path, { timeout: 0, fileMustExist: true });
  try {
    db.pragma("locking_mode = EXCLUSIVE");
    // The first write transaction takes the lock, and in this mode it stays taken.
    db.exec("BEGIN IMMEDIATE; COMMIT");
    const version = checkHeader(db, path);
    db.pragma("journal_mode = WAL");
    db.pragma("synchronous = FULL");
    db.pragma("temp_store = MEMORY");
    db.pragma(`cache_size = ${-Math.round((options.cacheMiB ?? DEFAULT_CACHE_MIB) * 1024)}`);
    db.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
    db.pragma(`journal_size_limit = ${JOURNAL_LIMIT_BYTES}`);
    migrate(db, version);
    if (options.maxPageCount !== undefined) db.pragma(`max_page_count = ${options.maxPageCount}`);
    return db;
  } catch (error) {
    db.close();
    throw clearError(error, path);
  }
}

/** Whose file it is, and of which schema version. */
function checkHeader(db: Database, path: string): number {
  if (Number(db.pragma("application_id", { simple: true })) !== APPLICATION_ID) {
    throw new StorageError("foreign", `${path} is a SQLite file, but not a replica of Tercet`);
  }
  const version = Number(db.pragma("user_version", { simple: true }));
  const newest = SCHEMA_VERSION;
  if (version >= 1 && version <= newest) return version;
  const hint = version > newest ? "a newer Tercet wrote it" : "it is not known";
  throw new StorageError(
    "foreign",
    `${path} has schema version ${version}: ${hint}, this one reads versions 1 to ${newest}`,
  );
}

function migrate(db: Database, from: number): void {
  const steps = MIGRATIONS.slice(from);
  if (steps.length > 0) db.exec(`BEGIN IMMEDIATE; ${steps.join("\n")} PRAGMA user_version = ${SCHEMA_VERSION}; COMMIT`);
}

function clearError(error: unknown, path: string): unknown {
  const mapped = toStorageError(error, path);
  if (mapped === error || !(mapped instanceof StorageError)) return mapped;
  if (mapped.kind === "busy") {
    return new StorageError("busy", `${path} is in use by another process, or open in this one`, { cause: error });
  }
  if (mapped.kind === "foreign") return new StorageError("foreign", `${path} is not a SQLite file`, { cause: error });
  return mapped;
}

/** Makes the new name of a file durable. */
function syncDirectory(path: string): void {
  const directory = openSync(dirname(resolve(path)), "r");
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
