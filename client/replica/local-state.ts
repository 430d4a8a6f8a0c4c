/** What the replica last agreed on. */
export interface BaseState {
  /** Undefined: that there is no such item. */
  readonly fingerprint: Uint8Array | undefined;
  readonly revision: number;
  /** When it was changed, as the server has it; 0 where that is not known. */
  readonly modifyTimeUs: number;
}

/** All that a comparison needs of an item. */
export interface LocalState {
  readonly id: string;
  /** Sequence number of the pending change; 0 for a clean or unknown item. What a conditional action names. */
  readonly sequence: number;
  /** The pending change; undefined for a clean or unknown item. */
  readonly pending:
    | {
        /** Fingerprint of mine; undefined for a deletion. */
        readonly fingerprint: Uint8Array | undefined;
        readonly modifyTimeUs: number;
        /** Held in conflict: the base is theirs. */
        readonly held: boolean;
        /** Its atomic group: all of its members, this one included, and the latest of their modify times. */
        readonly group:
          | { readonly key: number; readonly ids: readonly string[]; readonly latestUs: number }
          | undefined;
      }
    | undefined;
  /** When the item was changed, where it is clean; else 0. */
  readonly modifyTimeUs: number;
  /** Undefined: nothing is known. */
  readonly base: BaseState | undefined;
  /** Versions that were sent and have no verdict (fingerprints; undefined for a deletion), the present one included. */
  readonly sendings: readonly (Uint8Array | undefined)[];
}
