import type { Content } from "../../core/content.js";

/** A content that a replica keeps. */
export interface KeptContent {
  /** A large one is read when it is asked for, each time anew; throws where it is gone by then. */
  readonly content: Content;
  readonly size: number;
  /** It was given as text. */
  readonly text: boolean;
}

/** Which content is meant. */
export type ContentOf =
  /** An item's; with a fingerprint, only in that version. */
  | { readonly item: string; readonly fingerprint?: Uint8Array }
  /** Of the base of an item's pending change. */
  | { readonly base: string }
  /** A conflict record's. */
  | { readonly conflict: number }
  /** Of a pending change, in the version of this sequence number. */
  | { readonly pending: string; readonly sequence: number }
  /** What was staged so far. */
  | { readonly staged: number };

/** A content that is to come in pieces. */
export interface StagedBegin {
  /** It is a text (in UTF-8, which is not checked here). */
  readonly text: boolean;
  /** Set where it comes from the server: kept across exchanges, in the place of what was downloaded of the item before. */
  readonly download?: Omit<Download, "key" | "offset" | "text">;
}

/** A content in the making. */
export interface Staged {
  /** Never used again. */
  readonly key: number;
  /** Bytes so far. */
  readonly offset: number;
}

/** What was downloaded of an item's content. */
export interface Download extends Staged {
  readonly id: string;
  readonly revision: number;
  readonly modifyTimeUs: number;
  /** Bytes of the whole. */
  readonly size: number;
  readonly text: boolean;
}
