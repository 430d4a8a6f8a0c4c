import { join } from "node:path";
import { openDatabase, toStorageError } from "../../core/sqlite.js";
import { StorageError } from "../../core/storage-error.js";

/** Its file in the directory. */
export const LOCK_FILE = "tercet.lock";

/** The lock on a data directory. */
export interface DirectoryLock {
  /** Lets another server have the directory. */
  release(): void;
}

/**
 * Takes a data directory for this process alone, or throws a StorageError of kind `busy`. The lock is an exclusive
 * transaction on a file of its own: the system drops it with the process, also after kill -9, it holds against other
 * stores of the same process, and tercet.db stays readable for a backup.
 *
 * Closing any other descriptor of tercet.lock in this process would drop the lock (POSIX): never copy or read that file.
 */
export function lockDirectory(directory: string): DirectoryLock {
  const path = join(directory, LOCK_FILE);
  const database = openDatabase(path, { timeout: 0 });
  try {
    database.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    database.close();
    const failure = toStorageError(error, path);
    if (!(failure instanceof StorageError) || failure.kind !== "busy") throw failure;
    throw new StorageError("busy", `the data directory ${directory} is in use by another server`, { cause: error });
  }
  return {
    release() {
      database.close();
    },
  };
}
