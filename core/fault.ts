import { ErrorReason, errorReasonToJSON } from "../gen/tercet/v1/error.js";

/** A field at fault, for google.rpc.BadRequest: `field` is its path in the request, as in the .proto. */
export interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

/**
 * An error as data. Inside the core nothing throws for bad input: a fault travels as a value and becomes a gRPC status,
 * or an exception of the client library, at the edge.
 */
export interface Fault {
  readonly reason: ErrorReason;
  /** One sentence for people: what is wrong and, where it helps, what to do. */
  readonly message: string;
  readonly fields?: readonly FieldViolation[];
  /** For ErrorInfo.metadata: small facts that a program may want. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Milliseconds after which the same call may do better; sets RetryInfo. */
  readonly retryAfterMs?: number;
}

/** The reason as it stands in ErrorInfo.reason: `INVALID_ID`. */
export function reasonName(reason: ErrorReason): string {
  return errorReasonToJSON(reason).replace(/^ERROR_REASON_/, "");
}

/** A fault of one field. */
export function fieldFault(reason: ErrorReason, field: string, description: string): Fault {
  return { reason, message: `${field}: ${description}`, fields: [{ field, description }] };
}

export { ErrorReason };
