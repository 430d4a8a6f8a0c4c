import { reasonName } from "../core/fault.js";
import { parseStandard, standardName } from "../core/standard.js";
import { ChangeStandard } from "../gen/tercet/v1/item.js";
import type { Limits } from "../gen/tercet/v1/sync.js";
import { type Connection, type ConnectOptions, connect } from "./connection.js";
import { runExchange } from "./connection-exchange.js";
import { TercetError } from "./error.js";
import { createClientExchange } from "./protocol/exchange.js";
import type { ExchangeProgress, ExchangeReport } from "./protocol/report.js";
import type { ReplicaStore } from "./replica/store.js";
import { checkPositive, checkWhole } from "./validate.js";

/** Whose change prevails where both sides changed an item; see ChangeStandard in item.proto. */
export type StandardName = "SERVER" | "CLIENT";

/** How to run an exchange. Numbers that make no sense are refused with INVALID_FIELD, before anything is sent. */
export interface SyncOptions extends ConnectOptions {
  /** `host:port` of the server, or a connection to it, which stays open. */
  readonly server: string | Connection;
  /** Default: the collection's, or SERVER where it binds none. A bound one is in force whatever is said here. */
  readonly standard?: StandardName;
  /** Create the collection if the server does not have it. Default: COLLECTION_NOT_FOUND. */
  readonly create?: boolean;
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

/** What an exchange did. */
export interface SyncReport {
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
  /** Conflicts and whose change prevailed; what gave way is in a conflict record of its side. At most 10,000 are listed. */
  readonly conflicts: readonly {
    readonly id: string;
    readonly standard: string;
    readonly prevailed: "mine" | "theirs";
  }[];
  readonly conflictCount: number;
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

const STEP_TIMEOUT_MS = 60_000;

/** Runs one exchange of a replica store. `closing` is aborted where the replica is closed meanwhile. */
export async function syncReplica(
  store: ReplicaStore,
  options: SyncOptions,
  closing: AbortSignal,
): Promise<SyncReport> {
  const standard =
    options.standard === undefined ? ChangeStandard.CHANGE_STANDARD_UNSPECIFIED : parseStandard(options.standard);
  checkOptions(options);
  if (standard === undefined) {
    throw new TercetError(`unknown change standard "${options.standard}": SERVER or CLIENT`, {
      code: "INVALID_ARGUMENT",
      reason: "UNKNOWN_STANDARD",
    });
  }
  const stepTimeoutMs = options.stepTimeoutMs ?? STEP_TIMEOUT_MS;
  const exchange = createClientExchange({
    standard,
    create: options.create ?? false,
    client: options.client ?? `replica ${Buffer.from(store.state().replicaId).toString("hex", 0, 4)}`,
    limits: options.limits ?? {},
    stepTimeoutUs: stepTimeoutMs * 1000,
  });
  const own = typeof options.server === "string";
  const connection = typeof options.server === "string" ? connect(options.server, options) : options.server;
  const began = performance.now();
  try {
    const signal = options.signal === undefined ? closing : AbortSignal.any([closing, options.signal]);
    const bytes = await runExchange(connection, store, exchange, { ...options, stepTimeoutMs, signal });
    return toSyncReport(exchange.report(), bytes, performance.now() - began);
  } finally {
    if (own) await connection.close();
  }
}

function checkOptions({ timeoutMs, stepTimeoutMs, limits = {} }: SyncOptions): void {
  checkPositive("timeoutMs", timeoutMs);
  checkPositive("stepTimeoutMs", stepTimeoutMs);
  for (const [name, value] of Object.entries(limits)) checkWhole(`limits.${name}`, value);
}

function toSyncReport(
  report: ExchangeReport,
  bytes: { readonly sent: number; readonly received: number },
  durationMs: number,
): SyncReport {
  const { sum, ...rest } = report;
  return {
    ...rest,
    standard: standardName(report.standard),
    conflicts: report.conflicts.map((conflict) => ({ ...conflict, standard: standardName(conflict.standard) })),
    rejected: report.rejected.map((rejection) => ({ ...rejection, reason: reasonName(rejection.reason) })),
    bytesSent: bytes.sent,
    bytesReceived: bytes.received,
    fingerprint: Buffer.from(sum).toString("hex"),
    durationMs,
  };
}
