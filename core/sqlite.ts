import { createRequire } from "node:module";
import type BetterSqlite3 from "better-sqlite3";
import { StorageError, type StorageErrorKind } from "./storage-error.js";

/** A connection to a SQLite file. */
export type Database = BetterSqlite3.Database;
/** A prepared statement. */
export type Statement<P extends unknown[] = unknown[], R = unknown> = BetterSqlite3.Statement<P, R>;
/** How a connection is opened. */
export type DatabaseOptions = BetterSqlite3.Options;

const require = createRequire(import.meta.url);

/**
 * better-sqlite3 for the Node in use. Version 13 needs Node 22 or later and brings its binary; version 12 is for Node 20,
 * and must not be built against the headers of a late Node 24 (WiseLibs/better-sqlite3#1514, nodejs/node#65446).
 */
function loadDriver(): typeof BetterSqlite3 {
  const major = Number(process.versions.node.split(".")[0]);
  const name = major >= 22 ? "better-sqlite3-node22" : "better-sqlite3";
  try {
    return require(name) as typeof BetterSqlite3;
  } catch (cause) {
    throw new StorageError("failed", `SQLite's driver (${name}) is not installed for Node ${process.version}`, {
      cause,
    });
  }
}

let driver: typeof BetterSqlite3 | undefined;

/** Opens a SQLite file. What it or any later call throws goes through `toStorageError`. */
export function openDatabase(path: string, options?: DatabaseOptions): Database {
  driver ??= loadDriver();
  try {
    return new driver(path, options);
  } catch (error) {
    throw toStorageError(error, path);
  }
}

/** What SQLite threw, as a StorageError that names the file; anything else as it is. */
export function toStorageError(error: unknown, path: string): unknown {
  if (error instanceof StorageError || !(error instanceof Error)) return error;
  const code = (error as { code?: unknown }).code;
  if (typeof code !== "string" || !code.startsWith("SQLITE_")) {
    return error instanceof TypeError && /directory/.test(error.message)
      ? new StorageError("failed", `cannot open ${path}: its directory does not exist`, { cause: error })
      : error;
  }
  return new StorageError(kindOf(code), `${path}: ${error.message} (${code})`, { cause: error });
}

function kindOf(code: string): StorageErrorKind {
  if (code.startsWith("SQLITE_FULL")) return "full";
  if (code.startsWith("SQLITE_BUSY") || code.startsWith("SQLITE_LOCKED")) return "busy";
  if (code.startsWith("SQLITE_NOTADB")) return "foreign";
  if (code.startsWith("SQLITE_CORRUPT")) return "damaged";
  return "failed";
}
