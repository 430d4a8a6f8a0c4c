/**
 * Tercet's client library: a replica of a collection in a SQLite file, and the exchange that makes it equal to the
 * server's.
 *
 * ```ts
 * import { createReplica } from "tercet";
 *
 * const replica = createReplica("places.replica", { collection: "places" });
 * replica.put("zrh", JSON.stringify({ name: "Zürich" }));
 * const report = await replica.sync({ server: "127.0.0.1:7727", standard: "CLIENT", create: true });
 * console.log(report.sent, report.verified);
 * ```
 *
 * @module
 */
export type { Content } from "../core/content.js";
export { fingerprintOf } from "../core/fingerprint.js";
export { StorageError, type StorageErrorKind } from "../core/storage-error.js";
export {
  type CallBounds,
  type Connection,
  type ConnectOptions,
  connect,
  DEFAULT_PORT,
  METHODS,
} from "./connection.js";
export { type CanonicalCode, type ErrorField, TercetError } from "./error.js";
export type { OpenContent, PutOptions } from "./large-content.js";
export type { LiveState, LiveStatus, LiveSync, StopOptions } from "./live.js";
export type { AppliedChange, ChangeListener, ChangesOptions } from "./live-changes.js";
export type { LiveReport } from "./live-tally.js";
export { type MergeJsonOptions, mergeJson } from "./merge-json.js";
export type { ExchangeProgress, ReportedRecovery } from "./protocol/report.js";
export { type RebuildOptions, type RebuildReport, rebuildReplica } from "./replica/sqlite-rebuild.js";
export type { ResolveHow } from "./replica-conflicts.js";
export {
  createReplica,
  type ListOptions,
  type OpenOptions,
  openReplica,
  type Replica,
  type ReplicaCheck,
  type ReplicaStatus,
} from "./replica-handle.js";
export type { Conflict, Held, HeldVersions, Item, Pending } from "./replica-views.js";
export type { Change, Changes, Transaction } from "./replica-writes.js";
export type { ConflictingVersions, Resolver, ResolverAnswer } from "./resolver.js";
export type { Difference, SyncReport, VerifyReport } from "./sync.js";
export type { LiveOptions, StandardName, SyncOptions, VerifyOptions } from "./sync-options.js";
export type { Verdict, VerdictOptions } from "./verdict.js";
