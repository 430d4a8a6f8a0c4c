/**
 * Tercet's server as a library: `startServer` on a data directory, and the errors that it throws.
 *
 * @module
 */
export { DEFAULT_LIMITS } from "../core/limits.js";
export { StorageError, type StorageErrorKind } from "../core/storage-error.js";
export type { Limits } from "../gen/tercet/v1/sync.js";
export {
  DEFAULT_GRACE_MS,
  DEFAULT_PORT,
  type RunningServer,
  type ServerOptions,
  StartError,
  startServer,
  type TlsOptions,
} from "./main.js";
