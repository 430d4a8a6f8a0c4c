import type { ReplicaStore } from "./replica/store.js";

/**
 * A store that tells when the application has changed something in it: once for all changes of a turn of the event loop,
 * after it. What an exchange writes is not told.
 */
export function noticeWrites(held: ReplicaStore, tell: () => void): ReplicaStore {
  let due = false;

  function noticed<T>(result: T): T {
    if (!due) {
      due = true;
      setImmediate(() => {
        due = false;
        tell();
      });
    }
    return result;
  }

  return {
    ...held,
    write: (changes, nowUs, group) => noticed(held.write(changes, nowUs, group)),
    settleConflict: (number, restore, nowUs) => noticed(held.settleConflict(number, restore, nowUs)),
    resolveHeld: (id, how, nowUs, group) => noticed(held.resolveHeld(id, how, nowUs, group)),
  };
}
