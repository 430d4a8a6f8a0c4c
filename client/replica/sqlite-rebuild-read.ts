import { randomBytes } from "node:crypto";
import {
  closeSync,
  copyFileSync,
  existsSync,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from "node:fs";
import { type Database, openDatabase, toStorageError } from "../../core/sqlite.js";
import { StorageError } from "../../core/storage-error.js";
import { openPages, PAGE_BYTES } from "./sqlite-rebuild-pages.js";
import type { RecordForm } from "./sqlite-rebuild-record.js";
import { openTree, type Tree } from "./sqlite-rebuild-tree.js";
import { createFile, SCHEMA_VERSION } from "./sqlite-schema.js";

/*
 * Reading a replica file that is damaged. The file itself is only read: what is worked on is a copy. Every replica has the
 * same schema at the same pages, so that a new one can lend its first pages where those of the copy can't be used.
 */

/** Columns of `progress` in the first schema version. */
const FIRST_PROGRESS_COLUMNS = 16;
const HEADER_BYTES = 100;
/** Within the header: the number of pages, and what free pages there are. */
const PAGE_COUNT_AT = 28;
const FREE_LIST_AT = 32;
/** B-tree page whose children are pages of the same tree. */
const INTERIOR_PAGE = 0x05;

/** A copy of a damaged replica, to be read. */
export interface Salvage {
  /** A table or an index of the schema. SQLite itself does not read them: sqlite-rebuild-tree.ts says why. */
  tree(name: string): Tree;
  /** Removes the copy. */
  close(): void;
}

/**
 * Copies a damaged replica beside `to`, and opens the copy.
 *
 * @throws StorageError `failed` where there is no such file, `busy` where somebody has it open, `foreign` where a newer
 * version wrote it.
 */
export function openSalvage(path: string, to: string): Salvage {
  if (!existsSync(path)) throw new StorageError("failed", `there is no replica at ${path}`);
  if (statSync(path).size < HEADER_BYTES) {
    throw new StorageError("foreign", `${path} has nothing that could be read as a replica`);
  }
  refuseBusy(path);
  const copy = `${to}.${randomBytes(6).toString("hex")}.copy`;
  const remove = (): void => {
    for (const suffix of ["", "-wal", "-shm"]) rmSync(copy + suffix, { force: true });
  };
  let db: Database | undefined;
  try {
    copyFileSync(path, copy);
    if (existsSync(`${path}-wal`)) copyFileSync(`${path}-wal`, `${copy}-wal`);
    const lent = templatePages(to);
    // A file that was cut short: where its tables begin there must be pages, be they empty.
    const size = Math.max(Math.ceil(statSync(copy).size / PAGE_BYTES) * PAGE_BYTES, lent.bytes);
    truncateSync(copy, size);
    lend(copy, [[1, (lent[0] as LentPage)[1].subarray(0, HEADER_BYTES)]]);
    db = openDatabase(copy, { timeout: 0 });
    const schema = readSchema(db);
    if (schema !== lent.schema) {
      refuseNewer(path, schema);
      db.close();
      rmSync(`${copy}-shm`, { force: true });
      lend(copy, lent);
      db = openDatabase(copy, { timeout: 0 });
    }
    // What is in the log comes to the pages.
    db.pragma("wal_checkpoint(TRUNCATE)");
    const forms = readForms(db);
    db.close();
    const pages = openPages(copy);
    return {
      tree(name) {
        const form = forms.get(name);
        if (form === undefined) throw new Error(`a replica has no ${name}`);
        return openTree(pages, form.root, form);
      },
      close() {
        pages.close();
        remove();
      },
    };
  } catch (error) {
    db?.close();
    remove();
    throw toStorageError(error, path);
  }
}

/** A replica that is open is locked for all others. A connection that only reads leaves no trace in the file. */
function refuseBusy(path: string): void {
  const beside = ["-wal", "-shm"].map((suffix) => path + suffix).filter((file) => !existsSync(file));
  const db = openDatabase(path, { readonly: true, timeout: 0 });
  try {
    db.prepare("SELECT 1 FROM sqlite_master LIMIT 1").get();
  } catch (error) {
    const mapped = toStorageError(error, path);
    if (mapped instanceof StorageError && mapped.kind === "busy") {
      throw new StorageError("busy", `${path} is in use by another process, or open in this one`, { cause: error });
    }
  } finally {
    db.close();
    // What only this connection made. A log that was there is the replica's own.
    const log = statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
    if (log === 0) for (const file of beside) rmSync(file, { force: true });
  }
}

type LentPage = readonly [number: number, bytes: Buffer];

/** The pages of a new replica that have the schema, and what they say. */
function templatePages(
  to: string,
): readonly LentPage[] & { readonly schema: string | undefined; readonly bytes: number } {
  const path = `${to}.${randomBytes(6).toString("hex")}.template`;
  try {
    createFile(path, "template", Buffer.alloc(16));
    const file = readFileSync(path);
    const pageAt = (number: number): Buffer => file.subarray((number - 1) * PAGE_BYTES, number * PAGE_BYTES);
    const first = pageAt(1);
    const children: number[] = [];
    if (first[HEADER_BYTES] === INTERIOR_PAGE) {
      const cells = first.readUInt16BE(HEADER_BYTES + 3);
      for (let at = 0; at < cells; at += 1) {
        children.push(first.readUInt32BE(first.readUInt16BE(HEADER_BYTES + 12 + at * 2)));
      }
      children.push(first.readUInt32BE(HEADER_BYTES + 8));
    }
    const db = openDatabase(path, { readonly: true });
    try {
      const pages = [1, ...children].map((number): LentPage => [number, Buffer.from(pageAt(number))]);
      return Object.assign(pages, { schema: readSchema(db), bytes: file.length });
    } finally {
      db.close();
    }
  } finally {
    for (const suffix of ["", "-wal", "-shm"]) rmSync(path + suffix, { force: true });
  }
}

/** Overwrites pages; the first one says how many there are, and that none is free. */
function lend(path: string, pages: readonly LentPage[]): void {
  const file = openSync(path, "r+");
  try {
    for (const [number, bytes] of pages) {
      const page = Buffer.from(bytes);
      if (number === 1) {
        page.writeUInt32BE(Math.max(1, Math.floor(fstatSync(file).size / PAGE_BYTES)), PAGE_COUNT_AT);
        page.fill(0, FREE_LIST_AT, FREE_LIST_AT + 8);
      }
      writeSync(file, page, 0, page.length, (number - 1) * PAGE_BYTES);
    }
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** What tables and indexes there are, and where; undefined where that can't be read. */
function readSchema(db: Database): string | undefined {
  try {
    const rows = db.prepare("SELECT type, name, rootpage, sql FROM sqlite_master ORDER BY name").raw().all();
    return JSON.stringify(rows);
  } catch {
    return undefined;
  }
}

/** A schema that can be read whole and is another one is no damage. */
function refuseNewer(path: string, schema: string | undefined): void {
  const header = readFileSync(path).subarray(0, HEADER_BYTES);
  const version = header.readUInt32BE(60);
  if (schema === undefined || !header.toString("latin1").startsWith("SQLite format 3")) return;
  if (version <= SCHEMA_VERSION) return;
  const message = `${path} has schema version ${version}: a newer Tercet wrote it, or it is no replica`;
  throw new StorageError("foreign", message);
}

/** Where each table and index of the schema begins, and how it is stored. */
function readForms(db: Database): ReadonlyMap<string, RecordForm & { readonly root: number }> {
  const columns = `CASE type WHEN 'index' THEN (SELECT count(*) FROM pragma_index_xinfo(m.name))
    ELSE (SELECT count(*) FROM pragma_table_info(m.name)) END`;
  // A table without row ids is stored as an index.
  const isIndex = "type = 'index' OR EXISTS (SELECT 1 FROM pragma_table_list(m.name) WHERE wr = 1)";
  const query = `SELECT name, rootpage, ${columns}, ${isIndex} FROM sqlite_master AS m WHERE rootpage > 0`;
  const rows = db.prepare<[], [name: string, root: number, columns: number, isIndex: number]>(query).raw().all();
  return new Map(
    rows.map(([name, root, count, index]) => {
      const leastColumns = name === "progress" ? FIRST_PROGRESS_COLUMNS : count;
      return [name, { root, columns: count, leastColumns, isIndex: index === 1 }];
    }),
  );
}
