import { Metadata, status } from "@grpc/grpc-js";
import { ErrorReason, type Fault, reasonName } from "../../core/fault.js";
import { BadRequest, ErrorInfo, RetryInfo } from "../../gen/google/rpc/error_details.js";
import { Status } from "../../gen/google/rpc/status.js";

/** A status as grpc-js takes it, from `callback` as from `call.emit("error", ...)`. */
export interface RpcStatus {
  readonly code: status;
  readonly details: string;
  readonly metadata: Metadata;
}

/** Domain of every ErrorInfo. */
export const ERROR_DOMAIN = "tercet.dev";

/** Longest message and longest piece of a detail, in UTF-16 units: trailers have to fit 8 KiB of header at every client. */
const MAX_MESSAGE = 300;
const MAX_DETAIL = 128;
const MAX_VIOLATIONS = 2;

/** What a storage fault's metadata says under this key decides its code. */
export const STORAGE_KEY = "storage";

/**
 * The status of a fault: the canonical code that error.proto names with its reason, and google.rpc details.
 *
 * The one place where a fault becomes a gRPC status.
 */
export function toStatus(fault: Fault): RpcStatus {
  const code = codeOf(fault);
  const details = shorten(fault.message, MAX_MESSAGE);
  const metadata = new Metadata();
  metadata.set("grpc-status-details-bin", Buffer.from(Status.encode(toDetails(fault, code, details)).finish()));
  return { code, details, metadata };
}

function codeOf(fault: Fault): status {
  switch (fault.reason) {
    case ErrorReason.ERROR_REASON_MALFORMED_MESSAGE:
    case ErrorReason.ERROR_REASON_INVALID_FIELD:
    case ErrorReason.ERROR_REASON_INVALID_ID:
    case ErrorReason.ERROR_REASON_INVALID_COLLECTION_NAME:
    case ErrorReason.ERROR_REASON_UNKNOWN_KIND:
    case ErrorReason.ERROR_REASON_UNKNOWN_STANDARD:
    case ErrorReason.ERROR_REASON_UNKNOWN_ALGORITHM:
    case ErrorReason.ERROR_REASON_CONTENT_MISSING:
    case ErrorReason.ERROR_REASON_FINGERPRINT_MISMATCH:
    case ErrorReason.ERROR_REASON_DUPLICATE_ID:
    case ErrorReason.ERROR_REASON_ITEM_TOO_LARGE:
    case ErrorReason.ERROR_REASON_BATCH_TOO_LARGE:
    case ErrorReason.ERROR_REASON_PRECONDITION_MISSING:
    case ErrorReason.ERROR_REASON_TOKEN_MALFORMED:
    case ErrorReason.ERROR_REASON_OUT_OF_ORDER:
    case ErrorReason.ERROR_REASON_GROUP_INVALID:
    case ErrorReason.ERROR_REASON_REQUEST_ID_REUSED:
    case ErrorReason.ERROR_REASON_RANGES_INVALID:
    case ErrorReason.ERROR_REASON_UPLOAD_INVALID:
      return status.INVALID_ARGUMENT;
    case ErrorReason.ERROR_REASON_PRECONDITION_FAILED:
    case ErrorReason.ERROR_REASON_COLLECTION_DELETED:
    case ErrorReason.ERROR_REASON_TOKEN_FOREIGN:
    case ErrorReason.ERROR_REASON_TOKEN_OTHER_HISTORY:
    case ErrorReason.ERROR_REASON_TOKEN_COMPACTED:
    case ErrorReason.ERROR_REASON_ITEM_HELD:
      return status.FAILED_PRECONDITION;
    case ErrorReason.ERROR_REASON_COLLECTION_NOT_FOUND:
    case ErrorReason.ERROR_REASON_ITEM_NOT_FOUND:
    case ErrorReason.ERROR_REASON_CONFLICT_NOT_FOUND:
      return status.NOT_FOUND;
    case ErrorReason.ERROR_REASON_COLLECTION_EXISTS:
      return status.ALREADY_EXISTS;
    case ErrorReason.ERROR_REASON_WINDOW_EXCEEDED:
      return status.RESOURCE_EXHAUSTED;
    case ErrorReason.ERROR_REASON_UNSUPPORTED:
      return status.UNIMPLEMENTED;
    case ErrorReason.ERROR_REASON_GOING_AWAY:
      return status.UNAVAILABLE;
    case ErrorReason.ERROR_REASON_STORAGE_FAILED:
      return storageCode(fault.metadata?.[STORAGE_KEY]);
    case ErrorReason.ERROR_REASON_UNVERIFIED:
      return status.DATA_LOSS;
    case ErrorReason.ERROR_REASON_CONTENDED:
      return status.ABORTED;
    case ErrorReason.ERROR_REASON_STALLED:
      return status.DEADLINE_EXCEEDED;
    case ErrorReason.ERROR_REASON_UNSPECIFIED:
    case ErrorReason.ERROR_REASON_INTERNAL:
    case ErrorReason.UNRECOGNIZED:
      return status.INTERNAL;
  }
}

function storageCode(kind: string | undefined): status {
  if (kind === "full") return status.RESOURCE_EXHAUSTED;
  return kind === "damaged" ? status.DATA_LOSS : status.UNAVAILABLE;
}

function toDetails(fault: Fault, code: status, message: string): Status {
  const metadata = Object.entries(fault.metadata ?? {}).map(([key, value]) => [key, shorten(value, MAX_DETAIL)]);
  const info = { reason: reasonName(fault.reason), domain: ERROR_DOMAIN, metadata: Object.fromEntries(metadata) };
  const details = [pack("ErrorInfo", ErrorInfo.encode(info).finish())];
  if (fault.fields !== undefined && fault.fields.length > 0) {
    const violations = fault.fields.slice(0, MAX_VIOLATIONS).map(({ field, description }) => ({
      field: shorten(field, MAX_DETAIL),
      description: shorten(description, MAX_DETAIL),
      reason: info.reason,
      localizedMessage: undefined,
    }));
    details.push(pack("BadRequest", BadRequest.encode({ fieldViolations: violations }).finish()));
  }
  if (fault.retryAfterMs !== undefined) {
    const seconds = Math.floor(fault.retryAfterMs / 1000);
    const nanos = Math.round((fault.retryAfterMs - seconds * 1000) * 1e6);
    details.push(pack("RetryInfo", RetryInfo.encode({ retryDelay: { seconds, nanos } }).finish()));
  }
  return { code, message, details };
}

function pack(name: string, value: Uint8Array): Status["details"][number] {
  return { typeUrl: `type.googleapis.com/google.rpc.${name}`, value: Buffer.from(value) };
}

/** Without lone surrogates too, which grpc-js cannot write into a trailer. */
function shorten(text: string, length: number): string {
  return (text.length <= length ? text : `${text.slice(0, length - 1)}…`).toWellFormed();
}
