import type { ErrorReason } from "../../../gen/tercet/v1/error.js";
import { ChangeStandard, type Epoch } from "../../../gen/tercet/v1/item.js";
import { type Limits, Opened } from "../../../gen/tercet/v1/sync.js";
import type { Outcome } from "./compare.js";
import { NO_CHECKPOINT, type Replica, type Version } from "./replica.js";
import type { Stream } from "./stream.js";

/** How an exchange is to be. */
export interface SyncOptions {
  /** host:port */
  readonly server: string;
  /** UNSPECIFIED: the collection's, else SERVER. */
  readonly standard?: ChangeStandard;
  readonly create?: boolean;
  readonly recreate?: boolean;
  /** What the server lost, restored to an earlier time, is offered again, or given up; or nothing is done at all. */
  readonly onHistoryChange?: "offer" | "follow" | "stop";
  /** What the client would like; what is left out is no wish. */
  readonly wishes?: Partial<Limits>;
  /** Of the whole exchange; none where it is left out. */
  readonly timeoutMs?: number | undefined;
  /** The clock, in microseconds. */
  readonly nowUs?: () => number;
}

const DEFAULT_OPTIONS = {
  standard: ChangeStandard.CHANGE_STANDARD_UNSPECIFIED as ChangeStandard,
  create: false,
  recreate: false,
  onHistoryChange: "offer" as "offer" | "follow" | "stop",
  wishes: {} as Partial<Limits>,
  nowUs: (): number => Date.now() * 1000,
};

export type RecoveryReason = "compacted" | "history" | "recreated" | "unverified" | "asked";

/** A push without a verdict. */
export interface Sent {
  readonly id: string;
  readonly sequence: number;
  /** What was sent; undefined: a deletion. */
  readonly version: Version | undefined;
  readonly timeUs: number;
  /** Something was sent of the item on an earlier stream that may arrive yet. */
  readonly resent: boolean;
  /** It was sent before on this stream. */
  readonly again: boolean;
}

/** What an exchange did. */
export type Report = ReturnType<typeof newReport>;

function newReport() {
  return {
    standard: ChangeStandard.CHANGE_STANDARD_UNSPECIFIED as ChangeStandard,
    received: 0,
    deleted: 0,
    sent: 0,
    sentDeletions: 0,
    settled: 0,
    /** By id, as each ended. */
    conflicts: new Map<string, { readonly standard: ChangeStandard; readonly prevailed: Outcome }>(),
    rejected: new Map<string, ErrorReason>(),
    contended: new Set<string>(),
    recovery: undefined as { readonly why: RecoveryReason; readonly offered: string[] } | undefined,
    verified: false,
    roundTrips: 1,
  };
}

/** An exchange under way: what its steps need, and what they have to remember until its end. */
export type Session = ReturnType<typeof newSession>;

export function newSession(replica: Replica, stream: Stream, options: SyncOptions) {
  return {
    replica,
    stream,
    options: { ...DEFAULT_OPTIONS, ...options },
    report: newReport(),
    /** The server's first message, once it has come. */
    opened: Opened.create(),
    /** What to add to this side's clock for the latest modify time that the server takes. */
    ceilingAheadUs: 0,
    /** In force; before Opened, what was last heard of. */
    limits: replica.limits,
    /** Pushes without a verdict, in order, and the ordinal of the first. */
    onTheWay: [] as Sent[],
    firstOrdinal: 0,
    /** Sequence numbers of changes that were sent on this stream; and of those that are not due (again) before a comparison. */
    sent: new Set<number>(),
    tried: new Set<number>(),
    /** Races that each item lost. */
    races: new Map<string, number>(),
    /** Settled by a comparison while the push was on its way: its verdict adds nothing. */
    settled: new Set<number>(),
    /** Epochs that the server began since Opened. */
    begun: [] as Epoch[],
    /** The replica does not stand in the server's history: a recovery is due, or under way. */
    recovering: false,
    /** The replica goes on with another collection than its own, which was deleted. */
    rebinds: false,
    /** The latest revision that the server spoke of on this stream, and that of a content that was fetched. */
    heard: NO_CHECKPOINT,
    fetchedRevision: 0,
  };
}
