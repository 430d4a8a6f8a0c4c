import type { Content } from "../../core/content.js";
import type { ChangeStandard } from "../../gen/tercet/v1/item.js";

/** An item held in conflict: by ids, both versions are there until somebody resolves it. */
export interface HeldItem {
  readonly id: string;
  readonly sequence: number;
  /** Undefined: mine deletes it. */
  readonly mine: Uint8Array | undefined;
  readonly mineTimeUs: number;
  /** Undefined: theirs deletes it. */
  readonly theirs: Uint8Array | undefined;
  readonly theirsRevision: number;
  readonly theirsTimeUs: number;
  /** Key of its group, 0 for none. */
  readonly group: number;
}

/** A version of this side that gave way. */
export interface LocalConflict {
  readonly number: number;
  readonly id: string;
  /** Undefined where what gave way was a deletion. */
  readonly fingerprint: Uint8Array | undefined;
  /** Undefined where what prevailed is a deletion. */
  readonly prevailed: Uint8Array | undefined;
  readonly standard: ChangeStandard;
  readonly recordTimeUs: number;
  readonly modifyTimeUs: number;
  readonly size: number;
  /** It was given as text. */
  readonly text: boolean;
  /** A large one is read when it is asked for, each time anew; throws where the record is gone by then. */
  readonly content: Content | undefined;
}
