/** What the product can do, and so what the histories have in them. One place to switch a part of the simulation off. */
export const FEATURES = {
  /** A refused token is followed by recovery: backups of the server are restored, tombstones compacted. */
  recovery: true,
  /** Tombstones can be compacted. */
  compaction: true,
  /** Local transactions are atomic groups. */
  groups: true,
  /** The standard NEWEST. */
  newest: true,
  /** The standard MANUAL, with items held in conflict. */
  manual: true,
  /** A collection may be deleted and made anew under the feet of its replicas. */
  recreation: true,
  /** Exchanges that stay open. */
  live: true,
} as const satisfies Record<string, boolean>;

/** Limits of an atomic group. */
export const GROUP_LIMITS = { items: 1000, bytes: 1024 * 1024 } as const;
