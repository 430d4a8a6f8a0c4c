import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createReplica, type Replica, StorageError, TercetError } from "../../client/index.js";
import { startServer } from "../../server/main.js";

/** A server on a free port, and replicas beside it: the library as an application uses it. */
export interface Place {
  readonly directory: string;
  readonly server: string;
  /** A new replica of collection `c`. */
  replica(name?: string): Replica;
  stop(): Promise<void>;
}

/** Starts a server with an empty data directory. */
export async function startPlace(): Promise<Place> {
  const directory = mkdtempSync(join(tmpdir(), "tercet-client-"));
  const running = await startServer({ port: 0, directory: join(directory, "data"), graceMs: 1000 });
  const replicas: Replica[] = [];
  return {
    directory,
    server: running.address,
    replica(name = "c.replica") {
      const replica = createReplica(join(directory, name), { collection: "c" });
      replicas.push(replica);
      return replica;
    },
    async stop() {
      for (const replica of replicas) replica.close();
      await running.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** What an application can tell an error by. */
export interface Told {
  readonly name: string;
  readonly code: string;
  readonly reason: string;
  readonly message: string;
  readonly fields: readonly string[];
}

/** The library's error that the work throws or rejects with; whatever else it does is a failure. */
export async function refusal(work: () => unknown): Promise<Told> {
  try {
    await work();
  } catch (error) {
    if (error instanceof TercetError) {
      const { name, code, reason, message, fields } = error;
      return { name, code, reason, message, fields: fields.map(({ field }) => field) };
    }
    if (error instanceof StorageError) {
      return { name: error.name, code: error.kind, reason: "", message: error.message, fields: [] };
    }
    throw error;
  }
  throw new Error("nothing was thrown");
}
