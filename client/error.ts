import { type Fault, reasonName } from "../core/fault.js";
import { ErrorReason as Reasons } from "../gen/tercet/v1/error.js";

/** Canonical names of gRPC status codes, by number. */
const CODES = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
] as const;

/** A canonical status code by name. */
export type CanonicalCode = (typeof CODES)[number];

/** The name of a status code. */
export function codeName(code: number): CanonicalCode {
  return CODES[code] ?? "UNKNOWN";
}

/** A field at fault. */
export interface ErrorField {
  readonly field: string;
  readonly description: string;
}

/**
 * What the library throws and rejects with, besides StorageError for trouble with the replica's file. The same reasons
 * and codes as on the wire: see ErrorReason in error.proto.
 */
export class TercetError extends Error {
  override readonly name = "TercetError";
  /** Canonical status code. */
  readonly code: CanonicalCode;
  /** Reason without its prefix, for example `INVALID_ID`; empty where the server gave none. */
  readonly reason: string;
  /** Small facts that a program may want. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Fields at fault. */
  readonly fields: readonly ErrorField[];
  /** Milliseconds after which the same call may do better. */
  readonly retryAfterMs: number | undefined;

  constructor(
    message: string,
    facts: {
      readonly code: CanonicalCode;
      readonly reason?: string;
      readonly metadata?: Readonly<Record<string, string>>;
      readonly fields?: readonly ErrorField[];
      readonly retryAfterMs?: number | undefined;
    },
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.code = facts.code;
    this.reason = facts.reason ?? "";
    this.metadata = facts.metadata ?? {};
    this.fields = facts.fields ?? [];
    this.retryAfterMs = facts.retryAfterMs;
  }

  /** What a log shows of it: JSON leaves out the message of an Error by itself. */
  toJSON(): object {
    const { name, message, code, reason, metadata, fields, retryAfterMs } = this;
    return { name, message, code, reason, metadata, fields, retryAfterMs };
  }
}

/** A fault that this side found, as an exception. */
export function toError(fault: Fault): TercetError {
  return new TercetError(fault.message, {
    code: localCode(fault.reason),
    reason: reasonName(fault.reason),
    ...(fault.metadata === undefined ? {} : { metadata: fault.metadata }),
    ...(fault.fields === undefined ? {} : { fields: fault.fields }),
    retryAfterMs: fault.retryAfterMs,
  });
}

/** The code of a reason that a client finds by itself; error.proto names it with each. */
function localCode(reason: Reasons): CanonicalCode {
  switch (reason) {
    case Reasons.ERROR_REASON_UNVERIFIED:
      return "DATA_LOSS";
    case Reasons.ERROR_REASON_STALLED:
      return "DEADLINE_EXCEEDED";
    case Reasons.ERROR_REASON_CONTENDED:
      return "ABORTED";
    case Reasons.ERROR_REASON_UNSUPPORTED:
      return "UNIMPLEMENTED";
    case Reasons.ERROR_REASON_STORAGE_FAILED:
      return "UNAVAILABLE";
    case Reasons.ERROR_REASON_INTERNAL:
      return "INTERNAL";
    case Reasons.ERROR_REASON_CONFLICT_NOT_FOUND:
      return "NOT_FOUND";
    case Reasons.ERROR_REASON_TOKEN_COMPACTED:
    case Reasons.ERROR_REASON_TOKEN_OTHER_HISTORY:
    case Reasons.ERROR_REASON_TOKEN_FOREIGN:
    case Reasons.ERROR_REASON_COLLECTION_DELETED:
    case Reasons.ERROR_REASON_ITEM_HELD:
      return "FAILED_PRECONDITION";
    default:
      return "INVALID_ARGUMENT";
  }
}
