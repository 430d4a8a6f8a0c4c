import type { ProvedColumns } from "../../core/item-columns.js";
import type { RangeTotal } from "../../core/range-sum.js";
import type { Action } from "./action.js";
import type { SettledRun } from "./outgoing-columns.js";
import type { BegunRecovery, LineageEpoch } from "./replica-state.js";

/**
 * In the place of the revision of a base that the server has lost with its history: later than any. A number of another
 * history says nothing beside those of the server's, whatever becomes of that history later.
 */
export const LOST_REVISION = Number.MAX_SAFE_INTEGER;

/** The revision of a base as others may see it; 0 where the server has lost it, or there is none. */
export function knownRevision(revision: number | undefined): number {
  return revision === undefined || revision === LOST_REVISION ? 0 : revision;
}

/** What an exchange decided, in one transaction. */
export interface ApplyBatch {
  readonly actions: readonly Action[];
  /**
   * Before the actions: items to be taken in their order, each only if nothing is known of it, as `take` with `onlyNew` does.
   */
  readonly items?: ProvedColumns;
  /**
   * Verdicts on creations in a row, as so many actions `settle`, after the items and before the actions, which are on other
   * ids.
   */
  readonly settled?: readonly SettledRun[];
  readonly nowUs: number;
  /** Others follow at once: it need not be a transaction of its own, as long as the order is kept. */
  readonly more?: boolean;
  /**
   * Stored only if every action could be made: else it is a witness, and comes again with what is left. `collectionUid` binds the replica,
   * and is refused (throws) where it is bound to another.
   */
  readonly checkpoint?: { readonly token: Uint8Array; readonly revision: number };
  /**
   * A revision that the server spoke of. Kept where it is beyond the checkpoint and the witness kept so far, also if some
   * actions are stale: it was heard of all the same. A checkpoint that reaches the witness drops it.
   */
  readonly witness?: { readonly token: Uint8Array; readonly revision: number };
  /**
   * A recovery begins to be stored, before anything else of the batch: bases of later revisions than `fork` are of a history
   * that the server does not have, and get LOST_REVISION. From then on all other revisions are the server's, whose lineage
   * comes in `opened`. The replica stands nowhere, without a token and a witness, until a recovery is complete; the rest is
   * kept until then. Stored also if some actions are stale.
   */
  readonly parted?: BegunRecovery & { readonly fork: number };
  /**
   * A recovery is complete; stored like `checkpoint`, and instead of it: the replica stands at this checkpoint, whatever it
   * stood at before; witness and lineage are as given with it; revisions of bases beyond `fork` may come from another history
   * and become `revision`, at which the server has had all of them (where none is given: LOST_REVISION does); `total` is what
   * the ranges come to (`sumRanges`).
   */
  readonly recovered?: {
    readonly token: Uint8Array;
    readonly revision: number;
    readonly fork?: number;
    readonly lineage: readonly LineageEpoch[];
  };
  /**
   * Kept from the server's first message. With `rebind` the replica may be bound to another collection (its own was deleted,
   * and the user wants it made anew): it goes on with that one.
   */
  readonly opened?: {
    readonly rebind?: boolean;
    readonly collectionUid: Uint8Array;
    readonly lineage: readonly LineageEpoch[];
    readonly settings: Uint8Array;
  };
}

/** What came of it. */
export interface ApplyResult {
  /** Ids whose sequence number was another, in any order: nothing was done with them, and the checkpoint was not stored. */
  readonly stale: readonly string[];
  /** Count and sum over bases now. */
  readonly total: RangeTotal;
  /** Numbers of the conflict records made, in the order of the actions that made them. */
  readonly conflicts: readonly number[];
}
