import type { Limits } from "../gen/tercet/v1/sync.js";

const KIB = 1024;
const MIB = 1024 * KIB;

/** Contents up to this many bytes travel whole and are kept in one row; larger ones go in chunks everywhere. */
export const WHOLE_BYTES = MIB;

/** Limits as a server sets them by default; the same values are a client's wishes by default. */
export const DEFAULT_LIMITS: Limits = {
  inlineBytes: 16 * KIB,
  eagerBytes: 512 * KIB,
  messageBytes: 128 * KIB,
  itemBytes: 64 * MIB,
  windowBytes: 4 * MIB,
  windowItems: 16_384,
  groupItems: 1000,
  groupBytes: MIB,
};

/** All of them, by name. */
export const LIMIT_NAMES = Object.keys(DEFAULT_LIMITS) as readonly (keyof Limits)[];

/** Least and most of a limit. */
export interface LimitBounds {
  readonly least: number;
  readonly most: number;
}

/**
 * Bounds of what a server can be configured to. The least is what must be there for an exchange to work at all, the most
 * keeps messages far from 4 MiB.
 */
export const LIMIT_BOUNDS: Readonly<Record<keyof Limits, LimitBounds>> = {
  inlineBytes: { least: 0, most: 256 * KIB },
  eagerBytes: { least: 0, most: MIB },
  messageBytes: { least: 16 * KIB, most: MIB },
  itemBytes: { least: 1, most: 1024 * MIB },
  windowBytes: { least: 16 * KIB, most: 1024 * MIB },
  windowItems: { least: 16, most: MIB },
  groupItems: { least: 1, most: 1000 },
  groupBytes: { least: 1, most: MIB },
};

/** What a client's wish is raised to, for an exchange to work at all. */
const FLOOR: Partial<Record<keyof Limits, number>> = { messageBytes: 16 * KIB, windowBytes: 16 * KIB, windowItems: 16 };

/** What every item counts besides its id and content when messages are cut by bytes. */
export const ITEM_OVERHEAD_BYTES = 64;

/** Limits in force: for each the lesser of what the server gives and the client wishes (0: no wish). */
export function negotiateLimits(given: Limits, wished: Limits | undefined): Limits {
  const limits = { ...given };
  for (const key of LIMIT_NAMES) {
    const wish = wished?.[key] ?? 0;
    const value = wish > 0 ? Math.min(given[key], wish) : given[key];
    limits[key] = Math.max(Math.min(value, LIMIT_BOUNDS[key].most), FLOOR[key] ?? 0);
  }
  return limits;
}
