import { asBuffer } from "../../core/content.js";
import type { ChangesQuery, ChangesRead } from "./change-reads.js";
import { after } from "./run-operation.js";
import type { Awaitable, Store } from "./store.js";

/** Pages that are remembered: live readers are at the same place, or a few commits apart. */
const REMEMBERED = 16;

/** Pages of the change feed that many readers ask for, read once. */
export interface SharedReads {
  readChanges(query: ChangesQuery): Awaitable<ChangesRead | undefined>;
  /** The collections have changed, or something of them was removed: what was read is not true any more. */
  forget(): void;
}

/**
 * Reads of a store, remembered until something is written. Readers of the same place get the same object, and so can share
 * what is made of it.
 */
export function createSharedReads(store: Pick<Store, "readChanges">): SharedReads {
  const remembered = new Map<string, ChangesRead>();
  let generation = 0;

  return {
    readChanges(query) {
      const key = keyOf(query);
      const known = remembered.get(key);
      if (known !== undefined) return known;
      const asked = generation;
      return after(store.readChanges(query), (read) => {
        // A write that was made while an asynchronous store was reading may be in it or not.
        if (read === undefined || asked !== generation) return read;
        // At the head there is nothing to read: that is made anew as fast as it is found.
        if (read.through === query.after) return read;
        if (remembered.size >= REMEMBERED) remembered.clear();
        remembered.set(key, read);
        return read;
      });
    },
    forget() {
      generation += 1;
      remembered.clear();
    },
  };
}

function keyOf({ uid, after: from, tombstonesAfter, maxBytes, maxChanges, inlineBytes }: ChangesQuery): string {
  return `${asBuffer(uid).toString("latin1")}${from} ${tombstonesAfter} ${maxBytes} ${maxChanges} ${inlineBytes}`;
}
