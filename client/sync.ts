import { reasonName } from "../core/fault.js";
import { standardName } from "../core/standard.js";
import { type Connection, connect, connectAnew } from "./connection.js";
import { type ExchangeRun, type RunningExchange, startExchange } from "./connection-exchange.js";
import type { LiveAttempt, LiveHooks } from "./live.js";
import { type ClientExchange, createClientExchange } from "./protocol/exchange.js";
import type { ExchangeProgress, ReportedRecovery } from "./protocol/report.js";
import type { ReplicaStore } from "./replica/store.js";
import { pruneConflicts } from "./replica-conflicts.js";
import { createResolve } from "./resolver.js";
import {
  checkEndingOptions,
  checkStandard,
  checkSyncOptions,
  type LiveOptions,
  type SyncOptions,
  type VerifyOptions,
} from "./sync-options.js";

/** What an exchange did, or in a dry run what it would do. */
export interface SyncReport {
  /** Nothing was changed. */
  readonly dryRun: boolean;
  /** The standard that was in force. */
  readonly standard: string;
  /** Contents and deletions that the server took. */
  readonly sent: number;
  readonly sentDeletions: number;
  /** Contents and deletions that the replica took. */
  readonly received: number;
  readonly deleted: number;
  /** Changed on both sides into the same, or sent and already there: nothing moved. */
  readonly settled: number;
  /**
   * Conflicts and whose change prevailed; what gave way is in a conflict record of its side. `held`: nobody's yet; `merged`:
   * both gave way to the resolver's version. At most 10,000 are listed.
   */
  readonly conflicts: readonly {
    readonly id: string;
    readonly standard: string;
    readonly prevailed: "mine" | "theirs" | "held" | "merged";
  }[];
  readonly conflictCount: number;
  /** Conflict records of the replica that were older than `conflictRetentionMs`, and were removed. */
  readonly prunedConflicts: number;
  /** Changes that the server did not accept, and that stay pending. At most 10,000 are listed. */
  readonly rejected: readonly { readonly id: string; readonly reason: string; readonly message: string }[];
  readonly rejectedCount: number;
  /** Changes that lost the race against other clients five times, and stay pending. */
  readonly contended: readonly string[];
  /** How often the client had to wait for an answer before it could go on. */
  readonly roundTrips: number;
  /** Bytes of the messages each way, with gRPC's framing and without HTTP/2's. */
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** Contents that rode along with their change info, and changes that were sent right behind the opening message. */
  readonly inline: number;
  readonly eager: number;
  /**
   * Set where the server could not go on from the replica's checkpoint, and both sides were compared range by range: why,
   * how many items differed, and which the server had lost (after `forkRevision`) and was offered again. Where there are such,
   * deletions that the server had acknowledged after its backup may have returned.
   */
  readonly recovery: ReportedRecovery | undefined;
  /** Both sides proved equal at `revision`, but for what is still pending here. */
  readonly verified: boolean;
  /** Why not: `outrun`, other writers were faster each time. */
  readonly unverified: "outrun" | undefined;
  readonly revision: number;
  /** Items in the collection at `revision`, and its fingerprint: 64 hex digits. */
  readonly count: number;
  readonly fingerprint: string;
  /** Wall time in milliseconds. */
  readonly durationMs: number;
}

/** An item that differs between a replica and its server. */
export interface Difference {
  readonly id: string;
  /** Fingerprint of what the replica last agreed on, and of what the server has: 64 hex digits; undefined for no item. */
  readonly here: string | undefined;
  readonly there: string | undefined;
  /**
   * `newer`: the server changed it after the replica's checkpoint, as the next exchange will find. `missing`: it is not
   * there, by a later deletion or by a loss. `different`: the replica should hold it as the server does.
   */
  readonly kind: "newer" | "missing" | "different";
}

/** What a comparison range by range found. */
export interface VerifyReport {
  /** What the replica last agreed on is what the server has. */
  readonly equal: boolean;
  /** The first 10,000 of `differenceCount`. */
  readonly differences: readonly Difference[];
  readonly differenceCount: number;
  /** Revision of the server that was compared with, and of the replica's checkpoint. */
  readonly serverRevision: number;
  readonly revision: number;
  readonly roundTrips: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly durationMs: number;
}

const STEP_TIMEOUT_MS = 60_000;
const CONFLICT_RETENTION_MS = 90 * 24 * 60 * 60 * 1000;
/** How often a live exchange looks for conflict records that are too old. */
const PRUNE_INTERVAL_MS = 60 * 60 * 1000;

/** What an exchange needs to know of the replica's handle. */
export interface SyncWorld {
  /** Aborted where the replica is closed. */
  readonly closing: AbortSignal;
  /** A promise where nothing more is to be applied until it resolves. */
  readonly room: () => Promise<void> | undefined;
}

/** Runs one exchange of a replica store. */
export async function syncReplica(store: ReplicaStore, options: SyncOptions, world: SyncWorld): Promise<SyncReport> {
  checkSyncOptions(options);
  const mode = options.dryRun === true ? "dry-run" : "sync";
  const begun = begin(store, options, mode, { ...world, signal: signalOf(options, world) });
  await begun.ended;
  return toSyncReport(begun, mode, mode === "sync" ? prune(store, options) : 0);
}

/** Compares what a replica last agreed on with what the server has, range by range; changes nothing. */
export async function verifyReplica(
  store: ReplicaStore,
  options: VerifyOptions,
  world: SyncWorld,
): Promise<VerifyReport> {
  checkEndingOptions(options);
  const { revision } = store.state();
  // Contents are not compared: none need to come.
  const limits = { ...options.limits, inlineBytes: 1 };
  const signal = signalOf(options, world);
  const begun = begin(store, { ...options, limits }, "verify", { ...world, signal });
  await begun.ended;
  const report = begun.exchange.report();
  return {
    equal: report.verified,
    differences: report.differences.map((difference): Difference => {
      const { id, here, there } = difference;
      const newer = difference.revision > revision;
      const kind = newer ? "newer" : there === undefined ? "missing" : "different";
      return { id, here: here && hex(here), there: there && hex(there), kind };
    }),
    differenceCount: report.recovery?.differences ?? 0,
    serverRevision: report.revision,
    revision,
    roundTrips: report.roundTrips,
    bytesSent: begun.running.bytes.sent,
    bytesReceived: begun.running.bytes.received,
    durationMs: begun.durationMs(),
  };
}

/** Begins an exchange that stays open. */
export function beginLive(
  store: ReplicaStore,
  options: LiveOptions,
  world: SyncWorld,
  { heard, recovered, caughtUp }: LiveHooks,
): LiveAttempt {
  const cancelling = new AbortController();
  // It is idle for the first time before `begin` returns.
  let begun: Begun | undefined;
  let silent = true;
  let told = false;
  let live = false;
  let pruneAt = 0;

  function onIdle(): void {
    const recovery = told ? undefined : begun?.exchange.recovered();
    if (recovery !== undefined) {
      told = true;
      recovered(recovery);
    }
    if (begun?.exchange.standing() !== "live") return;
    const isFirst = !live;
    live = true;
    const now = performance.now();
    const pruned = now < pruneAt ? 0 : prune(store, options);
    if (now >= pruneAt) pruneAt = now + PRUNE_INTERVAL_MS;
    if (!isFirst) return;
    // What is reported as verified is on the disk.
    store.flush();
    caughtUp(toSyncReport(begun, "sync", pruned));
  }

  function onProgress(progress: ExchangeProgress): void {
    if (silent) heard();
    silent = false;
    // What it answers is the caller's to look at: it may be a promise, whatever its type says.
    return options.onProgress?.(progress);
  }

  const mine = begin(store, options, "sync", { ...world, signal: cancelling.signal, onProgress, onIdle });
  begun = mine;
  return {
    ended: mine.ended,
    notify: mine.running.notify,
    sendsAtOnce: mine.running.sendsAtOnce,
    leave: mine.running.leave,
    cancel: () => cancelling.abort(),
    failedHere: mine.running.failedHere,
    report: () => toSyncReport(mine, "sync", 0),
    goingAway: mine.exchange.goingAway,
  };
}

interface BeginWorld extends SyncWorld {
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: ExchangeProgress) => void;
  readonly onIdle?: () => void;
}

/** An exchange under way, with its connection if that is its own. */
interface Begun {
  readonly exchange: ClientExchange;
  readonly running: RunningExchange;
  /** As that of `running`, once its own connection is closed. */
  readonly ended: Promise<void>;
  durationMs(): number;
}

function begin(
  store: ReplicaStore,
  options: SyncOptions | LiveOptions,
  mode: "sync" | "dry-run" | "verify",
  { signal, room, onProgress = options.onProgress, onIdle }: BeginWorld,
): Begun {
  const standard = checkStandard(options.standard);
  const stepTimeoutMs = options.stepTimeoutMs ?? STEP_TIMEOUT_MS;
  const { resolver, server } = options;
  const live = options.live === true;
  const exchange = createClientExchange({
    standard,
    create: options.create ?? false,
    recreate: options.recreate ?? false,
    client: options.client ?? `replica ${Buffer.from(store.state().replicaId).toString("hex", 0, 4)}`,
    limits: options.limits ?? {},
    stepTimeoutUs: stepTimeoutMs * 1000,
    mode,
    live,
    onHistoryChange: options.onHistoryChange ?? "offer",
    resolves: resolver !== undefined,
  });
  const secured = options.tls === undefined ? {} : { tls: options.tls };
  const own = typeof server !== "string" ? undefined : live ? connectAnew(server, secured) : connect(server, secured);
  const connection = own ?? (server as Connection);
  const began = performance.now();
  const timeoutMs = options.live === true ? undefined : options.timeoutMs;
  const run: ExchangeRun = {
    signal,
    stepTimeoutMs,
    room,
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(resolver === undefined ? {} : { resolve: createResolve(store, resolver) }),
    ...(onProgress === undefined ? {} : { onProgress }),
    ...(onIdle === undefined ? {} : { onIdle }),
  };
  const running = startExchange(connection, store, exchange, run);
  const ended = running.ended.finally(() => own?.close());
  let endedAt: number | undefined;
  const stop = (): void => {
    endedAt = performance.now();
  };
  running.ended.then(stop, stop);
  return { exchange, running, ended, durationMs: () => (endedAt ?? performance.now()) - began };
}

function signalOf({ signal }: Pick<SyncOptions, "signal">, { closing }: SyncWorld): AbortSignal {
  return signal === undefined ? closing : AbortSignal.any([closing, signal]);
}

function prune(
  store: ReplicaStore,
  { conflictRetentionMs = CONFLICT_RETENTION_MS }: SyncOptions | LiveOptions,
): number {
  return pruneConflicts(store, conflictRetentionMs);
}

function toSyncReport(
  { exchange, running: { bytes }, durationMs }: Begun,
  mode: "sync" | "dry-run",
  prunedConflicts: number,
): SyncReport {
  const report = exchange.report();
  const { sum, differences: _differences, ...rest } = report;
  return {
    ...rest,
    dryRun: mode === "dry-run",
    prunedConflicts,
    standard: standardName(report.standard),
    conflicts: report.conflicts.map((conflict) => ({ ...conflict, standard: standardName(conflict.standard) })),
    rejected: report.rejected.map((rejection) => ({ ...rejection, reason: reasonName(rejection.reason) })),
    bytesSent: bytes.sent,
    bytesReceived: bytes.received,
    fingerprint: hex(sum),
    durationMs: durationMs(),
  };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
