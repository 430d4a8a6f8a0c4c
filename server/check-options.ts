import { LIMIT_BOUNDS, LIMIT_NAMES, type LimitBounds } from "../core/limits.js";
import { unknownName } from "../core/unknown-name.js";
import type { Limits } from "../gen/tercet/v1/sync.js";
import { StartError } from "./start-error.js";

/** Milliseconds of the longest timer that there is (2^31), rounded down to days: 24. */
const MAX_TIMER_MS = 24 * 86_400_000;

/** Longest time that something is kept for, other than for ever: 100 years. */
const MAX_RETENTION_MS = 36_500 * 86_400_000;

/** Bounds of the times of a server, in milliseconds. */
export const TIME_BOUNDS = {
  graceMs: { least: 0, most: MAX_TIMER_MS },
  stepTimeoutMs: { least: 1, most: MAX_TIMER_MS },
  heartbeatMs: { least: 1, most: MAX_TIMER_MS },
  skewMs: { least: 0, most: MAX_TIMER_MS },
  tombstoneRetentionMs: { least: 0, most: MAX_RETENTION_MS },
  conflictRetentionMs: { least: 0, most: MAX_RETENTION_MS },
  housekeepingMs: { least: 1, most: MAX_TIMER_MS },
} as const satisfies Readonly<Record<string, LimitBounds>>;

const NAMES = ["directory", "host", "port", ...Object.keys(TIME_BOUNDS), "limits", "logger", "tls"];

/** The options that are checked. */
export type CheckedOptions = { readonly directory: string; readonly host?: string; readonly port?: number } & {
  readonly [K in keyof typeof TIME_BOUNDS]?: number;
} & {
  readonly limits?: Partial<Limits>;
};

/** Throws a StartError that names the first option that is missing or out of its bounds. */
export function checkOptions(options: CheckedOptions): void {
  // What types ask for, programs in JavaScript may leave out.
  if (typeof options !== "object" || options === null) {
    throw new StartError(`options must be an object with a directory, not ${String(options)}`);
  }
  const other = unknownName(options, NAMES);
  if (other !== undefined) throw new StartError(`${other} is not known; there are ${NAMES.join(", ")}`);
  const { directory, host = "127.0.0.1", port = 0 } = options;
  if (typeof directory !== "string" || directory === "") {
    throw new StartError(`directory must be the path of the data directory, not ${JSON.stringify(directory)}`);
  }
  if (typeof host !== "string") throw new StartError(`host must be an address to listen on, not ${String(host)}`);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new StartError(`port must be a whole number from 0 to 65535, not ${port}`);
  }
  for (const name of Object.keys(TIME_BOUNDS) as (keyof typeof TIME_BOUNDS)[]) {
    const value = options[name];
    const { least, most } = TIME_BOUNDS[name];
    if (value === undefined || (value >= least && value <= most)) continue;
    throw new StartError(`${name} must be from ${least} to ${most} milliseconds, not ${value}`);
  }
  const otherLimit = unknownName(options.limits ?? {}, LIMIT_NAMES);
  if (otherLimit !== undefined) {
    throw new StartError(`limits.${otherLimit} is not known; there are ${LIMIT_NAMES.join(", ")}`);
  }
  for (const name of LIMIT_NAMES) {
    const value = options.limits?.[name];
    const { least, most } = LIMIT_BOUNDS[name];
    if (value === undefined || (Number.isInteger(value) && value >= least && value <= most)) continue;
    throw new StartError(`limits.${name} must be a whole number from ${least} to ${most}, not ${value}`);
  }
}
