import type { OutgoingBatch, OutgoingQuery } from "./store.js";

/** Changes that were remembered as sent when they were written, and have not been taken since. */
export interface EarlySendings {
  /** The transaction that wrote this one is made. */
  add(sequence: number): void;
  /** What was taken, with these as they are: never sent before. */
  taken(batch: OutgoingBatch): OutgoingBatch;
  /** From now on they are taken for what may have been sent. */
  forget(): void;
}

/**
 * None yet. They are kept in memory only: whoever opens the replica anew can't know that nothing was sent after it was
 * remembered as sent, and takes it for what may have arrived.
 */
export function createEarlySendings(): EarlySendings {
  const early = new Set<number>();
  return {
    add: (sequence) => void early.add(sequence),
    forget: () => early.clear(),
    taken(batch) {
      if (early.size === 0) return batch;
      const changes = batch.changes.map((change) =>
        early.has(change.sequence) ? { ...change, resent: false } : change,
      );
      // Those that are not among them were overwritten, or are left for later: then they may as well have been sent.
      early.clear();
      return { ...batch, changes };
    },
  };
}

/**
 * Remembers as sent what was just written, if it can be (ReplicaStore.write), in the transaction that wrote it. Eager, by id
 * and one at most: so nothing is taken that was sent in an earlier version, that is held, in a group, or large.
 */
export function sendsEarly(id: string, wholeBytes: number, take: (query: OutgoingQuery) => OutgoingBatch): boolean {
  const query = { select: { ids: [id] }, maxBytes: wholeBytes, maxChanges: 1, eager: true };
  return take(query).changes.length > 0;
}
