import { hash } from "node:crypto";
import { join } from "node:path";
import { FINGERPRINT_BYTES } from "../../../core/fingerprint.js";
import type { Database, Statement } from "../../../core/sqlite.js";
import type { Place } from "../contender.js";
import { createBatchWriter, type Row } from "./rows.js";

/** A SQLite file of items, as bare as it can be: it knows no revisions, fingerprints or checkpoints. */
export interface BareStore {
  /** Puts the rows, ids and contents in turn: into room that is known to be empty, or over what is there. */
  insert(values: readonly string[]): void;
  upsert(values: readonly string[]): void;
  /** Commits what was put. Puts begin a transaction by themselves, and commit every so many rows. */
  commit(): void;
  /** Batches of all rows, or of those that were marked; counts them, where it is asked to. */
  batches(which: "all" | "marked", tally?: { rows: number }): Iterable<Buffer>;
  mark(ids: readonly string[]): void;
  putLarge(id: string, piece: Buffer, number: number): void;
  largePieces(id: string): Iterable<Buffer>;
  largeBytes(id: string): number;
  count(): number;
  get(id: string): string | undefined;
  close(): void;
}

const ROWS_A_STATEMENT = 100;
const ROWS_A_TRANSACTION = 10_000;
const ROWS_A_PAGE = 2000;
const CHECKPOINT_PAGES = 20_000;
const CACHE_KIB = 16 * 1024;
/** With random ids the whole index is written all the time. */
const RANDOM_CACHE_KIB = 64 * 1024;
const COLUMNS = 2;

/**
 * Rows lie in the order of their ids where they come in it; else in the order they came in, with an index of the ids. They
 * travel in that order, as those of any feed of changes do: sorted by id, random ids would cost no more than others.
 */
const ORDERED_TABLE = "CREATE TABLE IF NOT EXISTS item (id TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID";
const RANDOM_TABLE =
  "CREATE TABLE IF NOT EXISTS item (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, content TEXT NOT NULL)";

/** What a copy needs that is to be synchronised again: the order in which items came, their ids, and fingerprints. */
const PROVED_TABLE = `CREATE TABLE IF NOT EXISTS item (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
  content TEXT NOT NULL, fingerprint BLOB NOT NULL)`;

/**
 * Opens or makes the file. The variant `full` has every commit on the disk before it returns; `proved` also makes the
 * fingerprint of each item, as whoever receives it has to, and keeps it: what remains of the floor where contents are proved.
 */
export function openBareStore(place: Place): BareStore {
  const random = place.ids === "random";
  const proved = place.variant === "proved";
  const db = place.openDatabase(join(place.directory, "bare.sqlite"));
  db.pragma("journal_mode = WAL");
  db.pragma(`synchronous = ${place.variant === "" ? "NORMAL" : "FULL"}`);
  db.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
  db.pragma(`cache_size = -${random ? RANDOM_CACHE_KIB : CACHE_KIB}`);
  db.exec(proved ? PROVED_TABLE : random ? RANDOM_TABLE : ORDERED_TABLE);
  db.exec("CREATE TABLE IF NOT EXISTS marked (id TEXT PRIMARY KEY) WITHOUT ROWID");
  db.exec("CREATE TABLE IF NOT EXISTS large (id TEXT, number INTEGER, piece BLOB, PRIMARY KEY (id, number))");
  const transaction = createTransaction(db);
  const insert = proved ? createProvedPut(db) : createPut(db, "INSERT INTO item (id, content) VALUES", "");
  const upsert = createPut(
    db,
    "INSERT INTO item (id, content) VALUES",
    "ON CONFLICT (id) DO UPDATE SET content = excluded.content",
  );
  const put = (into: (values: readonly string[]) => void, values: readonly string[]): void => {
    transaction.begin();
    into(values);
    transaction.added(values.length / COLUMNS);
  };
  return {
    insert: (values) => put(insert, values),
    upsert: (values) => put(upsert, values),
    commit: transaction.commit,
    batches: (which, tally = { rows: 0 }) =>
      batchesOf(which === "all" ? rowsOf(db, random || proved) : markedRows(db), tally),
    mark(ids) {
      const statement = db.prepare("INSERT OR IGNORE INTO marked VALUES (?)");
      transaction.begin();
      for (const id of ids) statement.run(id);
    },
    ...largeItems(db, transaction),
    count: () => Number(db.prepare("SELECT count(*) FROM item").pluck().get()),
    get: (id) => db.prepare("SELECT content FROM item WHERE id = ?").pluck().get(id) as string | undefined,
    close() {
      transaction.commit();
      db.close();
    },
  };
}

interface Transaction {
  begin(): void;
  added(rows: number): void;
  commit(): void;
}

function createTransaction(db: Database): Transaction {
  const begin = db.prepare("BEGIN IMMEDIATE");
  const commit = db.prepare("COMMIT");
  let rows = 0;
  const end = (): void => {
    if (db.inTransaction) commit.run();
    rows = 0;
  };
  return {
    begin: () => void (db.inTransaction || begin.run()),
    added(count) {
      rows += count;
      if (rows >= ROWS_A_TRANSACTION) end();
    },
    commit: end,
  };
}

/** Puts rows with statements of many rows, and what is left with one of its size, which is kept for the next time. */
function createPut(db: Database, head: string, tail: string): (values: readonly string[]) => void {
  const ofRows = statementsOf(db, (rows) => `${head} ${new Array(rows).fill("(?,?)").join(",")} ${tail}`);
  return (values) => {
    for (const some of slicesOf(values)) ofRows(some.length / COLUMNS).run(some);
  };
}

/** The same with the fingerprint of each, all of a statement bound in one piece. */
function createProvedPut(db: Database): (values: readonly string[]) => void {
  const ofRows = statementsOf(db, (rows) => {
    const print = (row: number): string => `substr(@prints, ${row * FINGERPRINT_BYTES + 1}, ${FINGERPRINT_BYTES})`;
    const all = Array.from({ length: rows }, (_, row) => `(?,?,${print(row)})`);
    return `INSERT INTO item (id, content, fingerprint) VALUES ${all.join(",")}`;
  });
  return (values) => {
    for (const some of slicesOf(values)) {
      const texts: string[] = [];
      for (let at = 0; at < some.length; at += COLUMNS) {
        texts.push(hash("sha256", `${some[at]}\0${some[at + 1]}`, "binary"));
      }
      ofRows(some.length / COLUMNS).run(some, { prints: Buffer.from(texts.join(""), "latin1") });
    }
  };
}

function statementsOf(db: Database, sql: (rows: number) => string): (rows: number) => Statement {
  const statements = new Map<number, Statement>();
  return (rows) => {
    const known = statements.get(rows);
    if (known !== undefined) return known;
    const made = db.prepare(sql(rows));
    statements.set(rows, made);
    return made;
  };
}

function* slicesOf(values: readonly string[]): Iterable<readonly string[]> {
  const step = ROWS_A_STATEMENT * COLUMNS;
  for (let from = 0; from < values.length; from += step) yield values.slice(from, from + step);
}

function* rowsOf(db: Database, random: boolean): Iterable<readonly Row[]> {
  const [columns, key] = random ? ["id, content, number", "number"] : ["id, content, id", "id"];
  const sql = `SELECT ${columns} FROM item WHERE ${key} > ? ORDER BY ${key} LIMIT ${ROWS_A_PAGE}`;
  const page = db.prepare(sql).raw();
  let after: unknown = random ? 0 : "";
  for (;;) {
    const rows = page.all(after) as unknown as readonly (readonly [string, string, unknown])[];
    const last = rows.at(-1);
    if (last === undefined) return;
    after = last[2];
    yield rows as unknown as readonly Row[];
  }
}

function* markedRows(db: Database): Iterable<readonly Row[]> {
  yield db.prepare("SELECT id, content FROM marked JOIN item USING (id)").raw().all() as unknown as readonly Row[];
}

function* batchesOf(pages: Iterable<readonly Row[]>, tally: { rows: number }): Iterable<Buffer> {
  const writer = createBatchWriter();
  for (const rows of pages) {
    tally.rows += rows.length;
    for (const row of rows) {
      const full = writer.add(row);
      if (full !== undefined) yield full;
    }
  }
  const rest = writer.rest();
  if (rest !== undefined) yield rest;
}

function largeItems(
  db: Database,
  transaction: Transaction,
): Pick<BareStore, "putLarge" | "largePieces" | "largeBytes"> {
  const insert = db.prepare("INSERT OR REPLACE INTO large VALUES (?, ?, ?)");
  const select = db.prepare("SELECT piece FROM large WHERE id = ? AND number = ?").pluck();
  return {
    putLarge(id, piece, number) {
      transaction.begin();
      insert.run(id, number, piece);
    },
    *largePieces(id) {
      for (let number = 0; ; number++) {
        const piece = select.get(id, number) as Buffer | undefined;
        if (piece === undefined) return;
        yield piece;
      }
    },
    largeBytes: (id) =>
      Number(db.prepare("SELECT coalesce(sum(length(piece)), 0) FROM large WHERE id = ?").pluck().get(id)),
  };
}
