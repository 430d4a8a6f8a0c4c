import type { Database } from "../../core/sqlite.js";

/** Writes what is in the log back into the file, between transactions and not at the end of one. */
export interface Checkpointing {
  /** To be called after transactions: whether there is enough in the log. */
  isDue(): boolean;
  /** Writes back what there is, in a turn of its own. Everybody else waits for it: some 10 ms. */
  run(): void;
}

/** Pages in the log that are written back in any case: pages which are written again and again go once, not often. */
const MOST_PAGES = 4_096;
/** Where most of them are new pages of the file, each is written once anyhow, and fewer take less time at once. */
const MOST_NEW_PAGES = 800;

interface Log {
  readonly log: number;
  readonly checkpointed: number;
}

/** Prepares the statements. */
export function prepareCheckpointing(database: Database): Checkpointing {
  const look = database.prepare<[], Log>("PRAGMA wal_checkpoint(NOOP)");
  // PASSIVE waits for nobody: a backup that reads keeps it from going further than it does.
  const checkpoint = database.prepare<[], Log>("PRAGMA wal_checkpoint(PASSIVE)");
  const countPages = database.prepare<[], number>("PRAGMA page_count").pluck();
  let pagesBefore = countPages.get() ?? 0;
  return {
    isDue() {
      const { log, checkpointed } = look.get() ?? { log: 0, checkpointed: 0 };
      const waiting = log - checkpointed;
      if (waiting < MOST_NEW_PAGES) return false;
      return waiting >= MOST_PAGES || (countPages.get() ?? 0) - pagesBefore >= waiting / 2;
    },
    run() {
      checkpoint.get();
      pagesBefore = countPages.get() ?? 0;
    },
  };
}
