import type { ReplicaStore } from "./replica/store.js";

/** Who is told of what the application writes. */
export interface WriteListener {
  /** The application has changed something. */
  notify(): void;
  /** Whether what is written now is sent as soon as this is notified of it. */
  sendsAtOnce(): boolean;
}

/**
 * A store that tells when the application has changed something in it: once for all changes of a turn of the event loop,
 * after it. What an exchange writes is not told.
 */
export function noticeWrites(held: ReplicaStore, { notify, sendsAtOnce }: WriteListener): ReplicaStore {
  let due = false;

  function noticed<T>(result: T): T {
    if (!due) {
      due = true;
      setImmediate(() => {
        due = false;
        notify();
      });
    }
    return result;
  }

  return {
    ...held,
    write: (changes, nowUs, group) => noticed(held.write(changes, nowUs, group, sendsAtOnce())),
    settleConflict: (number, restore, nowUs) => noticed(held.settleConflict(number, restore, nowUs)),
    resolveHeld: (id, how, nowUs, group) => noticed(held.resolveHeld(id, how, nowUs, group)),
  };
}
