import { TercetError } from "./error.js";
import { createLive, type LiveControl, type LiveHooks, type LiveSync } from "./live.js";
import { type AppliedChange, type ChangeListener, type ChangesOptions, createChangeFeed } from "./live-changes.js";
import type { WriteListener } from "./live-writes.js";
import { LONGEST_TIMER_MS } from "./longest-timer.js";
import type { ReplicaStore } from "./replica/store.js";
import type { SyncReport, SyncWorld, VerifyReport } from "./sync.js";
import { checkLiveOptions, type LiveOptions, type SyncOptions, type VerifyOptions } from "./sync-options.js";
import { checkNamed, checkSignal, invalidField } from "./validate.js";

/** The methods of a replica that are about exchanges. */
export interface ReplicaExchanges {
  sync(options: SyncOptions): Promise<SyncReport>;
  sync(options: LiveOptions): LiveSync;
  verify(options: VerifyOptions): Promise<VerifyReport>;
  on(event: "change", listener: ChangeListener): () => void;
  off(event: "change", listener: ChangeListener): void;
  changes(options?: ChangesOptions): AsyncIterableIterator<AppliedChange>;
}

type SyncModule = typeof import("./sync.js");

let loaded: SyncModule | undefined;

/** gRPC takes as long to load as all else together, and most uses of a replica need none. */
async function loadSync(): Promise<SyncModule> {
  loaded ??= await import("./sync.js");
  return loaded;
}

const REAL_TIME = {
  now: Date.now,
  random: Math.random,
  after(ms: number, call: () => void) {
    if (ms > LONGEST_TIMER_MS) return () => undefined;
    const timer = setTimeout(call, ms);
    return () => clearTimeout(timer);
  },
};

/**
 * Exchanges of the store that `open` gives, which throws where the replica is closed; `closing` is aborted before it is.
 * One at a time. `notify`: the application has changed the replica.
 */
export function replicaExchanges(
  open: () => ReplicaStore,
  closing: AbortSignal,
): { readonly methods: ReplicaExchanges } & WriteListener {
  const feed = createChangeFeed();
  const store = feed.watch(open());
  const world: SyncWorld = { closing, room: feed.room };
  let live: LiveControl | undefined;
  let busy = false;
  closing.addEventListener("abort", () => feed.close(), { once: true });

  function begin(): void {
    open();
    if (busy) throw new TercetError("an exchange of this replica is under way", { code: "FAILED_PRECONDITION" });
    busy = true;
  }

  async function exchange<T>(run: (module: SyncModule) => Promise<T>): Promise<T> {
    begin();
    try {
      return await run(await loadSync());
    } finally {
      busy = false;
    }
  }

  function beginLive(options: LiveOptions): LiveSync {
    open();
    checkLiveOptions(options);
    begin();
    const liveWorld = {
      ...REAL_TIME,
      closing,
      begin: async (hooks: LiveHooks) => (await loadSync()).beginLive(store, options, world, hooks),
      release() {
        live = undefined;
        busy = false;
      },
    };
    try {
      live = createLive(liveWorld, options);
    } catch (error) {
      busy = false;
      throw error;
    }
    return live.sync;
  }

  function sync(options: SyncOptions): Promise<SyncReport>;
  function sync(options: LiveOptions): LiveSync;
  function sync(options: SyncOptions | LiveOptions): Promise<SyncReport> | LiveSync {
    // What types ask for, programs in JavaScript may leave out: the promise rejects, then.
    const live: unknown = (options as Partial<SyncOptions | LiveOptions> | undefined)?.live;
    if (live !== undefined && typeof live !== "boolean") throw invalidField("live", "must be true or false");
    if (live === true) return beginLive(options as LiveOptions);
    return exchange(({ syncReplica }) => syncReplica(store, options as SyncOptions, world));
  }

  function checkEvent(event: string): void {
    open();
    if (event !== "change") throw invalidField("event", 'must be "change"');
  }

  return {
    notify: () => live?.notify(),
    sendsAtOnce: () => live?.sendsAtOnce() === true,
    methods: {
      sync,
      verify: (options) => exchange(({ verifyReplica }) => verifyReplica(store, options, world)),
      on(event, listener) {
        checkEvent(event);
        return feed.on(listener);
      },
      off(event, listener) {
        checkEvent(event);
        feed.off(listener);
      },
      changes(options = {}) {
        open();
        checkNamed(options, ["signal"]);
        checkSignal("signal", options.signal);
        return feed.iterate(options);
      },
    },
  };
}
