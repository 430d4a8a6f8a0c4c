import type { RangeTotal } from "../../core/range-sum.js";

/** One start of a server on a collection's data. */
export interface LineageEpoch {
  /** 8 random bytes. */
  readonly id: Uint8Array;
  readonly firstRevision: number;
}

/** What is kept of a recovery until it is complete. */
export interface BegunRecovery {
  /** States of the server up to this revision are older than what it has lost (bases of LOST_REVISION), later ones are news. */
  readonly lostAfter: number;
  /** The server's history is another one, or the checkpoint was lost. */
  readonly why: "history" | "asked";
}

/** What a replica file says of itself. */
export interface ReplicaState {
  /** Name of the collection. */
  readonly collection: string;
  /** Random id of the replica file, 16 bytes; for logs only. */
  readonly replicaId: Uint8Array;
  /** Uid of the collection; empty before the first exchange. */
  readonly collectionUid: Uint8Array;
  /** Token and revision of the last checkpoint; empty and 0 before the first. */
  readonly token: Uint8Array;
  readonly revision: number;
  /**
   * Token and revision of the latest revision of the server that the replica has heard of, beyond the checkpoint: verdicts
   * and fetched contents speak of such. A server that doesn't know it was restored to before it. Empty and 0 where the
   * checkpoint says as much.
   */
  readonly witness: Uint8Array;
  readonly witnessRevision: number;
  /** The server's epochs as last heard. */
  readonly lineage: readonly LineageEpoch[];
  /** A recovery has been begun, and is not complete. */
  readonly recovering: BegunRecovery | undefined;
  /** Limits and what else the replica keeps of Opened (client/protocol/settings.ts), encoded; empty before the first exchange. */
  readonly settings: Uint8Array;
  /** Count and sum over bases. */
  readonly total: RangeTotal;
  /** Items that the application sees. */
  readonly items: number;
  /** Pending changes, their greatest sequence number (0 for none ever), how many are marked rejected, and how many are held. */
  readonly pending: number;
  readonly lastSequence: number;
  readonly rejected: number;
  readonly held: number;
  /** Conflict records. */
  readonly conflicts: number;
}
