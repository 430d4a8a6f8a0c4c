import type { Logger } from "pino";
import { StorageError } from "../../core/storage-error.js";
import type { CollectionState } from "../store/collection-state.js";
import type { Store } from "../store/store.js";
import { inSlices, nextTurn } from "./in-slices.js";

/** What housekeeping works with. Time is handed in, so that a test need not wait for it. */
export interface HousekeepingWorld {
  readonly store: Pick<Store, "listCollections" | "compact" | "pruneConflicts" | "pruneUploads">;
  readonly log: Pick<Logger, "info" | "error">;
  /** Microseconds since 1970. */
  nowUs(): number;
  /** Calls `run` again and again until what it returns is called. */
  repeat(run: () => void): () => void;
  /** How long a deletion is remembered for replicas that are away, in microseconds. 0: for ever. */
  readonly tombstoneRetentionUs: number;
  /** How long a version that gave way is kept, in microseconds. 0: for ever. */
  readonly conflictRetentionUs: number;
}

/** What a server does by itself: moves tombstone horizons, and removes old conflict records and forgotten uploads. */
export interface Housekeeping {
  /** Does it once; resolves when it is done. Two at a time are one. Never rejects: errors are logged, and the next time comes. */
  run(): Promise<void>;
  /** No more of it; resolves once the store is not used any more. May be called again. */
  stop(): Promise<void>;
}

const COLLECTIONS_AT_ONCE = 100;
/** How long an upload may rest before it is forgotten, in microseconds: a day. */
const UPLOAD_RETENTION_US = 86_400_000_000;
/** An upload may have a thousand rows. */
const UPLOADS_AT_ONCE = 1;

/** Does it once in the next turn of the event loop, and then as often as the world says. */
export function startHousekeeping(world: HousekeepingWorld): Housekeeping {
  const { store, log, tombstoneRetentionUs, conflictRetentionUs } = world;
  let stopped = false;
  let running: Promise<void> | undefined;
  const goesOn = (): boolean => !stopped;

  async function pass(): Promise<void> {
    await nextTurn();
    const nowUs = world.nowUs();
    try {
      const compacted = tombstoneRetentionUs === 0 ? 0 : await compactAll(store, nowUs - tombstoneRetentionUs, goesOn);
      const prune = (limit: number) => store.pruneConflicts(nowUs - conflictRetentionUs, limit);
      const pruned = conflictRetentionUs === 0 ? 0 : await inSlices(prune, goesOn);
      const uploads = (limit: number) => store.pruneUploads(nowUs - UPLOAD_RETENTION_US, limit);
      const forgotten = await inSlices(uploads, goesOn, UPLOADS_AT_ONCE);
      const removed = { compacted, pruned, uploads: forgotten };
      if (compacted + pruned + forgotten > 0) log.info(removed, "old tombstones, conflict records and uploads removed");
    } catch (error) {
      const context = error instanceof StorageError ? { storage: error.kind, why: error.message } : { err: error };
      log.error(context, "what is old could not be removed; it is tried again later");
    }
  }

  function run(): Promise<void> {
    if (stopped) return running ?? Promise.resolve();
    running ??= pass().finally(() => {
      running = undefined;
    });
    return running;
  }

  const endTimer = world.repeat(() => void run());
  void run();
  return {
    run,
    async stop() {
      stopped = true;
      endTimer();
      await running;
    },
  };
}

/** Compacts one collection a turn of the event loop; answers in how many a horizon moved. */
async function compactAll(
  store: Pick<Store, "listCollections" | "compact">,
  beforeUs: number,
  goesOn: () => boolean,
): Promise<number> {
  let moved = 0;
  let page: readonly CollectionState[] = [];
  do {
    page = await store.listCollections(page.at(-1)?.name ?? "", COLLECTIONS_AT_ONCE);
    for (const { uid, compactedRevision } of page) {
      await nextTurn();
      if (!goesOn()) return moved;
      const horizon = await store.compact({ uid, beforeUs });
      if (horizon !== undefined && horizon > compactedRevision) moved += 1;
    }
  } while (page.length === COLLECTIONS_AT_ONCE);
  return moved;
}
