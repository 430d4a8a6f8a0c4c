import { join } from "node:path";
import { type Database, openDatabase, toStorageError } from "../../core/sqlite.js";
import { StorageError } from "../../core/storage-error.js";

/** "Terc": marks a SQLite file as a server's data. */
const APPLICATION_ID = 0x54657263;

/** Contents above this many bytes live in `contents`: a row of `items` above about 1,000 bytes would take pages of its own. */
export const ROW_CONTENT_BYTES = 768;

/** Holds the index of some 700,000 random ids, and leaves a server with millions of items below 200 MB. */
const PAGE_CACHE_KIB = 48 * 1024;
/** 4 KiB each. SQLite itself writes the log back at the end of a commit only where sqlite-checkpoint.ts did not come to it. */
const CHECKPOINT_PAGES = 8_192;
const JOURNAL_SIZE_LIMIT = 128 * 1024 * 1024;

/**
 * Each brings the schema from its index to the next version. Never change one that was released: append.
 *
 * `items` is the change feed: clustered by revision, so that pages are read and written in one place. `items_by_id` has all
 * that compare-and-set and reconciliation need. Content comes last, so that what is before it is read without it.
 *
 * A content that was uploaded is in `chunks`, and an empty one of its type (text or bytes) in `contents`, which goes to the
 * item with its key; whatever removes that removes the chunks.
 *
 * `segments` are the range sums of core/range-index.ts. `time_marks` say the last revision of a minute since 1970. Tombstones
 * up to `compacted_revision` may go, those up to `removed_revision` are gone.
 */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE collections (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    uid BLOB NOT NULL UNIQUE,
    standard INTEGER NOT NULL,
    create_time_us INTEGER NOT NULL,
    revision INTEGER NOT NULL DEFAULT 0,
    count INTEGER NOT NULL DEFAULT 0,
    sum BLOB NOT NULL,
    compacted_revision INTEGER NOT NULL DEFAULT 0,
    removed_revision INTEGER NOT NULL DEFAULT 0,
    conflicts INTEGER NOT NULL DEFAULT 0,
    last_conflict INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE INDEX collections_to_compact ON collections (key) WHERE removed_revision < compacted_revision;
  CREATE TABLE deleted_collections (
    uid BLOB PRIMARY KEY,
    key INTEGER NOT NULL,
    purged INTEGER NOT NULL DEFAULT 0
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX deleted_collections_to_purge ON deleted_collections (key) WHERE purged = 0;
  CREATE TABLE epochs (
    collection INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    id BLOB NOT NULL,
    first_revision INTEGER NOT NULL,
    PRIMARY KEY (collection, ordinal)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE items (
    collection INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    id TEXT NOT NULL,
    fingerprint BLOB,
    size INTEGER NOT NULL,
    modify_time_us INTEGER NOT NULL,
    group_revision INTEGER NOT NULL,
    content_key INTEGER,
    content ANY,
    PRIMARY KEY (collection, revision, id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX items_by_id ON items (collection, id, fingerprint);
  CREATE INDEX tombstones ON items (collection, revision) WHERE fingerprint IS NULL;
  CREATE TABLE segments (
    collection INTEGER NOT NULL,
    first TEXT NOT NULL,
    count INTEGER NOT NULL,
    sum BLOB NOT NULL,
    PRIMARY KEY (collection, first)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE time_marks (
    collection INTEGER NOT NULL,
    minute INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (collection, minute)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE contents (
    key INTEGER PRIMARY KEY,
    content ANY NOT NULL
  ) STRICT;
  CREATE TABLE chunks (
    content_key INTEGER NOT NULL,
    position INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (content_key, position)
  ) STRICT, WITHOUT ROWID;
  CREATE TRIGGER contents_removed AFTER DELETE ON contents BEGIN
    DELETE FROM chunks WHERE content_key = old.key;
  END;
  CREATE TABLE uploads (
    serial INTEGER PRIMARY KEY AUTOINCREMENT,
    collection INTEGER NOT NULL,
    upload_id BLOB NOT NULL,
    id TEXT NOT NULL,
    size INTEGER NOT NULL,
    stored INTEGER NOT NULL,
    time_us INTEGER NOT NULL,
    content_key INTEGER NOT NULL,
    UNIQUE (collection, upload_id)
  ) STRICT;
  CREATE INDEX uploads_by_time ON uploads (time_us);
  CREATE TABLE conflicts (
    collection INTEGER NOT NULL,
    number INTEGER NOT NULL,
    id TEXT NOT NULL,
    fingerprint BLOB,
    prevailed BLOB,
    standard INTEGER NOT NULL,
    record_time_us INTEGER NOT NULL,
    modify_time_us INTEGER NOT NULL,
    size INTEGER NOT NULL,
    content_key INTEGER,
    content ANY,
    PRIMARY KEY (collection, number)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX conflicts_by_id ON conflicts (collection, id);
  CREATE INDEX conflicts_by_time ON conflicts (record_time_us);
  CREATE TABLE requests (
    ordinal INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    time_us INTEGER NOT NULL,
    digest BLOB NOT NULL,
    answer BLOB NOT NULL
  ) STRICT;`,
];

/** How a data file is opened. */
export interface DataFileOptions {
  readonly directory: string;
  /** Largest size of tercet.db in pages of 4 KiB; no limit where it is left out. Beyond it: StorageError `full`. */
  readonly maxPages?: number;
}

/** Path of the data file of a directory. */
export function dataFilePath(directory: string): string {
  return join(directory, "tercet.db");
}

/** What SQLite threw, as a StorageError that names the file and, where it does not read any more, what to do. */
export function toDataFileError(error: unknown, path: string): unknown {
  const failure = toStorageError(error, path);
  // One of ours said what to do by itself.
  if (failure === error || !(failure instanceof StorageError)) return failure;
  if (failure.kind !== "damaged" && failure.kind !== "foreign") return failure;
  const advice = "Put a backup of it in its place; replicas keep their copies";
  return new StorageError("damaged", `${failure.message}. ${advice}`, { cause: error });
}

/** Opens tercet.db, created or migrated where needed. Refuses a file of others or of a later version (`foreign`). */
export function openDataFile(options: DataFileOptions): Database {
  const path = dataFilePath(options.directory);
  const database = openDatabase(path);
  try {
    const version = checkOwner(database, path);
    database.pragma("journal_mode = WAL");
    setSynchronous(database, "FULL");
    database.pragma(`cache_size = -${PAGE_CACHE_KIB}`);
    database.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
    database.pragma(`journal_size_limit = ${JOURNAL_SIZE_LIMIT}`);
    migrate(database, version);
    if (options.maxPages !== undefined) database.pragma(`max_page_count = ${options.maxPages}`);
    return database;
  } catch (error) {
    database.close();
    throw toDataFileError(error, path);
  }
}

/** Whether a commit brings the log to the disk itself (FULL) or leaves it to a checkpoint, or to its caller (NORMAL). */
export function setSynchronous(database: Database, level: "FULL" | "NORMAL"): void {
  database.pragma(`synchronous = ${level}`);
}

/**
 * Schema version of the file, 0 for an empty one. Looks before anything is written.
 *
 * @throws StorageError `foreign` for a file of others or of a later version.
 */
export function checkOwner(database: Database, path: string): number {
  const owner = readNumber(database, "application_id");
  const version = readNumber(database, "user_version");
  const tables = database.prepare<[], number>("SELECT count(*) FROM sqlite_schema").pluck().get();
  if (owner === 0 && version === 0 && tables === 0) return 0;
  if (owner !== APPLICATION_ID) {
    throw new StorageError("foreign", `${path} is a SQLite file of another application, not a Tercet server's`);
  }
  if (version > MIGRATIONS.length) {
    const known = `this server knows versions up to ${MIGRATIONS.length}`;
    throw new StorageError("foreign", `${path} has schema version ${version}; ${known}. Use a later server`);
  }
  return version;
}

function migrate(database: Database, version: number): void {
  if (version === MIGRATIONS.length) return;
  const run = database.transaction(() => {
    for (const migration of MIGRATIONS.slice(version)) database.exec(migration);
    database.pragma(`application_id = ${APPLICATION_ID}`);
    database.pragma(`user_version = ${MIGRATIONS.length}`);
  });
  run.immediate();
}

function readNumber(database: Database, pragma: string): number {
  return Number(database.pragma(pragma, { simple: true }));
}
