import type { Content } from "../../core/content.js";
import type { ChangeStandard } from "../../gen/tercet/v1/item.js";
import type { BaseState } from "./local-state.js";

/**
 * Which pending changes to take. Held ones are left out, without `skipped`. A group is taken whole, or not at all, its
 * changes one behind the other; `maxBytes` and `maxChanges` may be exceeded by one group. A group with a member that is
 * left out (eager: with unsettled sendings) is left out. By ids: a group is taken whole where one of its members is named.
 */
export interface OutgoingQuery {
  /** By sequence number, after this one and up to `through`; or these ids (which must be pending, else left out). */
  readonly select: { readonly after: number; readonly through: number } | { readonly ids: readonly string[] };
  /** Ids, contents and 64 bytes an item come to no more than this; but one is taken, unless eager, whatever its size. */
  readonly maxBytes: number;
  readonly maxChanges: number;
  /**
   * Take only changes without unsettled sendings, and only if all of them are within `maxBytes` and `maxChanges`: else
   * take none and answer `more`. The others are left out without `more`; `skipped` tells.
   */
  readonly eager: boolean;
}

/** A change to send. */
export interface OutgoingChange {
  readonly id: string;
  readonly sequence: number;
  /** Undefined for a deletion. */
  readonly upsert:
    | {
        /** Undefined for a large one, which is read piece by piece (`readContent`). */
        readonly content: Content | undefined;
        readonly fingerprint: Uint8Array;
        readonly size: number;
        readonly upload: Upload | undefined;
      }
    | undefined;
  readonly modifyTimeUs: number;
  readonly base: BaseState | undefined;
  /** Set where it was rebased over a change of the server: by which standard it prevails. */
  readonly overrides: ChangeStandard | undefined;
  /** Had unsettled sendings before this one. */
  readonly resent: boolean;
  /** Key of its atomic group, 0 for none. */
  readonly group: number;
}

/** How a large content is sent. */
export interface Upload {
  /** Random, 16 bytes: drawn when this content is first taken to be sent, and kept with it. */
  readonly id: Uint8Array;
  /** It was taken before: the server may have some of it. */
  readonly begun: boolean;
  readonly text: boolean;
}

/** Changes to send. */
export interface OutgoingBatch {
  readonly changes: readonly OutgoingChange[];
  /** There are more by the same query, after the last one taken. */
  readonly more: boolean;
  /** Eager, and not `more`: changes were left out because they have unsettled sendings. */
  readonly skipped: boolean;
}
