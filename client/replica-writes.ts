import { type Content, contentSize } from "../core/content.js";
import { ErrorReason } from "../core/fault.js";
import { fingerprintOf } from "../core/fingerprint.js";
import { DEFAULT_LIMITS } from "../core/limits.js";
import type { Limits } from "../gen/tercet/v1/sync.js";
import { TercetError, toError } from "./error.js";
import { type OpenContent, type PutOptions, streamedContents } from "./large-content.js";
import { decodeSettings } from "./protocol/settings.js";
import { type GroupLimits, GroupTooLarge, type LocalWrite } from "./replica/local-items.js";
import type { ReplicaStore } from "./replica/store.js";
import { hex, type Item, toItem } from "./replica-views.js";
import { checkFunction, checkItem, checkIterable, invalidField } from "./validate.js";
import type { Verdict, VerdictOptions } from "./verdict.js";
import type { Followed, Verdicts } from "./verdicts.js";

/** A local change that was made. */
export interface Change {
  readonly id: string;
  /**
   * What becomes of exactly this version: its latest verdict, or where there is none yet, the first one, once an exchange
   * brings it. Rejects with CANCELLED or DEADLINE_EXCEEDED by `options`, and with FAILED_PRECONDITION where the replica is
   * closed before. Verdicts are known to the Replica that made the change, and are not kept in the file.
   */
  verdict(options?: VerdictOptions): Promise<Verdict>;
}

/** Many local changes that were made together. */
export interface Changes {
  /** Items that were given, each id once. */
  readonly count: number;
  /** The verdicts on all of them, by id. As Change.verdict. */
  verdicts(options?: VerdictOptions): Promise<ReadonlyMap<string, Verdict>>;
}

/** Changes inside a transaction. What they make is one atomic group: see Replica.transaction. */
export interface Transaction {
  /** The item as it is in this transaction; undefined if there is none. */
  get(id: string): Item | undefined;
  /** The change's verdict can be awaited once the transaction is made; of several changes of an id, it is the last one's. */
  put(id: string, content: Content): Change;
  /** Undefined where there is no such item. */
  delete(id: string): Change | undefined;
}

/** The writing methods of a replica. */
export interface ReplicaWrites {
  put(id: string, content: Content): Change;
  putMany(items: Iterable<readonly [id: string, content: Content]>): Changes;
  putFile(id: string, path: string, options?: PutOptions): Promise<Change>;
  putStream(id: string, source: AsyncIterable<Uint8Array>, options?: PutOptions): Promise<Change>;
  openContent(id: string): OpenContent | undefined;
  delete(id: string): Change | undefined;
  transaction<T>(changes: (transaction: Transaction) => T): T;
  verdict(id: string, options?: VerdictOptions): Promise<Verdict | undefined>;
}

/** Limits that the replica last heard of from its server. */
export function limitsOf(store: ReplicaStore): Limits {
  return decodeSettings(store.state().settings)?.limits ?? DEFAULT_LIMITS;
}

/** Makes a change that the limits of a group may refuse: GROUP_INVALID, with what the caller may do. */
export function withinGroup<T>(store: ReplicaStore, advice: string, change: (limits: GroupLimits) => T): T {
  const { groupItems, groupBytes } = limitsOf(store);
  const items = groupItems || DEFAULT_LIMITS.groupItems;
  const bytes = groupBytes || DEFAULT_LIMITS.groupBytes;
  try {
    return change({ items, bytes });
  } catch (error) {
    if (!(error instanceof GroupTooLarge)) throw error;
    throw toError({ reason: ErrorReason.ERROR_REASON_GROUP_INVALID, message: `${error.message}: ${advice}` });
  }
}

/** An item as it is written, checked. */
export function toWrite(id: string, content: Content, limit: number): LocalWrite {
  checkItem(id, content, limit);
  return { id, upsert: { content, fingerprint: fingerprintOf(id, content) } };
}

/** Writes to the store that `open` gives, which throws where the replica is closed. */
export function replicaWrites(open: () => ReplicaStore, verdicts: Verdicts): ReplicaWrites {
  const itemLimit = (): number => limitsOf(open()).itemBytes;
  const streamed = streamedContents(open, itemLimit);

  /** What is changed of a pending group belongs to it: so a change by itself is held against its limits, too. */
  function writeGroup(changes: readonly LocalWrite[], advice: string): Followed {
    return withinGroup(open(), advice, (limits) => verdicts.write(changes, nowUs(), limits));
  }

  function writeOne(change: LocalWrite): Change {
    const written = writeGroup([change], "the item belongs to an atomic group that is pending; sync first");
    return { id: change.id, verdict: (options) => written.verdict(change.id, options) };
  }

  function getItem(id: string): Item | undefined {
    const item = open().get(id);
    return item === undefined ? undefined : toItem(item);
  }

  return {
    put: (id, content) => writeOne(toWrite(id, content, itemLimit())),
    putFile: (id, path, options) => streamed.putFile(id, path, options, writeOne),
    putStream: (id, source, options) => streamed.putStream(id, source, options, writeOne),
    openContent: (id) => streamed.openContent(id),
    putMany(items) {
      const limit = itemLimit();
      const changes = new Map<string, LocalWrite>();
      checkIterable("items", items, PAIRS);
      for (const item of items) {
        checkIterable("items", item, PAIRS);
        const [id, content] = item;
        changes.set(id, toWrite(id, content, limit));
      }
      const ids = [...changes.keys()];
      const written = ids.length === 0 ? undefined : verdicts.write([...changes.values()], nowUs());
      return {
        count: ids.length,
        async verdicts(options) {
          if (written === undefined) return new Map();
          const all = await Promise.all(ids.map((id) => written.verdict(id, options)));
          return new Map(ids.map((id, index) => [id, all[index] as Verdict]));
        },
      };
    },
    delete(id) {
      return open().get(id) === undefined ? undefined : writeOne({ id, upsert: undefined });
    },
    transaction(run) {
      const limit = itemLimit();
      checkFunction("changes", run);
      const changed = new Map<string, LocalWrite>();
      let written: Followed | undefined;
      let over = false;
      const note = (change: LocalWrite): Change => {
        const { id } = change;
        if (over) throw isOver();
        changed.set(id, change);
        return { id, verdict: async (options) => await (written ?? notMade()).verdict(id, options) };
      };
      const get = (id: string): Item | undefined => {
        if (over) throw isOver();
        const change = changed.get(id);
        return change === undefined ? getItem(id) : changedItem(change);
      };
      let result: ReturnType<typeof run>;
      try {
        result = run({
          get,
          put: (id, content) => note(toWrite(id, content, limit)),
          delete: (id) => (get(id) === undefined ? undefined : note({ id, upsert: undefined })),
        });
      } finally {
        over = true;
      }
      if (isThenable(result)) {
        // What it rejects with has nowhere to go, and must not end the process.
        result.then(undefined, () => undefined);
        const description = "a transaction is synchronous: its function must not return a promise";
        throw invalidField("changes", description);
      }
      const advice = "make smaller transactions, sync first if its items belong to a pending one, or use putMany";
      if (changed.size > 0) written = writeGroup([...changed.values()], advice);
      return result;
    },
    async verdict(id, options) {
      open();
      return await verdicts.follow(id)?.verdict(id, options);
    },
  };
}

const PAIRS = "pairs [id, content]";

function nowUs(): number {
  return Date.now() * 1000;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as Partial<PromiseLike<unknown>> | null | undefined)?.then === "function";
}

function isOver(): TercetError {
  return new TercetError("the transaction is over: what is changed now is in none", { code: "FAILED_PRECONDITION" });
}

function notMade(): never {
  throw new TercetError("the transaction of this change was not made, or not yet", { code: "FAILED_PRECONDITION" });
}

function changedItem({ id, upsert }: LocalWrite): Item | undefined {
  if (upsert === undefined) return undefined;
  const { content = "", fingerprint } = upsert;
  const size = contentSize(content);
  const text = typeof content === "string";
  return { id, content, size, text, fingerprint: hex(fingerprint), modifyTime: new Date(), pending: true };
}
