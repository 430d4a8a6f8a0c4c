import { type Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { BadRequest, ErrorInfo, RetryInfo } from "../../gen/google/rpc/error_details.js";
import { Status } from "../../gen/google/rpc/status.js";

/** What a refusal says. */
export interface Refusal {
  readonly code: string;
  /** Of its ErrorInfo; "" where there is none. */
  readonly reason: string;
  /** Fields of its BadRequest. */
  readonly fields: readonly string[];
  readonly metadata: Readonly<Record<string, string>>;
  readonly retryMs: number | undefined;
  readonly message: string;
}

/** What a call that must be refused was refused with. */
export async function refusalOf(call: Promise<unknown>): Promise<Refusal> {
  try {
    await call;
  } catch (error) {
    return toRefusal(error as ServiceError);
  }
  throw new Error("the call was not refused");
}

/** What a status and its details say. */
export function toRefusal(error: { code: number; details: string; metadata: Metadata }): Refusal {
  const [bytes] = error.metadata.get("grpc-status-details-bin");
  const details = bytes === undefined ? undefined : Status.decode(bytes as Buffer);
  if (details !== undefined && details.code !== error.code) throw new Error("the details have another code");
  const info = detail(details, "ErrorInfo");
  const { reason, domain, metadata } = info === undefined ? ErrorInfo.create() : ErrorInfo.decode(info);
  if (info !== undefined && domain !== "tercet.dev") throw new Error(`domain ${domain}`);
  const bad = detail(details, "BadRequest");
  const retry = detail(details, "RetryInfo");
  const delay = retry === undefined ? undefined : RetryInfo.decode(retry).retryDelay;
  return {
    code: status[error.code] ?? String(error.code),
    reason,
    fields: bad === undefined ? [] : BadRequest.decode(bad).fieldViolations.map(({ field }) => field),
    metadata,
    retryMs: delay === undefined ? undefined : delay.seconds * 1000 + delay.nanos / 1e6,
    message: error.details,
  };
}

function detail(details: Status | undefined, name: string): Buffer | undefined {
  return details?.details.find(({ typeUrl }) => typeUrl === `type.googleapis.com/google.rpc.${name}`)?.value;
}
