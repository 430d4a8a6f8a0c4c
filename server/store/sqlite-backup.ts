import { randomBytes } from "node:crypto";
import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  rmSync,
  statSync,
} from "node:fs";
import { dirname, resolve } from "node:path";
import { type Database, openDatabase, toStorageError } from "../../core/sqlite.js";
import { StorageError } from "../../core/storage-error.js";
import { createDirectory, removeCreated } from "./directory.js";
import { LOCK_FILE, lockDirectory } from "./sqlite-lock.js";
import { checkOwner, dataFilePath } from "./sqlite-schema.js";

const LOG_SUFFIXES = ["-wal", "-shm", "-journal"];

/**
 * Copies the data of a directory into one file, as it is at one moment; a server may have the directory and write meanwhile,
 * in this or another process. The file is there whole or not at all. Blocks until it is done.
 *
 * @throws StorageError `exists` where `to` is there already, `foreign` where the directory's data is not ours, `full`,
 * `damaged`, or `failed`, also where there is no data.
 */
export function backupDataFile(directory: string, to: string): void {
  const path = dataFilePath(directory);
  if (!existsSync(path)) throw new StorageError("failed", `there is no data to back up: no ${path}`);
  makeWhole(to, `cannot make the backup ${to}`, (draft) => {
    const database = openDatabase(path, { readonly: true });
    try {
      checkOwner(database, path);
      database.prepare<[string]>("VACUUM INTO ?").run(draft);
    } catch (error) {
      const { code } = error as { code?: unknown };
      // No room, or no such directory: that is about the new file.
      throw toStorageError(error, code === "SQLITE_FULL" || code === "SQLITE_CANTOPEN" ? to : path);
    } finally {
      database.close();
    }
  });
}

/**
 * Puts a backup into a directory that has no data, for a server to open; the directory is created where it is missing. A
 * server that opens it begins a new epoch, so that replicas notice. Where it fails, no directory is left that it made.
 *
 * @throws StorageError `exists` where the directory has data or leftovers of some, `busy` where a server has it, `foreign`
 * where the file is not ours, `damaged` where it does not read as it should, `full` or `failed`.
 */
export function restoreDataFile(backupFile: string, directory: string): void {
  if (!existsSync(backupFile)) throw new StorageError("failed", `there is no backup at ${backupFile}`);
  refuseLogs(backupFile);
  const made = createDirectory(directory);
  const lock = lockDirectory(directory);
  try {
    const path = dataFilePath(directory);
    refuseData(path);
    makeWhole(path, `cannot restore ${path}`, (draft) => {
      copyFileSync(backupFile, draft, constants.COPYFILE_EXCL);
      // A backup may be kept read-only; a server writes to its data.
      chmodSync(draft, (statSync(draft).mode & 0o777) | 0o600);
      checkBackup(draft, backupFile);
    });
  } catch (error) {
    // Before the lock is given up: a server that waits for the directory must not come to have a part of it.
    removeCreated(made, LOCK_FILE);
    throw error;
  } finally {
    lock.release();
  }
}

/** A file with a log beside it is in use, or lacks what is in the log: a copy of it would not be what it was. */
function refuseLogs(backupFile: string): void {
  const log = ["-wal", "-journal"].map((suffix) => backupFile + suffix).find((file) => existsSync(file));
  if (log === undefined) return;
  const advice = "it is the data of a server rather than a backup; make a backup of its directory";
  throw new StorageError("failed", `cannot restore ${backupFile}: there is ${log} beside it, so ${advice}`);
}

function refuseData(path: string): void {
  if (existsSync(path)) {
    throw new StorageError("exists", `cannot restore ${path}: it is there already; name an empty directory`);
  }
  const leftovers = LOG_SUFFIXES.map((suffix) => path + suffix).filter((file) => existsSync(file));
  if (leftovers.length === 0) return;
  // SQLite would take a log of this name for the new file's own.
  const found = `there are leftovers of other data: ${leftovers.join(", ")}`;
  throw new StorageError("exists", `cannot restore ${path}: ${found}; name an empty directory`);
}

/** Reads all of a copy. What it throws names the file that was copied. */
function checkBackup(draft: string, backupFile: string): void {
  let database: Database | undefined;
  try {
    database = openDatabase(draft);
    if (checkOwner(database, backupFile) === 0) {
      throw new StorageError("foreign", `${backupFile} is empty, not a backup of a Tercet server`);
    }
    const problem = database.prepare<[], string>("PRAGMA quick_check(1)").pluck().get();
    if (problem !== "ok") throw new StorageError("damaged", `${backupFile} is damaged: ${problem}`);
  } catch (error) {
    const cause = error instanceof StorageError ? (error.cause ?? error) : error;
    throw toStorageError(cause, backupFile);
  } finally {
    database?.close();
  }
}

/**
 * Makes a file by way of a draft beside it, durably; a file that is there is not replaced.
 *
 * @throws StorageError as `make` throws it, or `exists`, or of what failed: "<failure>: <why>".
 */
function makeWhole(path: string, failure: string, make: (draft: string) => void): void {
  const exists = new StorageError("exists", `${failure}: the file exists`);
  if (existsSync(path)) throw exists;
  const draft = `${path}.${randomBytes(6).toString("hex")}.new`;
  try {
    make(draft);
    sync(draft, "r+");
    // Unlike a rename, a link does not replace what came to be there meanwhile.
    linkSync(draft, path);
  } catch (error) {
    if (error instanceof StorageError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") throw exists;
    throw new StorageError(code === "ENOSPC" ? "full" : "failed", `${failure}: ${message}`, { cause: error });
  } finally {
    for (const file of ["", ...LOG_SUFFIXES]) rmSync(draft + file, { force: true });
  }
  sync(dirname(resolve(path)), "r");
}

/** Brings a file, or the names in a directory, onto the disk. */
function sync(path: string, flags: "r" | "r+"): void {
  const file = openSync(path, flags);
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
