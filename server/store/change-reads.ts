import type { RangeTotal } from "../../core/range-sum.js";
import type { EpochState } from "./collection-state.js";
import type { StoredChange } from "./item-reads.js";

/** Which changes to read. */
export interface ChangesQuery {
  readonly uid: Uint8Array;
  /** Those with a greater revision. */
  readonly after: number;
  /** Leave out tombstones up to this revision (the head when a first pull began); 0 for none. */
  readonly tombstonesAfter: number;
  /** Ends the page after the commit with which ids, contents and 64 bytes an item come to this many bytes. */
  readonly maxBytes: number;
  /** Ends the page at this many changes, after the commit that reaches them; at least one commit is read. */
  readonly maxChanges: number;
  /** Read contents up to this many bytes along; -1 for none. */
  readonly inlineBytes: number;
}

/** A page of changes, and the collection in the same snapshot. */
export interface ChangesRead {
  readonly changes: readonly StoredChange[];
  /** The reader has now read up to this revision; the head where `end`. */
  readonly through: number;
  /** Nothing is after `through`. */
  readonly end: boolean;
  /** The collection in this snapshot. */
  readonly revision: number;
  readonly total: RangeTotal;
  readonly lineage: readonly EpochState[];
  /** A reader that stands before it may have missed deletions. */
  readonly compactedRevision: number;
}
