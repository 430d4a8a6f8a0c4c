/** How long the answer to a request id is remembered, in microseconds: 24 hours. */
export const REQUEST_RETENTION_US = 24 * 3600 * 1_000_000;
/** Most answers that are remembered; the oldest go first. */
export const MAX_REQUESTS = 100_000;
/** Most expired answers that go with each new one, so that no write pays for a whole day. */
export const REQUESTS_PRUNED_AT_ONCE = 4;

/** The answer to a request id. */
export interface RememberedRequest {
  /** Digest of the request that it answered. */
  readonly digest: Uint8Array;
  readonly answer: Uint8Array;
}
