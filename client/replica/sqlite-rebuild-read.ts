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
import { type Database, openDatabase, type Statement, toStorageError } from "../../core/sqlite.js";
import { StorageError } from "../../core/storage-error.js";
import { isWhole } from "./sqlite-rebuild-values.js";
import { createFile } from "./sqlite-schema.js";

/*
 * Reading a replica file that is damaged. The file itself is only read: what is worked on is a copy. Every replica has the
 * same schema at the same pages, so that a new one can lend its first pages where those of the copy can't be used.
 */

const PAGE_BYTES = 4096;
const HEADER_BYTES = 100;
/** Within the header: the number of pages, and what free pages there are. */
const PAGE_COUNT_AT = 28;
const FREE_LIST_AT = 32;
/** B-tree page whose children are pages of the same tree. */
const INTERIOR_PAGE = 0x05;
/** Attempts to read a table; what is left after so many counts as not readable. */
const MAX_PROBES = 50_000;
/** Where so many attempts came through nowhere, the whole table can't be read. */
const MAX_VAIN_PROBES = 256;

/** A copy of a damaged replica, to be read. */
export interface Salvage {
  readonly db: Database;
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
    const opened = db;
    return {
      db,
      close() {
        opened.close();
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
  if (schema === undefined || !header.toString("latin1").startsWith("SQLite format 3") || version < 2) return;
  const message = `${path} has schema version ${version}: a newer Tercet wrote it, or it is no replica`;
  throw new StorageError("foreign", message);
}

/** A row with its key first. */
export type KeyedRow = readonly [key: number, ...unknown[]];

/** What could be read of a table. */
export interface ReadTable {
  /** In the order of their keys. */
  readonly rows: readonly KeyedRow[];
  /** Ranges of keys that could not be read, bounds included. */
  readonly gaps: readonly (readonly [from: number, to: number])[];
}

/** Keys are looked for up to here where the file does not tell. */
export const FAR = 2 ** 40;

/** The last key of a table; FAR where it can't be found. */
export function lastKey(db: Database, table: string, key: string): number {
  const last = attempt(() => db.prepare<[], unknown>(`SELECT max(${key}) FROM ${table} NOT INDEXED`).pluck().get());
  if (last === null) return 0;
  return isWhole(last) && last < FAR ? last : FAR;
}

/** Reads a table by its integer key, row by row; what can't be read is passed over from both sides. */
export function readTable(
  db: Database,
  query: { readonly table: string; readonly key: string; readonly columns: string; readonly where?: string },
  last: number,
): ReadTable {
  const { table, key, columns, where = "true" } = query;
  const select = `SELECT ${key}, ${columns} FROM ${table} NOT INDEXED WHERE ${key} >= ? AND ${key} <= ? AND ${where}`;
  const rows = new Map<number, KeyedRow>();
  const gaps: (readonly [number, number])[] = [];
  const queue: (readonly [number, number])[] = [[1, last]];
  const up = attempt(() => db.prepare<[number, number], KeyedRow>(`${select} ORDER BY ${key}`).raw());
  const down = attempt(() => db.prepare<[number, number], KeyedRow>(`${select} ORDER BY ${key} DESC`).raw());
  let probes = 0;
  let through = 0;
  for (let at = 0; at < queue.length; at += 1) {
    const [from, to] = queue[at] as readonly [number, number];
    const vain = probes >= MAX_VAIN_PROBES && through === 0 && rows.size === 0;
    if (up === undefined || down === undefined || vain || probes >= MAX_PROBES) {
      gaps.push([from, to]);
      continue;
    }
    probes += 1;
    const low = readOn(up, from, to, 1, rows);
    const high = low === undefined ? undefined : readOn(down, low, to, -1, rows);
    if (low === undefined || high === undefined) through += 1;
    else if (low === high) gaps.push([low, high]);
    else {
      const middle = Math.floor((low + high) / 2);
      queue.push([low, middle], [middle + 1, high]);
    }
  }
  return { rows: [...rows.values()].sort((a, b) => a[0] - b[0]), gaps };
}

/** Reads in one direction; answers the key at which it could not go on, undefined where it came through. */
function readOn(
  statement: Statement<[number, number], KeyedRow>,
  from: number,
  to: number,
  step: 1 | -1,
  rows: Map<number, KeyedRow>,
): number | undefined {
  let next = step === 1 ? from : to;
  try {
    for (const row of statement.iterate(from, to)) {
      const key = row[0];
      const inOrder = Number.isSafeInteger(key) && (step === 1 ? key >= next && key <= to : key <= next && key >= from);
      if (!inOrder) return next;
      rows.set(key, row);
      next = key + step;
    }
    return undefined;
  } catch (error) {
    if (!isReadError(error)) throw error;
    return next >= from && next <= to ? next : undefined;
  }
}

/** What reading a damaged file may end with. */
function isReadError(error: unknown): boolean {
  const code = (error as { code?: unknown } | undefined)?.code;
  return (typeof code === "string" && code.startsWith("SQLITE_")) || error instanceof RangeError;
}

/** What a read answers; undefined where it can't be done. */
export function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!isReadError(error)) throw error;
    return undefined;
  }
}
