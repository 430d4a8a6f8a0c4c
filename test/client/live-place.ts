import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type AppliedChange,
  createReplica,
  type LiveOptions,
  type LiveState,
  type LiveSync,
  type Replica,
} from "../../client/index.js";
import { type RunningServer, type ServerOptions, startServer } from "../../server/index.js";
import { backupDataFile, restoreDataFile } from "../../server/store/sqlite-backup.js";

/** A server that can be ended and started again on its port and data, and replicas beside it. */
export interface LivePlace {
  readonly address: string;
  readonly port: number;
  /** Ends the server at once, or in peace. */
  end(how: "close" | "drain"): Promise<void>;
  start(): Promise<void>;
  /** Backs its data up; ends it, and starts it again with what was backed up. */
  backUp(): void;
  restore(): Promise<void>;
  /** A new replica of collection `c`. */
  replica(name: string): Replica;
  /** Begins a live sync that connects again at once, or nearly. */
  live(replica: Replica, options?: Partial<LiveOptions>): Watched;
  stop(): Promise<void>;
}

/** A live sync, and the states that it was in. */
export interface Watched {
  readonly sync: LiveSync;
  readonly states: readonly (readonly [LiveState, Error | undefined])[];
  /** Resolves when it enters the state the next time, or at once where it is in it. */
  reaches(state: LiveState): Promise<void>;
  /** The same, but never at once. */
  next(state: LiveState): Promise<void>;
}

/** Starts a server with an empty data directory. */
export async function startLivePlace(options: Partial<ServerOptions> = {}): Promise<LivePlace> {
  const directory = mkdtempSync(join(tmpdir(), "tercet-live-"));
  const [data, backup] = [join(directory, "data"), join(directory, "backup")];
  const begin = (port: number): Promise<RunningServer> =>
    startServer({ graceMs: 2000, ...options, port, directory: data });
  let running = await begin(0);
  const { port, address } = running;
  const replicas: Replica[] = [];
  return {
    address,
    port,
    end: (how) => running[how](),
    async start() {
      running = await begin(port);
    },
    backUp: () => backupDataFile(data, backup),
    async restore() {
      await running.close();
      rmSync(data, { recursive: true });
      restoreDataFile(backup, data);
      running = await begin(port);
    },
    replica(name) {
      const replica = createReplica(join(directory, name), { collection: "c" });
      replicas.push(replica);
      return replica;
    },
    live: (replica, more) =>
      watched((onState) =>
        replica.sync({
          server: address,
          live: true,
          create: true,
          backoff: { initialMs: 5, maxMs: 50 },
          ...more,
          onState,
        }),
      ),
    async stop() {
      for (const replica of replicas) replica.close();
      await running.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function watched(begin: (onState: NonNullable<LiveOptions["onState"]>) => LiveSync): Watched {
  const states: (readonly [LiveState, Error | undefined])[] = [];
  const waiting: { readonly state: LiveState; readonly resolve: () => void }[] = [];
  const sync = begin((state, error) => {
    states.push([state, error]);
    const now = waiting.filter((each) => each.state === state);
    for (const each of now) waiting.splice(waiting.indexOf(each), 1);
    for (const { resolve } of now) resolve();
  });
  const next = (state: LiveState): Promise<void> => new Promise((resolve) => void waiting.push({ state, resolve }));
  return { sync, states, next, reaches: async (state) => (sync.state === state ? undefined : await next(state)) };
}

/** Resolves with the change that a condition is true of, once an exchange has made it. */
export function changeOf(replica: Replica, is: (change: AppliedChange) => boolean): Promise<AppliedChange> {
  return new Promise((resolve) => {
    const off = replica.on("change", (change) => {
      if (!is(change)) return;
      off();
      resolve(change);
    });
  });
}

/** What a replica has. */
export function contentsOf(replica: Replica): Map<string, string> {
  return new Map([...replica.list()].map(({ id, content }) => [id, String(content)]));
}

/** A place with two replicas. */
export async function startLivePair(): Promise<{
  readonly place: LivePlace;
  readonly a: Replica;
  readonly b: Replica;
}> {
  const place = await startLivePlace();
  return { place, a: place.replica("a"), b: place.replica("b") };
}
