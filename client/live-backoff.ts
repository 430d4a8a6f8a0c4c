import { type CanonicalCode, TercetError } from "./error.js";
import { LONGEST_TIMER_MS } from "./longest-timer.js";

/** How long to wait before connecting again, in milliseconds. */
export interface Backoff {
  /** Ceiling of the wait before the first try after a failure. */
  readonly initialMs: number;
  /** It doubles up to this. */
  readonly maxMs: number;
}

/** What is in force where nothing else is said. */
export const DEFAULT_BACKOFF: Backoff = { initialMs: 500, maxMs: 30_000 };

/** The most to wait after so many failures in a row, without what the server asks for. */
export function ceilingMs({ initialMs, maxMs }: Backoff, failures: number): number {
  return Math.min(LONGEST_TIMER_MS, maxMs, initialMs * 2 ** Math.min(failures, 40));
}

/**
 * "Full jitter" of Marc Brooker's "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015): anything from nothing to
 * the ceiling, so that clients that were cut off together do not come back together. What the server asks for (RetryInfo,
 * GoingAway) comes on top of it, as nobody is to be earlier than that.
 *
 * `random`: from 0 up to, but not including, 1.
 */
export function backoffMs(backoff: Backoff, failures: number, retryAfterMs: number, random: number): number {
  return Math.min(LONGEST_TIMER_MS, retryAfterMs + random * ceilingMs(backoff, failures));
}

/** Codes that the same call would end with again, until somebody does something about it. */
const PERMANENT: ReadonlySet<CanonicalCode> = new Set<CanonicalCode>([
  "INVALID_ARGUMENT",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "FAILED_PRECONDITION",
  "PERMISSION_DENIED",
  "UNAUTHENTICATED",
  "UNIMPLEMENTED",
  "DATA_LOSS",
  "OUT_OF_RANGE",
]);

/** Permanent by their codes, and yet the next exchange recovers. */
const RECOVERS: ReadonlySet<string> = new Set(["TOKEN_COMPACTED"]);

/** Whether an exchange that ended with this may do better later. */
export function isTransient(error: unknown): error is TercetError {
  return error instanceof TercetError && (!PERMANENT.has(error.code) || RECOVERS.has(error.reason));
}
