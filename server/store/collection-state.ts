import type { RangeTotal } from "../../core/range-sum.js";
import type { ChangeStandard } from "../../gen/tercet/v1/item.js";

/** One start of a server on a collection's data. */
export interface EpochState {
  /** Random, 8 bytes. */
  readonly id: Uint8Array;
  /** First revision committed in it. */
  readonly firstRevision: number;
}

/** A collection as it stands in one snapshot. */
export interface CollectionState {
  readonly name: string;
  /** Random, 16 bytes; names the collection in every other method. */
  readonly uid: Uint8Array;
  /** The standard that it binds; UNSPECIFIED for none. */
  readonly standard: ChangeStandard;
  /** Revision of the last commit, 0 before the first. */
  readonly revision: number;
  /** Count and sum of its items. */
  readonly total: RangeTotal;
  readonly createTimeUs: number;
  /** Tombstones up to here are gone. */
  readonly compactedRevision: number;
  /** Number of conflict records. */
  readonly conflicts: number;
  /**
   * All epochs, oldest first; there is at least one. A store is opened with a random epoch id of its own and appends it
   * with the first commit that it makes to a collection.
   */
  readonly lineage: readonly EpochState[];
}

/** What a new collection begins with. */
export interface CollectionCreation {
  readonly name: string;
  readonly uid: Uint8Array;
  readonly standard: ChangeStandard;
  readonly nowUs: number;
}

/** How far to compact: tombstones up to a revision, or of commits made before a time (to the minute, and rather less than more). */
export type CompactQuery = { readonly uid: Uint8Array } & (
  | { readonly through: number }
  | { readonly beforeUs: number }
);
