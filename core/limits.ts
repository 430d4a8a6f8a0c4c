import type { Limits } from "../gen/tercet/v1/sync.js";

const KIB = 1024;
const MIB = 1024 * KIB;

/** Limits as a server sets them by default; the same values are a client's wishes by default. */
export const DEFAULT_LIMITS: Limits = {
  inlineBytes: 16 * KIB,
  eagerBytes: 256 * KIB,
  messageBytes: 128 * KIB,
  itemBytes: MIB,
  windowBytes: 4 * MIB,
  windowItems: 16_384,
  groupItems: 1000,
  groupBytes: MIB,
};

/** What cannot be exceeded whatever is configured, so that no message comes near 4 MiB. */
const CEILING: Partial<Record<keyof Limits, number>> = {
  inlineBytes: 256 * KIB,
  eagerBytes: MIB,
  messageBytes: MIB,
  itemBytes: MIB,
};

/** What must be there for an exchange to work at all. */
const FLOOR: Partial<Record<keyof Limits, number>> = { messageBytes: 16 * KIB, windowBytes: 16 * KIB, windowItems: 16 };

/** What every item counts besides its id and content when messages are cut by bytes. */
export const ITEM_OVERHEAD_BYTES = 64;

/** Limits in force: for each the lesser of what the server gives and the client wishes (0: no wish). */
export function negotiateLimits(given: Limits, wished: Limits | undefined): Limits {
  const limits = { ...given };
  for (const key of Object.keys(DEFAULT_LIMITS) as (keyof Limits)[]) {
    const wish = wished?.[key] ?? 0;
    const value = wish > 0 ? Math.min(given[key], wish) : given[key];
    limits[key] = Math.max(Math.min(value, CEILING[key] ?? value), FLOOR[key] ?? 0);
  }
  return limits;
}
