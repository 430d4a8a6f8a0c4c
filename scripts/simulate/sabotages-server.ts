import type { Store } from "../../server/store/store.js";
import type { Write } from "../../server/store/write-batch.js";
import { answerOf } from "./outsider.js";
import type { Sabotage } from "./sabotage.js";

/** What is taken out by something put before the server's store. */
export const SERVER_SABOTAGES: readonly Sabotage[] = [
  {
    name: "expected-fingerprint",
    removes: "R2: the server changes an item whatever fingerprint the client expects there",
    store: (store) => {
      return changeWrites(store, (write, held) => ({ ...write, expected: write.expected === "any" ? "any" : held }));
    },
  },
  {
    name: "revision-seen",
    removes: "R2: the server changes an item also if it changed after the revision that the client has seen",
    store: (store) => changeWrites(store, (write) => ({ ...write, seen: undefined })),
  },
  {
    name: "compare-and-set",
    removes: "R2: the server changes items blindly",
    store: (store) => changeWrites(store, (write) => ({ ...write, expected: "any", seen: undefined })),
  },
  {
    name: "server-conflict-records",
    removes: "what a push overrides at the server is not kept",
    store: (store) => changeWrites(store, (write) => ({ ...write, overrides: undefined })),
  },
  {
    name: "group-commit",
    removes: "the changes of an atomic group are committed each by itself",
    store: (store) => changeWrites(store, (write) => ({ ...write, group: 0 })),
  },
  {
    name: "tombstone-horizon",
    removes: "checkpoints older than the tombstones that are left are served",
    store: (store) => ({
      ...store,
      getCollection: (name) => forgetHorizon(answerOf(store.getCollection(name))),
      readChanges: (query) => forgetHorizon(answerOf(store.readChanges(query))),
      readRanges: (query) => forgetHorizon(answerOf(store.readRanges(query))),
    }),
  },
  {
    name: "live-feed",
    removes: "live: the server does not hear that its collection has advanced",
    deaf: "server",
  },
  {
    name: "visibility-order",
    removes: "R7: a reader passes a revision before it can be seen",
    store: (store) => ({
      ...store,
      readChanges: (query) => {
        const read = answerOf(store.readChanges(query));
        const last = read?.changes.at(-1)?.revision ?? 0;
        if (read === undefined || last % 3 !== 1) return read;
        return { ...read, changes: read.changes.filter(({ revision }) => revision !== last) };
      },
    }),
  },
  {
    name: "head-of-first-answer",
    removes: "after recovery the feed is read from the head of the last answer, not the first",
    store: (store) => {
      let head = 0;
      return {
        ...store,
        readRanges(query) {
          const read = answerOf(store.readRanges(query));
          head = read?.revision ?? 0;
          return read;
        },
        readChanges(query) {
          const after = Math.max(query.after, head);
          head = 0;
          return store.readChanges({ ...query, after });
        },
      };
    },
  },
  {
    name: "epochs",
    removes: "a server that was restored goes on in the epoch that it was in",
    sameEpoch: true,
  },
];

/** The store with every write changed on its way; `held` is the fingerprint that is there. */
function changeWrites(store: Store, change: (write: Write, held: Uint8Array | undefined) => Write): Store {
  return {
    ...store,
    write: (batches) => {
      return store.write(
        batches.map((batch) => {
          const ids = batch.writes.map(({ id }) => id);
          const read = answerOf(store.readItems({ uid: batch.uid, ids, maxBytes: 1e9 }));
          return { ...batch, writes: batch.writes.map((write, at) => change(write, read?.items[at]?.fingerprint)) };
        }),
      );
    },
  };
}

function forgetHorizon<T extends { readonly compactedRevision: number }>(read: T | undefined): T | undefined {
  return read === undefined ? undefined : { ...read, compactedRevision: 0 };
}
