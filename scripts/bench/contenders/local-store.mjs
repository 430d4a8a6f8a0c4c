// The client's file of those contenders that bring no replica of their own: items, what is pending, and a checkpoint, in
// SQLite with the same settings as the bare copy's.
import { join } from "node:path";

const CHECKPOINT_PAGES = 20_000;
const CACHE_KIB = 16 * 1024;
/** With random ids the whole index is written all the time. */
const RANDOM_CACHE_KIB = 64 * 1024;

/**
 * Opens SQLite as the bare copy does.
 *
 * @param {{ directory: string, ids: string, openDatabase: (path: string) => any }} place
 * @param {string} name
 */
export function openFile(place, name) {
  const db = place.openDatabase(join(place.directory, name));
  db.pragma("journal_mode = WAL");
  db.pragma("synchronous = NORMAL");
  db.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
  db.pragma(`cache_size = -${place.ids === "random" ? RANDOM_CACHE_KIB : CACHE_KIB}`);
  return db;
}

/**
 * Opens or makes the client's file.
 *
 * @param {{ directory: string, ids: string, openDatabase: (path: string) => any }} place
 */
export function openLocalStore(place) {
  const db = openFile(place, "client.sqlite");
  db.exec(`
    CREATE TABLE IF NOT EXISTS item (id TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS pending (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE);
    CREATE TABLE IF NOT EXISTS checkpoint (one INTEGER PRIMARY KEY, value INTEGER NOT NULL);
  `);
  const upsert = db.prepare("INSERT INTO item VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET content = excluded.content");
  const markPending = db.prepare("INSERT OR IGNORE INTO pending (id) VALUES (?)");
  const pending = db.prepare("SELECT number, id, content FROM pending JOIN item USING (id) ORDER BY number LIMIT ?");
  const settle = db.prepare("DELETE FROM pending WHERE number <= ?");
  const read = db.prepare("SELECT value FROM checkpoint").pluck();
  const write = db.prepare("INSERT OR REPLACE INTO checkpoint VALUES (1, ?)");
  return {
    /** @param {readonly (readonly [string, string])[]} items */
    put: db.transaction((items) => {
      for (const [id, content] of items) {
        upsert.run(id, content);
        markPending.run(id);
      }
    }),
    /**
     * Takes items of the server's, with the checkpoint that they lead to.
     *
     * @type {(items: Iterable<{ id: string, content: string }>, checkpoint?: number) => void}
     */
    take: db.transaction((items, checkpoint) => {
      for (const { id, content } of items) upsert.run(id, content);
      if (checkpoint !== undefined) write.run(checkpoint);
    }),
    /** The first that are pending, in the order in which they were put. @type {(limit: number) => { number: number, id: string, content: string }[]} */
    pending: (limit) => pending.all(limit),
    /** The server has all up to this number. @type {(last: number, checkpoint?: number) => void} */
    settle: db.transaction((last, checkpoint) => {
      settle.run(last);
      if (checkpoint !== undefined) write.run(checkpoint);
    }),
    /** @returns {number} */
    checkpoint: () => read.get() ?? 0,
    /** @param {number} value */
    setCheckpoint: (value) => write.run(value),
    forget: () => db.exec("DELETE FROM checkpoint"),
    /** @returns {number} */
    count: () => db.prepare("SELECT count(*) FROM item").pluck().get(),
    /** @param {string} id */
    get: (id) => db.prepare("SELECT content FROM item WHERE id = ?").pluck().get(id),
    close: () => db.close(),
  };
}
