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
  if (error instanceof ClientError) return { ...told, ...codeAndReason(error.reason), message: error.message };
  const { code, details, metadata } = error as Partial<ServiceError>;
  if (code === undefined || metadata === undefined) return told;
  const [bytes] = metadata.get("grpc-status-details-bin");
  const any = Buffer.isBuffer(bytes) ? Status.decode(bytes).details : [];
  const detail = (name: string): Buffer => any.find(({ typeUrl }) => typeUrl.endsWith(name))?.value ?? Buffer.alloc(0);
  const { retryDelay } = RetryInfo.decode(detail("/google.rpc.RetryInfo"));
  return {
    code: status[code],
    reason: ErrorInfo.decode(detail("/google.rpc.ErrorInfo")).reason,
    message: details ?? "",
    fields: BadRequest.decode(detail("/google.rpc.BadRequest")).fieldViolations.map(({ field }) => field),
    retryAfterMs: retryDelay && retryDelay.seconds * 1000 + retryDelay.nanos / 1e6,
  };
}

/** A reason without its prefix. */
export function nameOf(reason: ErrorReason): string {
  if (reason === ErrorReason.ERROR_REASON_UNSPECIFIED) return "";
  return errorReasonToJSON(reason).replace("ERROR_REASON_", "");
}

/** The code of what this side finds by itself: error.proto names it with each reason. */
function codeAndReason(reason: ErrorReason): { readonly code: string; readonly reason: string } {
  switch (reason) {
    case ErrorReason.ERROR_REASON_UNVERIFIED:
      return { code: "DATA_LOSS", reason: nameOf(reason) };
    case ErrorReason.ERROR_REASON_UNSUPPORTED:
      return { code: "UNIMPLEMENTED", reason: nameOf(reason) };
    case ErrorReason.ERROR_REASON_ITEM_HELD:
    case ErrorReason.ERROR_REASON_TOKEN_OTHER_HISTORY:
    case ErrorReason.ERROR_REASON_TOKEN_COMPACTED:
      return { code: "FAILED_PRECONDITION", reason: nameOf(reason) };
    default:
      return { code: "INVALID_ARGUMENT", reason: nameOf(reason) };
  }
}
