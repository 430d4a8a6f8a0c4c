import type { LocalWrite } from "./local-items.js";
import type { OutgoingBatch, OutgoingQuery } from "./outgoing-batch.js";

/** Changes that were remembered as sent when they were written, and have not been taken since. */
export interface EarlySendings {
  /** The transaction is made that wrote what this says is to be sent; nothing has happened in the replica since. */
  add(batch: OutgoingBatch): void;
  /** Something happens in the replica. */
  touch(): void;
  /** What a query takes, where that is just what was written last. */
  take(query: OutgoingQuery): OutgoingBatch | undefined;
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
  /** What was written last, as long as nothing has happened since. */
  let last: { readonly sequence: number; readonly batch: OutgoingBatch } | undefined;

  function forget(): void {
    last = undefined;
    early.clear();
  }

  return {
    add(batch) {
      const sequence = batch.changes[0]?.sequence ?? 0;
      early.add(sequence);
      last = { sequence, batch };
    },
    touch() {
      last = undefined;
    },
    take({ select, eager }) {
      if (last === undefined || eager || !("through" in select)) return undefined;
      const { sequence, batch } = last;
      // No other change has a number that lies between these.
      if (select.after !== sequence - 1 || select.through !== sequence) return undefined;
      forget();
      return batch;
    },
    taken(batch) {
      if (early.size === 0) return batch;
      const changes = batch.changes.map((change) =>
        early.has(change.sequence) ? { ...change, resent: false } : change,
      );
      // Those that are not among them were overwritten, or are left for later: then they may as well have been sent.
      forget();
      return { ...batch, changes };
    },
    forget,
  };
}

/**
 * Remembers as sent what was just written, if it can be (ReplicaStore.write), in the transaction that wrote it; answers what
 * is to be sent then. Only one change, which has a sequence number as it changed something. Eager, by id and one at most: so
 * nothing is taken that was sent in an earlier version, that is held, in a group, or large.
 */
export function takeEarly(
  written: readonly LocalWrite[],
  sequences: readonly number[],
  wholeBytes: number,
  take: (query: OutgoingQuery) => OutgoingBatch,
): OutgoingBatch | undefined {
  const [change] = written;
  if (change === undefined || written.length > 1 || sequences[0] === 0) return undefined;
  const query = { select: { ids: [change.id] }, maxBytes: wholeBytes, maxChanges: 1, eager: true };
  const { changes } = take(query);
  return changes.length === 0 ? undefined : { changes, more: false, skipped: false };
}
