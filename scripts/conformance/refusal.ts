import { type Metadata, status } from "@grpc/grpc-js";
import { BadRequest, ErrorInfo, RetryInfo } from "../../gen/google/rpc/error_details.js";
import { Status } from "../../gen/google/rpc/status.js";
import { Mismatch, same } from "./expect.js";

/** What a status and its details say. */
export interface Refusal {
  readonly code: string;
  /** Of its ErrorInfo; "" where there is none. */
  readonly reason: string;
  readonly fields: readonly string[];
  readonly metadata: Readonly<Record<string, string>>;
  readonly retries: boolean;
}

/**
 * Reads a status as a server gave it.
 *
 * @throws Mismatch where its details do not agree with it, or are of another domain.
 */
export function toRefusal(error: { readonly code: number; readonly metadata: Metadata }): Refusal {
  const [bytes] = error.metadata.get("grpc-status-details-bin");
  const details = Buffer.isBuffer(bytes) ? Status.decode(bytes) : undefined;
  if (details !== undefined) same("code in the details", details.code, error.code);
  const detail = (name: string): Buffer | undefined =>
    details?.details.find(({ typeUrl }) => typeUrl === `type.googleapis.com/google.rpc.${name}`)?.value;
  const encoded = detail("ErrorInfo");
  const info = encoded === undefined ? undefined : ErrorInfo.decode(encoded);
  if (info !== undefined) same("domain", info.domain, "tercet.dev");
  const bad = detail("BadRequest");
  const retry = detail("RetryInfo");
  return {
    code: status[error.code] ?? String(error.code),
    reason: info?.reason ?? "",
    fields: bad === undefined ? [] : BadRequest.decode(bad).fieldViolations.map(({ field }) => field),
    metadata: info?.metadata ?? {},
    retries: retry !== undefined && RetryInfo.decode(retry).retryDelay !== undefined,
  };
}

/** @throws Mismatch where it is another one, or none. */
export function sameRefusal(
  what: string,
  came: { readonly code: number; readonly metadata: Metadata } | undefined,
  expected: Partial<Refusal>,
): void {
  if (came === undefined || came.code === 0) {
    throw new Mismatch(`${what}: expected the error ${JSON.stringify(expected)}, came success`);
  }
  same(what, toRefusal(came), expected);
}
