import { createMemoryReplica, type MemoryReplica } from "../../client/replica/memory.js";
import type { ReplicaStore } from "../../client/replica/store.js";
import { createMemoryStore, type MemoryStore } from "../../server/store/memory.js";
import type { Store } from "../../server/store/store.js";

/** Name of the one collection of a history. */
export const COLLECTION = "things";

/** A replica file and what may befall it. */
export interface ReplicaHost {
  readonly store: ReplicaStore;
  /** The process ends and another one opens the file. */
  restart(): void;
  /** The file as it is now, copied: can be opened any number of times. */
  snapshot(): ReplicaFile;
  dispose(): void;
}

/** A copy of a replica file. */
export interface ReplicaFile {
  open(): ReplicaHost;
}

/** A server's data and what may befall it. */
export interface ServerHost {
  readonly store: Store;
  /** The process ends, and another one starts on the data. */
  restart(epoch: Uint8Array): void;
  /** The data as they are now, copied: can be opened any number of times. A cold copy: `restart` has to follow. */
  snapshot(): ServerFiles;
  dispose(): void;
}

/** A copy of a server's data. */
export interface ServerFiles {
  open(epoch: Uint8Array): ServerHost;
}

/** What the sides of a history live on. */
export interface Hosts {
  replica(replicaId: Uint8Array): ReplicaHost;
  server(epoch: Uint8Array): ServerHost;
  /** Leaves nothing behind. */
  dispose(): void;
}

/** Everything in memory. */
export function createMemoryHosts(): Hosts {
  return {
    replica: (replicaId) => memoryReplica(createMemoryReplica({ collection: COLLECTION, replicaId })),
    server: (epoch) => memoryServer(createMemoryStore({ epoch })),
    dispose() {},
  };
}

function memoryReplica(store: MemoryReplica): ReplicaHost {
  return {
    store,
    restart() {},
    snapshot() {
      const kept = store.clone();
      return { open: () => memoryReplica(kept.clone()) };
    },
    dispose() {},
  };
}

function memoryServer(first: MemoryStore): ServerHost {
  let store = first;
  return {
    get store() {
      return store;
    },
    restart(epoch) {
      store = store.clone(epoch);
    },
    snapshot() {
      const kept = store.clone(Buffer.alloc(8));
      return { open: (epoch) => memoryServer(kept.clone(epoch)) };
    },
    dispose() {},
  };
}
