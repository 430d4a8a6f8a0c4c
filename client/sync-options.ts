import { LIMIT_NAMES } from "../core/limits.js";
import { parseStandard } from "../core/standard.js";
import { ChangeStandard } from "../gen/tercet/v1/item.js";
import type { Limits } from "../gen/tercet/v1/sync.js";
import type { Connection, ConnectOptions } from "./connection.js";
import { TercetError } from "./error.js";
import type { LiveState } from "./live.js";
import type { ExchangeProgress, ReportedRecovery } from "./protocol/report.js";
import type { Resolver } from "./resolver.js";
import {
  checkBoolean,
  checkFunction,
  checkNamed,
  checkPositive,
  checkSignal,
  checkString,
  checkWhole,
  invalidField,
} from "./validate.js";

/** Whose change prevails where both sides changed an item; see ChangeStandard in item.proto. */
export type StandardName = "SERVER" | "CLIENT" | "NEWEST" | "MANUAL";

/** How to run an exchange. Numbers that make no sense are refused with INVALID_FIELD, before anything is sent. */
export interface SyncOptions extends ConnectOptions {
  /** `host:port` of the server, or a connection to it, which stays open. */
  readonly server: string | Connection;
  /** One exchange, which ends. For `true` see LiveOptions. */
  readonly live?: false;
  /** Default: the collection's, or SERVER where it binds none. A bound one is in force whatever is said here. */
  readonly standard?: StandardName;
  /**
   * Judges conflicts in place of the standard, a bound one too, one after the other; may take its time. What it throws or
   * rejects with ends the exchange, which rejects with it. See Resolver. Refused with `dryRun`, which reads no contents to
   * judge by.
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

/**
 * How to stay in exchange with a server: see LiveSync. There is no deadline and no dry run (`timeoutMs` and `dryRun` are
 * refused with INVALID_FIELD). `conflictRetentionMs` is looked at each time that it has caught up, and once an hour.
 */
export interface LiveOptions extends Omit<SyncOptions, "live" | "dryRun" | "timeoutMs" | "signal"> {
  readonly live: true;
  /** Stops it in peace, as LiveSync.stop. */
  readonly signal?: AbortSignal;
  /**
   * Milliseconds before it connects again: each time a random part of a ceiling that begins with `initialMs` (500 by
   * default) and doubles up to `maxMs` (30,000 by default), on top of what the server asks for.
   */
  readonly backoff?: { readonly initialMs?: number; readonly maxMs?: number };
  /**
   * Called on every change of `LiveSync.state`; with `waiting` and where it ended by one, with the error. What it throws is
   * thrown again outside of the exchange, as an uncaught exception.
   */
  readonly onState?: (state: LiveState, error: Error | undefined) => void;
  /**
   * Called whenever both sides were compared range by range, once what was found is stored: what a server that was restored
   * was offered again, and what most likely returned with it; see SyncReport.recovery. Also where the exchange was cut
   * meanwhile: with what it had found, which the next one does not find again. What it throws is as with `onState`.
   */
  readonly onRecovery?: (recovery: ReportedRecovery) => void;
}

/** How to compare a replica with its server. */
export type VerifyOptions = Omit<
  SyncOptions,
  "live" | "standard" | "resolver" | "create" | "recreate" | "onHistoryChange" | "dryRun" | "conflictRetentionMs"
>;

const NAMES = Object.keys({
  server: true,
  tls: true,
  live: true,
  standard: true,
  resolver: true,
  create: true,
  recreate: true,
  onHistoryChange: true,
  dryRun: true,
  conflictRetentionMs: true,
  signal: true,
  timeoutMs: true,
  stepTimeoutMs: true,
  onProgress: true,
  limits: true,
  client: true,
  backoff: true,
  onState: true,
  onRecovery: true,
} satisfies Record<keyof SyncOptions | keyof LiveOptions, true>);

/** The standard of a name. @throws TercetError UNKNOWN_STANDARD. */
export function checkStandard(name: StandardName | undefined): ChangeStandard {
  if (name === undefined) return ChangeStandard.CHANGE_STANDARD_UNSPECIFIED;
  const standard = parseStandard(name);
  if (standard !== undefined) return standard;
  throw new TercetError(`unknown change standard "${name}": SERVER, CLIENT, NEWEST or MANUAL`, {
    code: "INVALID_ARGUMENT",
    reason: "UNKNOWN_STANDARD",
  });
}

/** @throws TercetError INVALID_FIELD. */
function checkOptions(options: SyncOptions | LiveOptions): void {
  // What types say, programs in JavaScript may not know.
  checkNamed(options, NAMES);
  const { server, stepTimeoutMs, conflictRetentionMs, limits = {}, onHistoryChange = "offer" } = options;
  if (typeof server !== "string" && typeof (server as Partial<Connection> | undefined)?.exchange !== "function") {
    throw invalidField("server", "must be host:port or a connection");
  }
  if (options.live !== true) checkPositive("timeoutMs", options.timeoutMs);
  for (const name of ["resolver", "onProgress", "onState", "onRecovery"] as const) {
    const value = (options as Partial<LiveOptions>)[name];
    if (value !== undefined) checkFunction(name, value);
  }
  for (const name of ["create", "recreate", "dryRun"] as const) {
    checkBoolean(name, (options as Partial<SyncOptions>)[name]);
  }
  checkSignal("signal", options.signal);
  checkString("client", options.client);
  checkPositive("stepTimeoutMs", stepTimeoutMs);
  checkPositive("conflictRetentionMs", conflictRetentionMs);
  checkNamed(limits, LIMIT_NAMES, "limits");
  for (const [name, value] of Object.entries(limits)) checkWhole(`limits.${name}`, value);
  if (!["offer", "follow", "stop"].includes(onHistoryChange)) {
    throw invalidField("onHistoryChange", 'must be "offer", "follow" or "stop"');
  }
}

/** The same for what ends by itself. @throws TercetError INVALID_FIELD. */
export function checkEndingOptions(options: SyncOptions | VerifyOptions): void {
  checkOptions(options as SyncOptions);
  for (const name of ["backoff", "onState", "onRecovery"] as const) {
    if ((options as Partial<LiveOptions>)[name] !== undefined) throw invalidField(name, "is for live: true alone");
  }
}

/** The same for an exchange. @throws TercetError INVALID_FIELD. */
export function checkSyncOptions(options: SyncOptions): void {
  checkEndingOptions(options);
  if (options.dryRun !== true || options.resolver === undefined) return;
  throw invalidField("resolver", "can't be with dryRun, which reads no contents to judge by");
}

/** The same for what has no end. @throws TercetError INVALID_FIELD, UNKNOWN_STANDARD. */
export function checkLiveOptions(options: LiveOptions): void {
  checkOptions(options);
  checkStandard(options.standard);
  const { dryRun, timeoutMs } = options as { readonly dryRun?: unknown; readonly timeoutMs?: unknown };
  if (timeoutMs !== undefined) throw invalidField("timeoutMs", "can't be with live, which has no deadline: use signal");
  if (dryRun !== undefined && dryRun !== false) throw invalidField("dryRun", "can't be with live");
  const { backoff = {} } = options;
  checkNamed(backoff, ["initialMs", "maxMs"], "backoff");
  const { initialMs, maxMs } = backoff;
  checkPositive("backoff.initialMs", initialMs);
  checkPositive("backoff.maxMs", maxMs);
}
