import type { Content } from "../../core/content.js";
import type { ErrorReason } from "../../gen/tercet/v1/error.js";
import type { ChangeStandard } from "../../gen/tercet/v1/item.js";
import type { Upsert } from "./local-items.js";
import type { BaseState } from "./local-state.js";

/**
 * What to do with one item. All but the verdicts (`settle`, `return`, `reject`) are made only if the pending sequence number is `sequence`. Of
 * actions with the same `unit` (a number other than 0) none is made, and all are stale, where one of them is: an atomic
 * group goes whole.
 */
export type Action =
  /**
   * Mine and base become the server's state; pending mark and sendings go, and so does the mark of its group. With
   * `conflict`, mine is kept in a conflict record first: a pending change, or, in recovery from a lost history, a clean item.
   */
  | {
      readonly kind: "take";
      readonly id: string;
      readonly sequence: number;
      readonly unit?: number;
      /** Undefined: the item was deleted. `kept`: its content is that of the base, which must be known. */
      readonly upsert: (Upsert & { readonly kept?: boolean }) | undefined;
      readonly revision: number;
      readonly modifyTimeUs: number;
      readonly conflict: ChangeStandard | undefined;
      /** Nothing was looked up: made only if there is neither an item nor a pending change. `sequence` is 0 then. */
      readonly onlyNew?: boolean;
    }
  /**
   * Only the base moves: mine is clean and stays as it is (a new revision of the same content), or is pending and stays
   * pending on the new base, its sendings settled. With `held` (pending only) it is held in conflict from now on; without,
   * it is not any more.
   */
  | {
      readonly kind: "rebase";
      readonly id: string;
      readonly sequence: number;
      readonly unit?: number;
      readonly base: BaseState;
      /** Content of the base, where known: for merges. Or it was staged. */
      readonly content: Content | undefined;
      readonly staged?: number | undefined;
      readonly overrides: ChangeStandard | undefined;
      readonly held?: boolean;
      /** The base is the same state under another revision: a pending change keeps what it overrides, its sendings, and is held still. */
      readonly keeps?: boolean;
    }
  /**
   * A clean item (sequence 0) becomes a pending upsert again on another base: the server lost it with its history. An id that
   * has no item: nothing happens.
   */
  | {
      readonly kind: "offer";
      readonly id: string;
      readonly sequence: number;
      readonly base: BaseState | undefined;
      /** Content of that base, where known, or it was staged. */
      readonly content: Content | undefined;
      readonly staged?: number | undefined;
      readonly overrides: ChangeStandard | undefined;
      /** Held in conflict with that base from now on. */
      readonly held?: boolean;
    }
  /** A pending change is held from now on, on the base that it has: it shares the fate of its group. Nothing else changes. */
  | {
      readonly kind: "hold";
      readonly id: string;
      readonly sequence: number;
      readonly unit?: number;
      /** Content of that base, where it was not known. */
      readonly content: Content | undefined;
      readonly staged?: number | undefined;
    }
  /**
   * A conflict (pending) ends in a content of its own, or a deletion: mine is kept in a conflict record of standard
   * `overrides`, and becomes `upsert` as a new pending change on the base `base` (theirs), of the time `modifyTimeUs`. It
   * stays a member of its group.
   */
  | {
      readonly kind: "merge";
      readonly id: string;
      readonly sequence: number;
      readonly unit?: number;
      readonly upsert: Upsert | undefined;
      readonly base: BaseState;
      /** Content of that base, where known, or it was staged. */
      readonly content: Content | undefined;
      readonly staged?: number | undefined;
      readonly overrides: ChangeStandard;
      readonly modifyTimeUs: number;
    }
  /** Mine is what the server has: base becomes mine, pending mark and sendings go. */
  | {
      readonly kind: "agree";
      readonly id: string;
      readonly sequence: number;
      readonly revision: number;
      readonly unit?: number;
    }
  /**
   * Verdict on a sending: the server made it, with this revision. If it still is what is pending, it is clean now; if
   * mine was changed since, the base moves to what was sent and mine stays pending, with only what was sent after it still
   * among its sendings; if it is not pending any more, or the base is of this revision or a later one, nothing happens. (But
   * a base that is just this, the same state of the same revision, makes what still is pending clean: it repeated the base.)
   */
  | {
      readonly kind: "settle";
      readonly id: string;
      /** Sequence number of what was sent. */
      readonly sequence: number;
      /** Fingerprint of what was sent; undefined for a deletion. */
      readonly fingerprint: Uint8Array | undefined;
      readonly revision: number;
    }
  /**
   * Verdict on a sending: it was not made, and may be sent again. That sending is over; with `resent` as for `reject`.
   */
  | { readonly kind: "return"; readonly id: string; readonly sequence: number; readonly resent: boolean }
  /**
   * Verdict on a sending: not acceptable. Marks the pending change, if it still is the one that was sent. That sending is
   * over; but with `resent` the version stays among the sendings (R5), as an earlier one of it may still arrive.
   */
  | {
      readonly kind: "reject";
      readonly id: string;
      readonly sequence: number;
      readonly reason: ErrorReason;
      readonly message: string;
      /** The change had unsettled sendings before the one with the verdict: `OutgoingChange.resent`. */
      readonly resent: boolean;
    };
