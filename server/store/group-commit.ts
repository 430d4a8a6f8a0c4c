import { creationsOf } from "./creations.js";
import type { Store } from "./store.js";
import type { BatchWritten, WriteBatch } from "./write-batch.js";

/** Most content of a transaction, in bytes; one batch may exceed it. Everybody waits for it: 10 to 20 ms. */
const MAX_BYTES = 512 * 1024;
/** Most writes of a transaction; one batch may exceed it. */
const MAX_WRITES = 2_000;

/** Commits the batches of many callers together: an fsync costs the same for one as for a thousand. */
export interface GroupCommit {
  /**
   * Writes a batch. Resolves once it is durable; undefined where its collection is not there any more. Batches are
   * committed in the order in which they came. Rejects with what the store threw for this batch; others are not affected.
   */
  write(batch: WriteBatch): Promise<BatchWritten | undefined>;
  /** Resolves once nothing that was written before is under way. */
  idle(): Promise<void>;
}

interface Waiting {
  readonly batch: WriteBatch;
  resolve(written: BatchWritten | undefined): void;
  reject(error: unknown): void;
}

/**
 * Commits what arrives in one turn of the event loop in one transaction, or in several with other turns between them where
 * it is much. `schedule` runs a flush later, by default with setImmediate.
 */
export function createGroupCommit(
  store: Pick<Store, "write">,
  schedule: (flush: () => void) => void = (flush) => void setImmediate(flush),
): GroupCommit {
  let queue: Waiting[] = [];
  let idlers: (() => void)[] = [];
  let busy = false;

  function flush(): void {
    const taken = takeTransaction(queue);
    queue = queue.slice(taken.length);
    const pending = commit(store, taken);
    if (pending === undefined) next();
    else void pending.then(next);
  }

  function next(): void {
    if (queue.length > 0) {
      schedule(flush);
      return;
    }
    busy = false;
    const resolved = idlers;
    idlers = [];
    for (const resolve of resolved) resolve();
  }

  return {
    write: (batch) =>
      new Promise((resolve, reject) => {
        queue.push({ batch, resolve, reject });
        if (busy) return;
        busy = true;
        schedule(flush);
      }),
    idle: () => (busy ? new Promise((resolve) => idlers.push(resolve)) : Promise.resolve()),
  };
}

/** The first batches that fit a transaction, at least one. */
function takeTransaction(queue: readonly Waiting[]): readonly Waiting[] {
  let bytes = 0;
  let writes = 0;
  let end = 0;
  for (const { batch } of queue) {
    const weight = weightOf(batch);
    bytes += weight.bytes;
    writes += weight.writes;
    if (end > 0 && (bytes > MAX_BYTES || writes > MAX_WRITES)) break;
    end += 1;
  }
  return queue.slice(0, end);
}

/** What a batch makes a transaction heavy with: bytes of contents that are written, and writes. */
export function weightOf(batch: WriteBatch): { readonly bytes: number; readonly writes: number } {
  const items = creationsOf(batch)?.items;
  if (items !== undefined) return { bytes: items.itemBytes, writes: items.count };
  let bytes = 0;
  // What was uploaded is only taken over.
  for (const { upsert } of batch.writes) bytes += upsert?.upload === undefined ? (upsert?.size ?? 0) : 0;
  return { bytes, writes: batch.writes.length };
}

/** Commits; where that fails, each batch by itself, so that only those fail that must. A promise only if the store gives one. */
function commit(store: Pick<Store, "write">, taken: readonly Waiting[]): Promise<void> | undefined {
  try {
    const written = store.write(taken.map(({ batch }) => batch));
    if (!(written instanceof Promise)) return void settle(taken, written);
    return written.then(
      (results) => settle(taken, results),
      (error) => commitApart(store, taken, error),
    );
  } catch (error) {
    return commitApart(store, taken, error);
  }
}

function settle(taken: readonly Waiting[], written: readonly (BatchWritten | undefined)[]): void {
  for (const [index, waiting] of taken.entries()) waiting.resolve(written[index]);
}

function commitApart(
  store: Pick<Store, "write">,
  taken: readonly Waiting[],
  error: unknown,
): Promise<void> | undefined {
  const [first] = taken;
  if (taken.length === 1) {
    first?.reject(error);
    return undefined;
  }
  let last: Promise<void> | undefined;
  for (const waiting of taken) {
    last = last === undefined ? commit(store, [waiting]) : last.then(() => commit(store, [waiting]));
  }
  return last;
}
