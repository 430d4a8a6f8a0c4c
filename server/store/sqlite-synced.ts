import { asBuffer } from "../../core/content.js";
import { after } from "./run-operation.js";
import type { SqliteStore } from "./sqlite.js";
import type { Awaitable, Store } from "./store.js";

/**
 * A SQLite store whose writes wait for the disk while others have their turns. Until they are there, and for good where that
 * fails, nobody reads the collections that they have changed: what a reader has seen must not be lost any more. After such a
 * failure nothing is changed any more either: in the log it would stand behind what may not be there.
 */
export function createSyncedStore(sqlite: SqliteStore): Store {
  /** Writes that are not on the disk yet, with the collections that they change; the last one last. */
  let unsynced: readonly { readonly keys: ReadonlySet<string>; readonly done: Promise<unknown> }[] = [];
  let failure: { readonly error: unknown } | undefined;
  const keyOf = (uid: Uint8Array): string => asBuffer(uid).toString("latin1");

  function whenSynced<T>(uid: Uint8Array, read: () => Awaitable<T>): Awaitable<T> {
    if (unsynced.length === 0) return read();
    const key = keyOf(uid);
    const pending = unsynced.findLast(({ keys }) => keys.has(key));
    return pending === undefined ? read() : pending.done.then(() => whenSynced(uid, read));
  }

  function whenAllSynced<T>(read: () => T): Awaitable<T> {
    if (unsynced.length === 0) return read();
    return Promise.all(unsynced.map(({ done }) => done)).then(() => whenAllSynced(read));
  }

  const reader =
    <Query extends { readonly uid: Uint8Array }, T>(read: (query: Query) => T) =>
    (query: Query): Awaitable<T> =>
      whenSynced(query.uid, () => read(query));

  const changer =
    <Given extends unknown[], T>(change: (...given: Given) => T) =>
    (...given: Given): T => {
      if (failure !== undefined) throw failure.error;
      return change(...given);
    };

  const createCollection = changer(sqlite.createCollection);
  const write = changer(sqlite.writeAside);
  return {
    ...sqlite,
    deleteCollection: changer(sqlite.deleteCollection),
    upload: changer(sqlite.upload),
    dropUpload: changer(sqlite.dropUpload),
    pruneUploads: changer(sqlite.pruneUploads),
    compact: changer(sqlite.compact),
    pruneConflicts: changer(sqlite.pruneConflicts),
    getCollection(name) {
      const state = sqlite.getCollection(name);
      // Which one it is, is known; what it holds may have to wait.
      return state === undefined ? undefined : whenSynced(state.uid, () => sqlite.getCollection(name));
    },
    listCollections: (from, limit) => whenAllSynced(() => sqlite.listCollections(from, limit)),
    createCollection: (creation) =>
      after(createCollection(creation), (made) =>
        whenSynced(made.state.uid, () => (made.created ? made : createCollection(creation))),
      ),
    readChanges: reader(sqlite.readChanges),
    readItems: reader(sqlite.readItems),
    listItems: reader(sqlite.listItems),
    readPart: reader(sqlite.readPart),
    readRanges: reader(sqlite.readRanges),
    listConflicts: reader(sqlite.listConflicts),
    getConflict: (uid, number) => whenSynced(uid, () => sqlite.getConflict(uid, number)),
    readConflictPart: (uid, number, offset, length) =>
      whenSynced(uid, () => sqlite.readConflictPart(uid, number, offset, length)),
    getRequest: (requestId) => whenAllSynced(() => sqlite.getRequest(requestId)),
    write(batches) {
      const pending = write(batches);
      if (!(pending instanceof Promise)) return pending;
      const waiting = { keys: new Set(batches.map(({ uid }) => keyOf(uid))), done: pending };
      unsynced = [...unsynced, waiting];
      return pending.then(
        (written) => {
          unsynced = unsynced.filter((each) => each !== waiting);
          return written;
        },
        (error: unknown) => {
          failure ??= { error };
          throw error;
        },
      );
    },
  };
}
