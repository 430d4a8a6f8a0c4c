import { reasonName } from "../core/fault.js";
import { parseStandard, standardName } from "../core/standard.js";
import { ChangeStandard } from "../gen/tercet/v1/item.js";
import type { Limits } from "../gen/tercet/v1/sync.js";
import { type Connection, type ConnectOptions, connect } from "./connection.js";
import { runExchange } from "./connection-exchange.js";
import { TercetError } from "./error.js";
import { createClientExchange } from "./protocol/exchange.js";
import type { ExchangeProgress, ExchangeReport, ReportedRecovery } from "./protocol/report.js";
import type { ReplicaStore } from "./replica/store.js";
import { pruneConflicts } from "./replica-conflicts.js";
import { createResolve, type Resolver } from "./resolver.js";
import { checkPositive, checkWhole, invalidField } from "./validate.js";

/** Whose change prevails where both sides changed an item; see ChangeStandard in item.proto. */
export type StandardName = "SERVER" | "CLIENT" | "NEWEST" | "MANUAL";

/** How to run an exchange. Numbers that make no sense are refused with INVALID_FIELD, before anything is sent. */
export interface SyncOptions extends ConnectOptions {
  /** `host:port` of the server, or a connection to it, which stays open. */
  readonly server: string | Connection;
  /** Default: the collection's, or SERVER where it binds none. A bound one is in force whatever is said here. */
  readonly standard?: StandardName;
  /**
   * Judges conflicts in place of the standard, one after the other; may take its time. What it throws or rejects with ends
   * the exchange, which rejects with it. See Resolver. Not with `dryRun`, which reads no contents.
   */
  readonly resolver?: Resolver;
  /** Create the collection if the server does not have it. Default: COLLECTION_NOT_FOUND. */
  readonly create?: boolean;
  /**
   * Where the collection of this replica was deleted on the server: fill the one of its name with what the replica has, and
   * make it anew if need be. Default: COLLECTION_DELETED or COLLECTION_NOT_FOUND.
   */
  readonly recreate?: boolean;
  /**
   * What to do where the server was restored to an earlier time: offer it again what it lost (`offer`, the default), follow
   * it and keep what it lost in conflict records here (`follow`), or end with TOKEN_OTHER_HISTORY (`stop`).
   */
  readonly onHistoryChange?: "offer" | "follow" | "stop";
  /** Find out what would move and how conflicts would end, and change nothing on either side. */
  readonly dryRun?: boolean;
  /**
   * Milliseconds for which the replica keeps its conflict records: older ones are removed after an exchange that is through.
   * Default: 90 days; Infinity keeps them for ever.
   */
  readonly conflictRetentionMs?: number;
  /** Ends the exchange; it rejects with CANCELLED. The replica keeps what it has taken, and the next exchange goes on. */
  readonly signal?: AbortSignal;
  /** Milliseconds for the whole exchange; then it rejects with DEADLINE_EXCEEDED. Default: none. */
  readonly timeoutMs?: number;
  /** Milliseconds that the server may leave a step unanswered; then it rejects with DEADLINE_EXCEEDED (STALLED). Default: 60,000. */
  readonly stepTimeoutMs?: number;
  /**
   * How far it has come; called after each message of the server. What it throws (or rejects with) ends the exchange, which
   * rejects with it.
   */
  readonly onProgress?: (progress: ExchangeProgress) => void;
  /** What to ask of the server below its own limits, for example `{ inlineBytes: 1024 }`; see Limits in sync.proto. */
  readonly limits?: Partial<Limits>;
  /** Who is calling, for the server's log. Default: the replica's id. */
  readonly client?: string;
}

/** How to compare a replica with its server. */
export type VerifyOptions = Omit<
  SyncOptions,
  "standard" | "resolver" | "create" | "recreate" | "onHistoryChange" | "dryRun" | "conflictRetentionMs"
>;

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

/** Runs one exchange of a replica store. `closing` is aborted where the replica is closed meanwhile. */
export async function syncReplica(
  store: ReplicaStore,
  options: SyncOptions,
  closing: AbortSignal,
): Promise<SyncReport> {
  const mode = options.dryRun === true ? "dry-run" : "sync";
  const { report, bytes, durationMs } = await run(store, options, mode, closing);
  const { sum, differences: _differences, ...rest } = report;
  const retentionMs = options.conflictRetentionMs ?? CONFLICT_RETENTION_MS;
  const prunedConflicts = mode === "sync" ? pruneConflicts(store, retentionMs) : 0;
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
    durationMs,
  };
}

/** Compares what a replica last agreed on with what the server has, range by range; changes nothing. */
export async function verifyReplica(
  store: ReplicaStore,
  options: VerifyOptions,
  closing: AbortSignal,
): Promise<VerifyReport> {
  const { revision } = store.state();
  // Contents are not compared: none need to come.
  const limits = { ...options.limits, inlineBytes: 1 };
  const { report, bytes, durationMs } = await run(store, { ...options, limits }, "verify", closing);
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
    bytesSent: bytes.sent,
    bytesReceived: bytes.received,
    durationMs,
  };
}

interface Ran {
  readonly report: ExchangeReport;
  readonly bytes: { readonly sent: number; readonly received: number };
  readonly durationMs: number;
}

async function run(
  store: ReplicaStore,
  options: SyncOptions,
  mode: "sync" | "dry-run" | "verify",
  closing: AbortSignal,
): Promise<Ran> {
  checkOptions(options);
  const standard = checkStandard(options.standard);
  const stepTimeoutMs = options.stepTimeoutMs ?? STEP_TIMEOUT_MS;
  const { resolver } = options;
  const exchange = createClientExchange({
    standard,
    create: options.create ?? false,
    recreate: options.recreate ?? false,
    client: options.client ?? `replica ${Buffer.from(store.state().replicaId).toString("hex", 0, 4)}`,
    limits: options.limits ?? {},
    stepTimeoutUs: stepTimeoutMs * 1000,
    mode,
    live: false,
    onHistoryChange: options.onHistoryChange ?? "offer",
    resolves: resolver !== undefined,
  });
  const own = typeof options.server === "string";
  const connection = typeof options.server === "string" ? connect(options.server, options) : options.server;
  const began = performance.now();
  try {
    const signal = options.signal === undefined ? closing : AbortSignal.any([closing, options.signal]);
    const resolve = resolver === undefined ? {} : { resolve: createResolve(store, resolver) };
    const bytes = await runExchange(connection, store, exchange, { ...options, ...resolve, stepTimeoutMs, signal });
    return { report: exchange.report(), bytes, durationMs: performance.now() - began };
  } finally {
    if (own) await connection.close();
  }
}

function checkStandard(name: StandardName | undefined): ChangeStandard {
  if (name === undefined) return ChangeStandard.CHANGE_STANDARD_UNSPECIFIED;
  const standard = parseStandard(name);
  if (standard !== undefined) return standard;
  throw new TercetError(`unknown change standard "${name}": SERVER, CLIENT, NEWEST or MANUAL`, {
    code: "INVALID_ARGUMENT",
    reason: "UNKNOWN_STANDARD",
  });
}

function checkOptions(options: SyncOptions): void {
  const { timeoutMs, stepTimeoutMs, conflictRetentionMs, limits = {}, onHistoryChange = "offer" } = options;
  checkPositive("timeoutMs", timeoutMs);
  checkPositive("stepTimeoutMs", stepTimeoutMs);
  checkPositive("conflictRetentionMs", conflictRetentionMs);
  for (const [name, value] of Object.entries(limits)) checkWhole(`limits.${name}`, value);
  if (!["offer", "follow", "stop"].includes(onHistoryChange)) {
    throw invalidField("onHistoryChange", 'must be "offer", "follow" or "stop"');
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
