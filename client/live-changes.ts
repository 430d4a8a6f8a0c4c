import { contentSize } from "../core/content.js";
import { sameFingerprint } from "../core/fingerprint.js";
import { type Deferred, deferred } from "./deferred.js";
import type { Action } from "./replica/action.js";
import { type ApplyBatch, type ApplyResult, knownRevision } from "./replica/apply-batch.js";
import { toActions } from "./replica/one-by-one.js";
import type { ReplicaStore } from "./replica/store.js";
import { hex } from "./replica-views.js";
import { checkFunction } from "./validate.js";

/** A change that an exchange made to an item of the replica. The content is read with `Replica.get`. */
export interface AppliedChange {
  readonly id: string;
  readonly kind: "upserted" | "deleted";
  /** Revision of the server's change; 0 where a server that was restored has lost it. */
  readonly revision: number;
  /** When it was changed, by the clock of whoever did. */
  readonly modifyTime: Date;
  /** Bytes of the content; undefined for a deletion. */
  readonly size: number | undefined;
  /** SHA-256 over id, a zero byte and content, 64 hex digits; undefined for a deletion. */
  readonly fingerprint: string | undefined;
}

/** Is told of changes that an exchange made; after a failure (a crash, a full disk) of some of them once more. */
export type ChangeListener = (change: AppliedChange) => void;

/** How to read the changes that exchanges make. */
export interface ChangesOptions {
  /** Ends the iteration, once what was applied before has been read. */
  readonly signal?: AbortSignal;
}

/** Tells what exchanges change in a replica. */
export interface ChangeFeed {
  /** The store, to be used in an exchange in place of the one that is watched. */
  watch(held: ReplicaStore): ReplicaStore;
  /** A promise where a reader is so far behind that nothing more should be applied: of that there is room again. */
  room(): Promise<void> | undefined;
  on(listener: ChangeListener): () => void;
  off(listener: ChangeListener): void;
  iterate(options: ChangesOptions): AsyncIterableIterator<AppliedChange>;
  /** Nothing more comes: readers end once they have read what there is. */
  close(): void;
}

/** Changes that a reader may be behind before the exchange waits for it; what comes in one transaction may go beyond. */
export const MOST_UNREAD = 10_000;
/** It goes on once the reader is behind by this. */
const FEW_UNREAD = MOST_UNREAD / 2;

/** Nobody listens yet; while it is so, nothing is looked at. */
export function createChangeFeed(): ChangeFeed {
  const listeners = new Set<ChangeListener>();
  const readers = new Set<Reader>();
  let waiting: Deferred<void> | undefined;
  let closed = false;

  function behind(): number {
    let most = 0;
    for (const { unread } of readers) most = Math.max(most, unread);
    return most;
  }

  function letOn(): void {
    if (waiting === undefined || behind() > FEW_UNREAD) return;
    waiting.resolve();
    waiting = undefined;
  }

  function tell(changes: readonly AppliedChange[]): void {
    for (const change of changes) {
      for (const reader of readers) reader.push(change);
      for (const listener of [...listeners]) callBack(() => listener(change));
    }
  }

  return {
    watch: (held) => ({
      ...held,
      apply(batch) {
        if (listeners.size + readers.size === 0) return held.apply(batch);
        const before = pendingBefore(held, batch);
        const result = held.apply(batch);
        tell(toChanges(held, batch, result, before));
        return result;
      },
    }),
    room() {
      if (readers.size > 0 && behind() >= MOST_UNREAD) waiting ??= deferred();
      return waiting?.promise;
    },
    on(listener) {
      checkFunction("listener", listener);
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    off: (listener) => void listeners.delete(listener),
    iterate({ signal }) {
      const abort = (): void => reader.end();
      const reader = createReader(letOn, () => {
        readers.delete(reader);
        signal?.removeEventListener("abort", abort);
        letOn();
      });
      if (closed || signal?.aborted === true) reader.end();
      else {
        readers.add(reader);
        signal?.addEventListener("abort", abort, { once: true });
      }
      return reader.iterator;
    },
    close() {
      closed = true;
      listeners.clear();
      for (const reader of [...readers]) reader.end();
    },
  };
}

/** Calls a function of the application's. What it throws becomes an uncaught exception, as with an EventTarget. */
export function callBack(call: () => void): void {
  try {
    call();
  } catch (error) {
    process.nextTick(() => {
      throw error;
    });
  }
}

interface Reader {
  readonly iterator: AsyncIterableIterator<AppliedChange>;
  readonly unread: number;
  push(change: AppliedChange): void;
  /** Nothing more comes. */
  end(): void;
}

type Taken = IteratorResult<AppliedChange, undefined>;
const DONE: Taken = { value: undefined, done: true };

/** A queue with an end. `taken`: something was read; `ended`: called once. */
function createReader(taken: () => void, ended: () => void): Reader {
  let queue: AppliedChange[] = [];
  let head = 0;
  let open = true;
  let waiting: ((result: Taken) => void)[] = [];

  function take(): AppliedChange | undefined {
    const change = queue[head];
    if (change === undefined) return undefined;
    head += 1;
    if (head === queue.length || head === FEW_UNREAD) {
      queue = queue.slice(head);
      head = 0;
    }
    taken();
    return change;
  }

  function end(): void {
    if (!open) return;
    open = false;
    const readers = waiting;
    waiting = [];
    for (const resolve of readers) resolve(DONE);
    ended();
  }

  const iterator: AsyncIterableIterator<AppliedChange> = {
    next() {
      const change = take();
      if (change !== undefined) return Promise.resolve({ value: change, done: false });
      if (!open) return Promise.resolve(DONE);
      return new Promise((resolve) => waiting.push(resolve));
    },
    return() {
      queue = [];
      head = 0;
      end();
      return Promise.resolve(DONE);
    },
    [Symbol.asyncIterator]: () => iterator,
  };

  return {
    iterator,
    get unread() {
      return open ? queue.length - head : 0;
    },
    push(change) {
      const resolve = waiting.shift();
      if (resolve === undefined) queue.push(change);
      else resolve({ value: change, done: false });
    },
    end,
  };
}

/** What items that were pending were before: what becomes of them need not be news. */
function pendingBefore(held: ReplicaStore, { actions }: ApplyBatch): ReadonlyMap<string, Uint8Array | undefined> {
  const ids = actions.flatMap((action) => (isNews(action) && action.sequence > 0 ? [action.id] : []));
  if (ids.length === 0) return new Map();
  return new Map(held.lookup(ids).map(({ id, pending }) => [id, pending?.fingerprint]));
}

type News = Extract<Action, { kind: "take" | "merge" }>;

/** Only these change what the application sees. */
function isNews(action: Action): action is News {
  return action.kind === "take" || action.kind === "merge";
}

function toChanges(
  held: ReplicaStore,
  { items, actions }: ApplyBatch,
  { stale }: ApplyResult,
  before: ReadonlyMap<string, Uint8Array | undefined>,
): readonly AppliedChange[] {
  const undone = new Set(stale);
  const changes: AppliedChange[] = [];
  for (const action of [...(items === undefined ? [] : toActions(items)), ...actions]) {
    if (!isNews(action) || undone.has(action.id)) continue;
    const { id, upsert, modifyTimeUs } = action;
    if (before.has(id) && sameFingerprint(before.get(id), upsert?.fingerprint)) continue;
    changes.push({
      id,
      kind: upsert === undefined ? "deleted" : "upserted",
      revision: knownRevision(action.kind === "take" ? action.revision : action.base.revision),
      modifyTime: new Date(modifyTimeUs / 1000),
      size: upsert && sizeOf(held, id, upsert),
      fingerprint: upsert && hex(upsert.fingerprint),
    });
  }
  return changes;
}

/** A content that is not at hand was staged, or is that of the base: it is the item's now. */
function sizeOf(held: ReplicaStore, id: string, { content }: NonNullable<News["upsert"]>): number | undefined {
  return content === undefined ? held.get(id)?.size : contentSize(content);
}
