import type { Content } from "../../core/content.js";
import type { ChangeStandard } from "../../gen/tercet/v1/item.js";
import type { EpochState } from "./collection-state.js";
import type { StoredChange } from "./item-reads.js";
import type { UploadRef } from "./uploads.js";

/** A new content. */
export interface Upsert {
  /** Up to WHOLE_BYTES (core/limits.ts); undefined where it was uploaded. */
  readonly content: Content | undefined;
  /** The upload that the content came in: a write that is made takes it over, another leaves it. */
  readonly upload?: UploadRef;
  /** Has been checked. */
  readonly fingerprint: Uint8Array;
  readonly size: number;
}

/** A change to make if the item is in the expected state. */
export interface Write {
  readonly id: string;
  /** The new content with its fingerprint and size; undefined deletes the item. */
  readonly upsert: Upsert | undefined;
  readonly modifyTimeUs: number;
  /** `any`: whatever is there. Else the fingerprint that must be there, undefined for no item. */
  readonly expected: Uint8Array | undefined | "any";
  /** The item, tombstones included, must not have changed after this revision. Undefined: does not matter. */
  readonly seen: number | undefined;
  /** Commit under a new revision even where the item already is in the wanted state. */
  readonly fence: boolean;
  /**
   * Keep what is overwritten, an item or a tombstone in another state, in a conflict record, and by which standard;
   * undefined for an ordinary change. Where nothing was there, nothing gives way and no record is made.
   */
  readonly overrides: ChangeStandard | undefined;
  /** Writes next to each other with the same number are an atomic group; 0 for none. */
  readonly group: number;
}

/** Writes of one caller to one collection; each id at most once. */
export interface WriteBatch {
  readonly uid: Uint8Array;
  readonly writes: readonly Write[];
  readonly nowUs: number;
  /** Remember this answer to a request id in the same transaction; made from the outcomes. An earlier answer stays. */
  readonly remember?: {
    readonly requestId: string;
    readonly digest: Uint8Array;
    answer(written: BatchWritten): Uint8Array;
  };
}

/** What became of one write. */
export type WriteOutcome =
  /** Committed with this revision. */
  | { readonly kind: "applied"; readonly revision: number; readonly group: number }
  /** The item was already so, since this revision (0 where it was never there). */
  | { readonly kind: "already"; readonly revision: number }
  /**
   * Not in the expected state, but in this one: for an item that the store knows nothing of, a deletion at the
   * collection's revision. Of a group, the members that are as expected are `group-conflict`. Without content.
   */
  | { readonly kind: "conflict"; readonly current: StoredChange }
  | { readonly kind: "group-conflict" }
  /** Would have been made, but for its upload: not there, not whole, or of another item. Of a group, all members. */
  | { readonly kind: "no-upload"; readonly revision: 0 };

/** What became of a batch. */
export interface BatchWritten {
  readonly outcomes: readonly WriteOutcome[];
  /** Revision of the collection right before and right after this batch. */
  readonly revisionBefore: number;
  readonly revision: number;
  /** All epochs after this batch: the first commit of a store appends its own. */
  readonly lineage: readonly EpochState[];
}
