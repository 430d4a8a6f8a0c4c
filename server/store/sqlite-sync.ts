import { close, fdatasync, openSync } from "node:fs";

/** Brings the log of a SQLite file to the disk while others have their turns, as `synchronous = FULL` does in a commit. */
export interface LogSync {
  /**
   * Resolves once all that was committed before this call is on the disk. Rejects where the system says that it could not be
   * written, and from then on always: what it has kept of it is not known any more.
   */
  sync(): Promise<void>;
  /** Lets go of the log. */
  close(): void;
}

type ToDisk = (descriptor: number, done: (error: NodeJS.ErrnoException | null) => void) => void;

/**
 * The log of the SQLite file at `path`, which is there once the file was read, and stays as long as it is open. Any descriptor
 * of it will do: what was written by others goes to the disk, too. `toDisk` is for tests.
 */
export function createLogSync(path: string, toDisk: ToDisk = fdatasync): LogSync {
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
        toDisk(descriptor, (error) => {
          underWay -= 1;
          release();
          if (error === null) return resolve();
          failure ??= error;
          reject(failure);
        });
      }),
    close() {
      isClosed = true;
      release();
    },
  };
}
