import type { ReportedRecovery } from "./protocol/report.js";
import type { SyncReport } from "./sync.js";

/** What a live sync did, over all its exchanges. */
export interface LiveReport {
  /** Contents and deletions that the server took. */
  readonly sent: number;
  readonly sentDeletions: number;
  /** Contents and deletions that the replica took. */
  readonly received: number;
  readonly deleted: number;
  /** Changed on both sides into the same, or sent and already there: nothing moved. */
  readonly settled: number;
  /** Conflicts, however they ended, and changes that the server did not accept. An item can count in several exchanges. */
  readonly conflicts: number;
  readonly rejected: number;
  /**
   * Changes that lost the race against other clients five times in the latest exchange, and have not got through since: they
   * stay pending, and are tried again after a random time of up to 2 s, which doubles up to a minute as long as they lose.
   * The first 10,000 of `contendedCount`.
   */
  readonly contended: readonly string[];
  readonly contendedCount: number;
  /**
   * How often both sides were compared range by range, as the server was restored or for another reason, and what the last
   * time found, as in SyncReport. An exchange that was cut meanwhile counts where it had found something. `onRecovery` tells
   * of each.
   */
  readonly recoveries: number;
  readonly lastRecovery: ReportedRecovery | undefined;
  /** Bytes of the messages each way, as in SyncReport. */
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** Exchanges that were begun, also where no server answered. */
  readonly exchanges: number;
  /** How often a server answered again after the connection was lost. */
  readonly reconnects: number;
  /** Why the last exchange that failed did so. */
  readonly lastError: Error | undefined;
  /** Revision of the server up to which everything was taken, and items and fingerprint (64 hex digits) there. */
  readonly revision: number;
  readonly count: number;
  readonly fingerprint: string;
  /** When both sides were last proved equal on catching up; undefined: never. */
  readonly verifiedAt: Date | undefined;
}

/** Adds up what the exchanges of a live sync report. */
export interface Tally {
  /** An exchange begins. */
  begun(): void;
  /** The server answered it. */
  heard(): void;
  /** Both sides were compared range by range. */
  recovered(recovery: ReportedRecovery): void;
  /** It has caught up. */
  caughtUp(report: SyncReport): void;
  /** It is over. */
  ended(report: SyncReport): void;
  failed(error: Error): void;
  /** Whether the exchange that is over caught up, or moved anything. */
  progressed(): boolean;
  /** The sum, with what an exchange under way did so far. */
  report(underWay?: SyncReport): LiveReport;
}

type Sums = Pick<
  LiveReport,
  | "sent"
  | "sentDeletions"
  | "received"
  | "deleted"
  | "settled"
  | "conflicts"
  | "rejected"
  | "bytesSent"
  | "bytesReceived"
>;

type Position = Pick<LiveReport, "revision" | "count" | "fingerprint">;
type Contended = Pick<LiveReport, "contended" | "contendedCount">;

const LISTED = 10_000;

const NOTHING: Sums = {
  sent: 0,
  sentDeletions: 0,
  received: 0,
  deleted: 0,
  settled: 0,
  conflicts: 0,
  rejected: 0,
  bytesSent: 0,
  bytesReceived: 0,
};

/** Nothing yet. `now`: milliseconds since 1970. */
export function createTally(now: () => number): Tally {
  let sums = NOTHING;
  let exchanges = 0;
  let answered = 0;
  /** The server has answered the exchange that was begun last. */
  let isHeard = false;
  let contended: Contended = { contended: [], contendedCount: 0 };
  let recoveries = 0;
  let lastRecovery: ReportedRecovery | undefined;
  let progressed = false;
  let lastError: Error | undefined;
  let verifiedAt: Date | undefined;
  let last: Position = { revision: 0, count: 0, fingerprint: "0".repeat(64) };

  return {
    begun() {
      exchanges += 1;
      isHeard = false;
      progressed = false;
    },
    heard() {
      answered += 1;
      isHeard = true;
    },
    recovered(recovery) {
      recoveries += 1;
      lastRecovery = recovery;
    },
    caughtUp(report) {
      progressed = true;
      if (report.verified) verifiedAt = new Date(now());
    },
    ended(report) {
      const { sent, sentDeletions, received, deleted, settled } = report;
      progressed ||= sent + sentDeletions + received + deleted + settled > 0;
      sums = add(sums, report);
      if (report.revision > 0) last = positionOf(report);
      // Where no server answered, nothing has become of them.
      if (isHeard) contended = contendedOf(report);
    },
    failed(error) {
      lastError = error;
    },
    progressed: () => progressed,
    report(underWay) {
      const counted = underWay === undefined ? sums : add(sums, underWay);
      const position = underWay !== undefined && underWay.revision > 0 ? positionOf(underWay) : last;
      const contends = underWay !== undefined && isHeard ? contendedOf(underWay) : contended;
      const reconnects = Math.max(answered - 1, 0);
      return {
        ...counted,
        ...contends,
        recoveries,
        lastRecovery,
        exchanges,
        reconnects,
        lastError,
        ...position,
        verifiedAt,
      };
    },
  };
}

function positionOf({ revision, count, fingerprint }: SyncReport): Position {
  return { revision, count, fingerprint };
}

function contendedOf({ contended }: SyncReport): Contended {
  return { contended: contended.slice(0, LISTED), contendedCount: contended.length };
}

function add(sums: Sums, report: SyncReport): Sums {
  return {
    sent: sums.sent + report.sent,
    sentDeletions: sums.sentDeletions + report.sentDeletions,
    received: sums.received + report.received,
    deleted: sums.deleted + report.deleted,
    settled: sums.settled + report.settled,
    conflicts: sums.conflicts + report.conflictCount,
    rejected: sums.rejected + report.rejectedCount,
    bytesSent: sums.bytesSent + report.bytesSent,
    bytesReceived: sums.bytesReceived + report.bytesReceived,
  };
}
