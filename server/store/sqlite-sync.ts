import { close, fdatasync, fdatasyncSync, openSync } from "node:fs";

/** Brings the log of a SQLite file to the disk, as `synchronous = FULL` does in a commit. */
export interface LogSync {
  /**
   * Resolves once all that was committed before this call is on the disk; others have their turns meanwhile. Rejects where
   * the system says that it could not be written, and from then on always: what it has kept of it is not known any more.
   */
  sync(): Promise<void>;
  /**
   * The same while everybody waits, without the way to another thread and back, which may take longer than the disk. Throws
   * what `sync` rejects with.
   */
  syncNow(): void;
  /** Nothing is on its way to the disk. */
  readonly isIdle: boolean;
  /** Lets go of the log. */
  close(): void;
}

/** How a descriptor is synced. */
interface ToDisk {
  aside(descriptor: number, done: (error: NodeJS.ErrnoException | null) => void): void;
  now(descriptor: number): void;
}

const FDATASYNC: ToDisk = { aside: fdatasync, now: fdatasyncSync };

/**
 * The log of the SQLite file at `path`, which is there once the file was read, and stays as long as it is open. Any descriptor
 * of it will do: what was written by others goes to the disk, too. `toDisk` is for tests.
 */
export function createLogSync(path: string, toDisk: ToDisk = FDATASYNC): LogSync {
  let descriptor: number | undefined = openSync(`${path}-wal`, "r+");
  let underWay = 0;
  let isClosed = false;
  let failure: Error | undefined;

  /** A descriptor that is given back while it is in use may be another file's by then. */
  function release(): void {
    if (!isClosed || underWay > 0 || descriptor === undefined) return;
    close(descriptor, () => undefined);
    descriptor = undefined;
  }

  return {
    sync: () =>
      new Promise((resolve, reject) => {
        if (failure !== undefined || descriptor === undefined) return reject(failure);
        underWay += 1;
        toDisk.aside(descriptor, (error) => {
          underWay -= 1;
          release();
          if (error === null) return resolve();
          failure ??= error;
          reject(failure);
        });
      }),
    syncNow() {
      if (failure !== undefined || descriptor === undefined) throw failure;
      try {
        toDisk.now(descriptor);
      } catch (error) {
        failure = error as Error;
        throw failure;
      }
    },
    get isIdle() {
      return underWay === 0;
    },
    close() {
      isClosed = true;
      release();
    },
  };
}
