import type { Content } from "../../core/content.js";
import type { ErrorReason } from "../../gen/tercet/v1/error.js";

/** An item as the application sees it. */
export interface LocalItem {
  readonly id: string;
  /** A large one is read when it is asked for, each time anew; throws where the item has changed since. */
  readonly content: Content;
  /** Its bytes. */
  readonly size: number;
  /** It was given as text. */
  readonly text: boolean;
  readonly fingerprint: Uint8Array;
  readonly modifyTimeUs: number;
  /** Has a pending change. */
  readonly pending: boolean;
}

/** Which items to list. */
export interface LocalListQuery {
  /** Ids that begin with this; "" for all. */
  readonly prefix: string;
  /** Ids after this one; "" for all. */
  readonly after: string;
  readonly limit: number;
}

/** A change of the application. */
export interface LocalWrite {
  readonly id: string;
  /** The new content with its fingerprint; undefined deletes the item. */
  readonly upsert: Upsert | undefined;
}

/** A version of an item that is to be stored: its content is here, or was staged. */
export interface Upsert {
  /** Undefined where it was staged. A large one is cut into pieces. */
  readonly content: Content | undefined;
  /** Key of a content that was staged; it belongs to the item from then on. A write that changes nothing forgets it. */
  readonly staged?: number | undefined;
  readonly fingerprint: Uint8Array;
}

/** How large an atomic group may be. */
export interface GroupLimits {
  readonly items: number;
  /** Of contents and ids, and 64 bytes an item. */
  readonly bytes: number;
}

/** An atomic group would be too large. */
export class GroupTooLarge extends Error {
  override readonly name = "GroupTooLarge";
}

/** What a local write did. */
export interface WriteResult {
  /** For each change its pending sequence number, 0 where it changed nothing or ended a pending change. */
  readonly sequences: readonly number[];
}

/** A pending change, for people. */
export interface PendingChange {
  readonly id: string;
  readonly sequence: number;
  readonly kind: "upserted" | "deleted";
  readonly size: number;
  readonly modifyTimeUs: number;
  /** Why the server rejected it, if it did. */
  readonly rejected: { readonly reason: ErrorReason; readonly message: string } | undefined;
  /** Held in conflict: not sent until it is resolved. */
  readonly held: boolean;
  /** Key of its atomic group, 0 for none. */
  readonly group: number;
}
