import type { ErrorReason } from "../../../gen/tercet/v1/error.js";
import type { ChangeStandard, Checkpoint, Epoch } from "../../../gen/tercet/v1/item.js";
import type { Capability, Limits } from "../../../gen/tercet/v1/sync.js";
import type { Outcome } from "./compare.js";
import type { Replica, Version } from "./replica.js";
import type { Stream } from "./stream.js";

/** How an exchange is to be. */
export interface SyncOptions {
  /** host:port */
  readonly server: string;
  /** UNSPECIFIED: the collection's, else SERVER. */
  readonly standard: ChangeStandard;
  readonly create: boolean;
  readonly recreate: boolean;
  /** What the server lost, restored to an earlier time, is offered again, or given up; or nothing is done at all. */
  readonly onHistoryChange: "offer" | "follow" | "stop";
  /** What the client would like; what is left out is no wish. */
  readonly wishes: Partial<Limits>;
  readonly timeoutMs: number | undefined;
  /** The clock, in microseconds. */
  readonly nowUs: () => number;
}

/** What an exchange did. */
export interface Report {
  received: number;
  deleted: number;
  sent: number;
  sentDeletions: number;
  settled: number;
  /** By id, as each ended. */
  readonly conflicts: Map<string, { readonly standard: ChangeStandard; readonly prevailed: Outcome }>;
  readonly rejected: Map<string, ErrorReason>;
  readonly contended: Set<string>;
  recovery: { readonly why: RecoveryReason; readonly offered: string[] } | undefined;
  verified: boolean;
  roundTrips: number;
}

export type RecoveryReason = "compacted" | "history" | "recreated" | "unverified" | "asked";

/** A push without a verdict. */
export interface Sent {
  readonly id: string;
  readonly sequence: number;
  /** What was sent; undefined: a deletion. */
  readonly version: Version | undefined;
  readonly timeUs: number;
  readonly bytes: number;
  /** Something was sent of the item on an earlier stream that may arrive yet. */
  readonly resent: boolean;
  /** It was sent before on this stream. */
  readonly again: boolean;
}

/** An exchange under way: what its steps need, and what they have to remember until its end. */
export interface Session {
  readonly replica: Replica;
  readonly stream: Stream;
  readonly options: SyncOptions;
  readonly report: Report;
  /** In force; before Opened, what was last heard of. */
  limits: Limits;
  standard: ChangeStandard;
  capabilities: readonly Capability[];
  /** What to add to this side's clock for the latest modify time that the server takes. */
  ceilingAheadUs: number;
  /** Pushes without a verdict, in order; the first one's ordinal. */
  onTheWay: Sent[];
  firstOrdinal: number;
  /** Sequence numbers of changes that had their turn: they are sent again only once a comparison says so. */
  readonly tried: Set<number>;
  /** Sequence numbers of changes that were sent on this stream. */
  readonly sent: Set<number>;
  /** Races that each item lost. */
  readonly races: Map<string, number>;
  /** Settled by a comparison while the push was on its way: its verdict adds nothing. */
  readonly settled: Set<number>;
  /** Epochs that the server began since Opened. */
  readonly begun: Epoch[];
  /** The lineage that the replica keeps is not the server's: it waits for a recovery, or is in one. */
  recovering: boolean;
  recovered: boolean;
  /** The replica goes on with another collection than its own, which was deleted. */
  rebinds: boolean;
  /** Uid of the collection that the server opened. */
  uid: Uint8Array;
  /** The latest revision that the server spoke of on this stream. */
  heard: Checkpoint;
  /** The latest revision of a content that was fetched: a proof of an earlier one proves nothing. */
  fetchedRevision: number;
}
