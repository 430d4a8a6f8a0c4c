/** What was done to the world, and how often it was looked at. */
export interface Statistics {
  /** Things that were found to be as they must. */
  checks: number;
  /** Faults and other happenings by kind. */
  readonly kinds: Map<string, number>;
  count(kind: string, times?: number): void;
}

/** Nothing counted yet. */
export function createStatistics(): Statistics {
  const kinds = new Map<string, number>();
  return {
    checks: 0,
    kinds,
    count(kind, times = 1) {
      kinds.set(kind, (kinds.get(kind) ?? 0) + times);
    },
  };
}
