import { type ServiceError, status } from "@grpc/grpc-js";
import { BadRequest, ErrorInfo, RetryInfo } from "../../../gen/google/rpc/error_details.js";
import { Status } from "../../../gen/google/rpc/status.js";
import { ErrorReason, errorReasonToJSON } from "../../../gen/tercet/v1/error.js";
import { ClientError } from "./replica.js";

/** What a caller can tell an error by, be it of the server's or of this side's. */
export interface Told {
  /** Canonical name of the status code. */
  readonly code: string;
  /** Of error.proto, without its prefix; empty where there is none. */
  readonly reason: string;
  readonly message: string;
  readonly fields: readonly string[];
  readonly retryAfterMs: number | undefined;
}

/** Reads an error: the status of a call with its details, or what this side refused. Others are bugs. */
export function readError(error: unknown): Told {
  const told = { code: "INTERNAL", reason: "", message: String(error), fields: [], retryAfterMs: undefined };
  if (error instanceof ClientError) {
    return { ...told, code: codeOf(error.reason), reason: error.reason, message: error.message };
  }
  const { code, details, metadata } = error as Partial<ServiceError>;
  if (code === undefined || metadata === undefined) return told;
  const [bytes] = metadata.get("grpc-status-details-bin");
  const said = { ...told, code: status[code], message: details ?? "" };
  try {
    return { ...said, ...readDetails(Buffer.isBuffer(bytes) ? bytes : Buffer.alloc(0)) };
  } catch {
    // Details that can't be read say nothing.
    return said;
  }
}

function readDetails(bytes: Uint8Array): Pick<Told, "reason" | "fields" | "retryAfterMs"> {
  const { details } = Status.decode(bytes);
  const detail = (name: string): Buffer => {
    return details.find(({ typeUrl }) => typeUrl.endsWith(`/google.rpc.${name}`))?.value ?? Buffer.alloc(0);
  };
  const { retryDelay } = RetryInfo.decode(detail("RetryInfo"));
  return {
    reason: ErrorInfo.decode(detail("ErrorInfo")).reason,
    fields: BadRequest.decode(detail("BadRequest")).fieldViolations.map(({ field }) => field),
    retryAfterMs: retryDelay && retryDelay.seconds * 1000 + retryDelay.nanos / 1e6,
  };
}

/** A reason without its prefix. */
export function nameOf(reason: ErrorReason): string {
  if (reason === ErrorReason.ERROR_REASON_UNSPECIFIED) return "";
  return errorReasonToJSON(reason).replace("ERROR_REASON_", "");
}

/** The code of what this side finds by itself: error.proto names it with each reason. */
function codeOf(reason: string): string {
  if (reason === "UNVERIFIED") return "DATA_LOSS";
  if (reason === "UNSUPPORTED") return "UNIMPLEMENTED";
  if (["ITEM_HELD", "TOKEN_OTHER_HISTORY", "TOKEN_COMPACTED"].includes(reason)) return "FAILED_PRECONDITION";
  return "INVALID_ARGUMENT";
}
