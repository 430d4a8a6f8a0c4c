import { randomBytes } from "node:crypto";
import { isIP } from "node:net";
import type { ServerCredentials } from "@grpc/grpc-js";
import { type Logger, pino } from "pino";
import { DEFAULT_LIMITS } from "../core/limits.js";
import type { Limits } from "../gen/tercet/v1/sync.js";
import { checkOptions } from "./check-options.js";
import { checkPort } from "./check-port.js";
import { DEFAULT_SKEW_US } from "./protocol/validate-push.js";
import { type Connections, keepConnections } from "./rpc/connections.js";
import { createCredentials, type TlsOptions } from "./rpc/credentials.js";
import { createFeeds } from "./rpc/feeds.js";
import { createGate } from "./rpc/gate.js";
import { routeGrpcLog } from "./rpc/grpc-log.js";
import { type Housekeeping, startHousekeeping } from "./rpc/housekeeping.js";
import { widenReceiveWindow } from "./rpc/receive-window.js";
import { createRpcServer, type RpcServer } from "./rpc/server.js";
import type { RpcWorld } from "./rpc/world.js";
import { StartError } from "./start-error.js";
import { createGroupCommit, type GroupCommit } from "./store/group-commit.js";
import { createLiveStore } from "./store/live-store.js";
import { openSqliteStore } from "./store/sqlite.js";
import { createSyncedStore } from "./store/sqlite-synced.js";
import type { Store } from "./store/store.js";

/** How a server is started. */
export interface ServerOptions {
  /** Where the data is; made if it is not there. One server at a time has it. */
  readonly directory: string;
  /** Address to listen on. Default: 127.0.0.1, this machine only. */
  readonly host?: string;
  /** Default: 7727. 0: any that is free. */
  readonly port?: number;
  /** Limits in force unless a client wishes for less. Defaults and bounds: core/limits.ts. */
  readonly limits?: Partial<Limits>;
  /** How far ahead of this server's clock a modify time may be, in milliseconds. Default: one minute. */
  readonly skewMs?: number;
  /** How long a client may leave an exchange waiting, in milliseconds. Default: one minute. */
  readonly stepTimeoutMs?: number;
  /**
   * How long a live exchange is left without a message, in milliseconds, before one without changes is sent: less than what
   * proxies on the way take for idle. Default: 30 seconds.
   */
  readonly heartbeatMs?: number;
  /** How long open exchanges may go on when the server drains, in milliseconds. Default: 10 seconds. */
  readonly graceMs?: number;
  /**
   * How long deletions are remembered, in milliseconds: replicas that were away for longer compare everything. Default: 30
   * days. 0: for ever.
   */
  readonly tombstoneRetentionMs?: number;
  /** How long versions that gave way are kept in conflict records, in milliseconds. Default: 90 days. 0: for ever. */
  readonly conflictRetentionMs?: number;
  /** How often what is older is removed, in milliseconds, besides at the start. Default: one hour. */
  readonly housekeepingMs?: number;
  /** Takes what grpc-js has to say, too, for the whole process. Default: silent. */
  readonly logger?: Logger;
  /** Default: no TLS. */
  readonly tls?: TlsOptions;
}

/** What a server takes from its surroundings. Tests hand in their own, so that they need not wait. */
export interface Surroundings {
  /** Microseconds since 1970. */
  nowUs(): number;
  /** Calls `run` about every so many milliseconds, until what it returns is called. Does not keep the process alive. */
  repeat(ms: number, run: () => void): () => void;
}

/** A server that takes calls. */
export interface RunningServer {
  /** `host:port`, for clients. */
  readonly address: string;
  readonly port: number;
  /**
   * Ends it in peace: refuses what is new (UNAVAILABLE, GOING_AWAY), lets open exchanges finish within the grace period,
   * ends the others with the same status, then closes. Resolves when the data directory is free. May be called again, also after `close`.
   */
  drain(): Promise<void>;
  /** Ends it at once. What was acknowledged is there. */
  close(): Promise<void>;
}

/** Port by default. */
export const DEFAULT_PORT = 7727;
/** Milliseconds that open exchanges have by default when the server drains. */
export const DEFAULT_GRACE_MS = 10_000;
/** Milliseconds that a deletion is remembered by default: 30 days. */
export const DEFAULT_TOMBSTONE_RETENTION_MS = 30 * 86_400_000;
/** Milliseconds that a conflict record is kept by default: 90 days. */
export const DEFAULT_CONFLICT_RETENTION_MS = 90 * 86_400_000;

const DEFAULT_HOST = "127.0.0.1";
/** Milliseconds without a message on a live exchange by default. */
export const DEFAULT_HEARTBEAT_MS = 30_000;
const DEFAULT_STEP_TIMEOUT_MS = 60_000;
const DEFAULT_HOUSEKEEPING_MS = 3_600_000;
/** Milliseconds that connections have to close by themselves when no call is under way any more. */
const GOODBYE_MS = 1000;
const EPOCH_BYTES = 8;
const UID_BYTES = 16;

const SURROUNDINGS: Surroundings = {
  nowUs: () => Date.now() * 1000,
  repeat(ms, run) {
    const timer = setInterval(run, ms).unref();
    return () => clearInterval(timer);
  },
};

/**
 * Starts a server on a data directory. `surroundings` are for tests.
 *
 * @throws StorageError where the data directory can't be had, StartError where the address or the certificates can't,
 * or an option is out of its bounds.
 */
export async function startServer(
  options: ServerOptions,
  surroundings: Surroundings = SURROUNDINGS,
): Promise<RunningServer> {
  checkOptions(options);
  const host = options.host ?? DEFAULT_HOST;
  const log = options.logger ?? pino({ level: "silent" });
  if (options.logger !== undefined) routeGrpcLog(log);
  const credentials = createCredentials(options.tls);
  const port = options.port ?? DEFAULT_PORT;
  await checkFree(host, port);
  const feeds = createFeeds();
  const sqlite = openSqliteStore({ directory: options.directory, epoch: randomBytes(EPOCH_BYTES) });
  const store = createLiveStore(createSyncedStore(sqlite), feeds.advanced);
  const commit = createGroupCommit(store);
  const gate = createGate();
  const world: RpcWorld = {
    store,
    write: commit.write,
    newUid: () => randomBytes(UID_BYTES),
    nowUs: surroundings.nowUs,
    limits: { ...DEFAULT_LIMITS, ...options.limits },
    skewUs: options.skewMs === undefined ? DEFAULT_SKEW_US : options.skewMs * 1000,
    stepTimeoutUs: (options.stepTimeoutMs ?? DEFAULT_STEP_TIMEOUT_MS) * 1000,
    heartbeatUs: (options.heartbeatMs ?? DEFAULT_HEARTBEAT_MS) * 1000,
    gate,
    feeds,
    log,
  };
  let rpc: RpcServer | undefined;
  try {
    rpc = createRpcServer(world);
    const bound = await bind(rpc, host, port, credentials);
    if (!widenReceiveWindow(rpc.server)) log.warn("uploads over long links stay slow: this grpc-js has other insides");
    const connections = keepConnections(rpc.server);
    rpc.setServing(true);
    if (options.tls === undefined && !isLoopback(host)) {
      log.warn({ host }, "serving other machines without TLS: whoever reaches this port can read and write everything");
    }
    const address = withPort(host, bound);
    log.info({ address, directory: options.directory }, "serving");
    const housekeeping = keepHouse(world, options, surroundings);
    const graceMs = options.graceMs ?? DEFAULT_GRACE_MS;
    return { address, port: bound, ...createShutdown({ rpc, connections, world, commit, housekeeping, graceMs }) };
  } catch (error) {
    rpc?.server.forceShutdown();
    await store.close();
    throw error;
  }
}

function keepHouse(world: RpcWorld, options: ServerOptions, { repeat }: Surroundings): Housekeeping {
  const { store, log, nowUs } = world;
  const tombstoneRetentionUs = (options.tombstoneRetentionMs ?? DEFAULT_TOMBSTONE_RETENTION_MS) * 1000;
  const conflictRetentionUs = (options.conflictRetentionMs ?? DEFAULT_CONFLICT_RETENTION_MS) * 1000;
  const intervalMs = options.housekeepingMs ?? DEFAULT_HOUSEKEEPING_MS;
  return startHousekeeping({
    store,
    log,
    nowUs,
    repeat: (run) => repeat(intervalMs, run),
    tombstoneRetentionUs,
    conflictRetentionUs,
  });
}

/** Before anything is made: of an IP address, as a name may stand for several, and gRPC takes what of them it can have. */
async function checkFree(host: string, port: number): Promise<void> {
  if (port === 0 || isIP(host) === 0) return;
  await checkPort(host, port).catch((error: Error) => {
    throw cannotListen(host, port, error);
  });
}

function bind(rpc: RpcServer, host: string, port: number, credentials: ServerCredentials): Promise<number> {
  return new Promise((resolve, reject) => {
    rpc.server.bindAsync(withPort(host, port), credentials, (error, bound) => {
      if (error === null) resolve(bound);
      else reject(cannotListen(host, port, error));
    });
  });
}

function withPort(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function cannotListen(host: string, port: number, cause: Error): StartError {
  return new StartError(`cannot listen on ${withPort(host, port)}: ${whyNot(cause.message)}`, { cause });
}

function whyNot(message: string): string {
  if (message.includes("EADDRINUSE")) return "the port is in use";
  if (message.includes("EACCES")) return "the port needs more rights than this process has";
  if (message.includes("EADDRNOTAVAIL")) return "this machine does not have that address";
  return message;
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\./.test(host);
}

interface ShutdownWorld {
  readonly rpc: RpcServer;
  readonly connections: Connections;
  readonly world: Pick<RpcWorld, "gate" | "log"> & { readonly store: Store };
  readonly commit: GroupCommit;
  readonly housekeeping: Housekeeping;
  readonly graceMs: number;
}

/** The two ways to end a server, each as often as one likes and in any order. */
function createShutdown(shutdown: ShutdownWorld): Pick<RunningServer, "drain" | "close"> {
  const { rpc, connections, world, commit, housekeeping, graceMs } = shutdown;
  const { gate, log, store } = world;
  let draining: Promise<void> | undefined;
  let closing: Promise<void> | undefined;

  async function end(): Promise<void> {
    rpc.server.forceShutdown();
    connections.destroy();
    await housekeeping.stop();
    await gate.empty();
    await commit.idle();
    await store.close();
    log.info("closed");
  }

  function close(): Promise<void> {
    gate.shut();
    closing ??= end();
    return closing;
  }

  async function drain(): Promise<void> {
    log.info({ underWay: gate.underWay, graceMs }, "draining");
    rpc.setServing(false);
    gate.shut();
    await housekeeping.stop();
    await Promise.race([gate.empty(), after(graceMs)]);
    if (gate.underWay > 0) {
      log.warn({ underWay: gate.underWay }, "ending calls that did not end within the grace period");
      gate.sendAway();
      await Promise.race([gate.empty(), after(GOODBYE_MS)]);
    }
    await Promise.race([tryShutdown(rpc), after(GOODBYE_MS)]);
    await close();
  }

  return {
    close,
    drain() {
      draining ??= closing ?? drain();
      return draining;
    },
  };
}

function tryShutdown(rpc: RpcServer): Promise<void> {
  return new Promise((resolve) => rpc.server.tryShutdown(() => resolve()));
}

/** Does not keep the process alive. */
function after(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms).unref());
}
