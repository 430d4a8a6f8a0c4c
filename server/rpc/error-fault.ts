import { ErrorReason, type Fault } from "../../core/fault.js";
import { StorageError, type StorageErrorKind } from "../../core/storage-error.js";
import { FaultError } from "./fault-error.js";
import { STORAGE_KEY } from "./status.js";

/** Milliseconds after which a call that met a busy or failing storage may do better. */
const STORAGE_RETRY_MS = 1000;

/** Where errors that callers must not see are written down. */
export interface ErrorLog {
  error(context: { readonly err: unknown } | { readonly storage: StorageErrorKind }, message: string): void;
}

/** The fault of whatever was thrown. What is not a fault of the caller's is logged, and told without internals. */
export function faultOf(error: unknown, log: ErrorLog): Fault {
  if (error instanceof FaultError) return error.fault;
  if (error instanceof StorageError) {
    // Its message says all there is to do something about; a stack would say where this server calls SQLite.
    log.error({ storage: error.kind }, `the storage failed: ${error.message}`);
    return storageFault(error.kind);
  }
  log.error({ err: error }, "a call failed by a fault of this server");
  const reason = ErrorReason.ERROR_REASON_INTERNAL;
  return { reason, message: "a fault of the server's own; nothing was stored, and its log says more" };
}

function storageFault(kind: StorageErrorKind): Fault {
  const fault = { reason: ErrorReason.ERROR_REASON_STORAGE_FAILED, metadata: { [STORAGE_KEY]: kind } };
  switch (kind) {
    case "full":
      return { ...fault, message: "the server's disk is full; nothing was stored" };
    case "damaged":
    case "foreign":
      return {
        ...fault,
        message:
          "the server's data file, tercet.db, does not read as it should; nothing was stored. " +
          "Its operator has to restore a backup; replicas keep their copies",
        metadata: { [STORAGE_KEY]: "damaged" },
      };
    case "busy":
    case "exists":
    case "failed":
      return { ...fault, message: "the server's storage failed; nothing was stored", retryAfterMs: STORAGE_RETRY_MS };
  }
}
