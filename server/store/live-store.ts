import { after } from "./run-operation.js";
import { createSharedReads } from "./shared-reads.js";
import type { Store } from "./store.js";

/**
 * A store whose changes are told to whoever waits for them (`advanced`: a collection and its last revision; Infinity: it is
 * gone), and whose change feed is read once for all who are at the same place.
 */
export function createLiveStore(store: Store, advanced: (uid: Uint8Array, revision: number) => void): Store {
  const reads = createSharedReads(store);
  return {
    ...store,
    readChanges: reads.readChanges,
    write: (batches) =>
      after(store.write(batches), (written) => {
        reads.forget();
        for (const [index, each] of written.entries()) {
          const uid = batches[index]?.uid;
          if (uid !== undefined && each !== undefined && each.revision > each.revisionBefore)
            advanced(uid, each.revision);
        }
        return written;
      }),
    deleteCollection: (uid) =>
      after(store.deleteCollection(uid), (deleted) => {
        reads.forget();
        if (deleted) advanced(uid, Number.POSITIVE_INFINITY);
        return deleted;
      }),
    compact: (query) =>
      after(store.compact(query), (horizon) => {
        reads.forget();
        return horizon;
      }),
  };
}
