import type { Content } from "../../core/content.js";
import type { RecordedConflict } from "../../core/recorded-conflict.js";

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
export interface LocalConflict extends RecordedConflict {
  /** It was given as text. */
  readonly text: boolean;
  /** A large one is read when it is asked for, each time anew; throws where the record is gone by then. */
  readonly content: Content | undefined;
}
