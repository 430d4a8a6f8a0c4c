import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSqliteReplica, openSqliteReplica } from "../../client/replica/sqlite.js";
import type { ReplicaStore } from "../../client/replica/store.js";
import { openSqliteStore } from "../../server/store/sqlite.js";
import { COLLECTION, type Hosts, type ReplicaHost, type ServerHost } from "./hosts.js";

const SMALL = { cacheMiB: 1 } as const;

/** Everything in SQLite files, in a temporary folder: a crash closes and opens them, a backup copies them. */
export function createSqliteHosts(): Hosts {
  const root = mkdtempSync(join(tmpdir(), "tercet-simulate-"));
  let made = 0;

  function place(kind: string): string {
    made += 1;
    const directory = join(root, `${kind}-${made}`);
    mkdirSync(directory);
    return directory;
  }

  function copyOf(directory: string, kind: string): string {
    const copy = place(kind);
    cpSync(directory, copy, { recursive: true });
    return copy;
  }

  function replicaIn(directory: string, first: ReplicaStore): ReplicaHost {
    const path = join(directory, "replica.db");
    let store = first;
    const reopen = (): void => {
      store = openSqliteReplica(path, SMALL);
    };
    return {
      get store() {
        return store;
      },
      restart() {
        store.close();
        reopen();
      },
      snapshot() {
        store.close();
        const kept = copyOf(directory, "replica-backup");
        reopen();
        return {
          open() {
            const place = copyOf(kept, "replica");
            return replicaIn(place, openSqliteReplica(join(place, "replica.db"), SMALL));
          },
        };
      },
      dispose: () => store.close(),
    };
  }

  function serverIn(directory: string, epoch: Uint8Array): ServerHost {
    let store = openSqliteStore({ directory, epoch });
    return {
      get store() {
        return store;
      },
      restart(next) {
        store.close();
        store = openSqliteStore({ directory, epoch: next });
      },
      snapshot() {
        store.close();
        const kept = copyOf(directory, "server-backup");
        // Only to be closed by the `restart` that follows; it commits nothing, so its epoch leaves no trace.
        store = openSqliteStore({ directory, epoch: Buffer.alloc(8) });
        return { open: (next) => serverIn(copyOf(kept, "server"), next) };
      },
      dispose: () => store.close(),
    };
  }

  return {
    replica(replicaId) {
      const directory = place("replica");
      const store = createSqliteReplica(join(directory, "replica.db"), { ...SMALL, collection: COLLECTION, replicaId });
      return replicaIn(directory, store);
    },
    server: (epoch) => serverIn(place("server"), epoch),
    dispose: () => rmSync(root, { recursive: true, force: true }),
  };
}
