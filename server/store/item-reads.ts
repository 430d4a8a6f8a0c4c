import type { Content } from "../../core/content.js";
import type { Change } from "../../core/page.js";
import type { EpochState } from "./collection-state.js";

/** An item's latest change. */
export interface StoredChange extends Change {
  /** Bytes of the content, 0 for a tombstone. */
  readonly size: number;
  /** Revision of its atomic group, 0 for none. */
  readonly group: number;
  /** Where it was asked for and fits; never for a tombstone or what was uploaded: `readPart` reads that. */
  readonly content: Content | undefined;
}

/** Which items to read. */
export interface ItemsQuery {
  readonly uid: Uint8Array;
  readonly ids: readonly string[];
  /** Stops before the content that would go beyond this many bytes in all; at least one is read. */
  readonly maxBytes: number;
}

/** Items that were read, in the order asked for. */
export interface ItemsRead {
  /** One for each id up to where it stopped: the item or its tombstone, or undefined where there is neither. */
  readonly items: readonly (StoredChange | undefined)[];
  /** The collection in this snapshot. */
  readonly revision: number;
  readonly lineage: readonly EpochState[];
}

/** Which items to list. */
export interface ListQuery {
  readonly uid: Uint8Array;
  /** Ids that begin with this; "" for all. */
  readonly prefix: string;
  /** Ids after this one; "" for all. */
  readonly after: string;
  readonly limit: number;
  /** Ends the page once ids, contents and 64 bytes an item come to this; at least one item is read. */
  readonly maxBytes: number;
  /** Read contents up to this many bytes along; -1 for none. */
  readonly inlineBytes: number;
}

/** Which part of an item's content to read. */
export interface PartQuery {
  readonly uid: Uint8Array;
  readonly id: string;
  readonly offset: number;
  /** Most bytes. */
  readonly length: number;
}

/** A part of an item's content, and the item in the same snapshot. */
export interface PartRead {
  /** Without content. */
  readonly change: StoredChange;
  /** Empty beyond the end. */
  readonly data: Uint8Array;
  /** The content was stored as text. */
  readonly text: boolean;
}
