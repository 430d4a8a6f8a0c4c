/**
 * Tercet's server as a library: `startServer` on a data directory, and the errors that it throws.
 *
 * @module
 */
export { DEFAULT_LIMITS, LIMIT_BOUNDS, type LimitBounds } from "../core/limits.js";
export { StorageError, type StorageErrorKind } from "../core/storage-error.js";
export type { Limits } from "../gen/tercet/v1/sync.js";
export {
  DEFAULT_CONFLICT_RETENTION_MS,
  DEFAULT_GRACE_MS,
  DEFAULT_HEARTBEAT_MS,
  DEFAULT_PORT,
  DEFAULT_TOMBSTONE_RETENTION_MS,
  type RunningServer,
  type ServerOptions,
  type Surroundings,
  startServer,
} from "./main.js";
export type { TlsOptions } from "./rpc/credentials.js";
export { StartError } from "./start-error.js";
