import type { Prevailing } from "../../core/standard.js";
import type { ErrorReason } from "../../gen/tercet/v1/error.js";
import type { ChangeStandard } from "../../gen/tercet/v1/item.js";

/** A conflict of an exchange and how it ended. */
export interface ReportedConflict {
  readonly id: string;
  readonly standard: ChangeStandard;
  /** Whose change prevailed. The other one is in a conflict record of the side that gave way. */
  readonly prevailed: Prevailing;
}

/** A change that the server did not accept. It stays pending, marked. */
export interface ReportedRejection {
  readonly id: string;
  readonly reason: ErrorReason;
  readonly message: string;
}

/** What an exchange did. */
export interface ExchangeReport {
  /** The standard that was in force. */
  readonly standard: ChangeStandard;
  /** Contents that the server took. */
  readonly sent: number;
  /** Deletions that the server took. */
  readonly sentDeletions: number;
  /** Contents that the replica took. */
  readonly received: number;
  /** Deletions that the replica took. */
  readonly deleted: number;
  /** Items changed on both sides into the same, and pushes that the server already had: nothing moved. */
  readonly settled: number;
  /** Conflicts, and how each ended; the first 10,000 of `conflictCount`. */
  readonly conflicts: readonly ReportedConflict[];
  readonly conflictCount: number;
  /** Changes that were rejected; the first 10,000 of `rejectedCount`. */
  readonly rejected: readonly ReportedRejection[];
  readonly rejectedCount: number;
  /** Changes that lost the race against other clients time and again, and stay pending. */
  readonly contended: readonly string[];
  /** How often the client had to wait for an answer before it could go on. */
  readonly roundTrips: number;
  /** The final proof was equal: both sides hold the same at `revision`. */
  readonly verified: boolean;
  /** Why not, where not. */
  readonly unverified: "outrun" | undefined;
  /** Revision of the checkpoint. */
  readonly revision: number;
  /** Items in the collection, and the sum of their fingerprints (32 bytes), as agreed at `revision`. */
  readonly count: number;
  readonly sum: Uint8Array;
}

/** How far an exchange has come. */
export interface ExchangeProgress {
  /** Items told by the server so far, contents and deletions. */
  readonly received: number;
  /** About how many there will be: the collection's size in a first pull; undefined where nobody knows. */
  readonly toReceive: number | undefined;
  /** Pushes with a verdict so far. */
  readonly sent: number;
  /** Pending changes when the exchange began. */
  readonly toSend: number;
}

const LISTED = 10_000;

/** A report while it is made. */
export interface ReportBuilder {
  counts: {
    sent: number;
    sentDeletions: number;
    received: number;
    deleted: number;
    settled: number;
    told: number;
    judged: number;
  };
  conflict(conflict: ReportedConflict): void;
  /** The conflict has not ended: the change lost its races, and stays pending. */
  contended(id: string): void;
  rejection(rejection: ReportedRejection): void;
  /** The report, with what the exchange knows besides. */
  build(facts: Omit<ExchangeReport, keyof ReturnType<ReportBuilder["counted"]>>): ExchangeReport;
  /** What was counted so far. */
  counted(): Pick<
    ExchangeReport,
    | "sent"
    | "sentDeletions"
    | "received"
    | "deleted"
    | "settled"
    | "conflicts"
    | "conflictCount"
    | "rejected"
    | "rejectedCount"
  >;
}

/** Nothing yet. */
export function createReportBuilder(): ReportBuilder {
  /** By id: a conflict that is run again counts once, as it ended. */
  const conflicts = new Map<string, ReportedConflict>();
  const rejected: ReportedRejection[] = [];
  let unlisted = 0;
  let rejectedCount = 0;
  const counts = { sent: 0, sentDeletions: 0, received: 0, deleted: 0, settled: 0, told: 0, judged: 0 };

  function counted(): ReturnType<ReportBuilder["counted"]> {
    const { sent, sentDeletions, received, deleted, settled } = counts;
    return {
      sent,
      sentDeletions,
      received,
      deleted,
      settled,
      conflicts: [...conflicts.values()],
      conflictCount: conflicts.size + unlisted,
      rejected,
      rejectedCount,
    };
  }

  return {
    counts,
    counted,
    build: (facts) => ({ ...facts, ...counted() }),
    conflict(conflict) {
      if (conflicts.size < LISTED || conflicts.has(conflict.id)) conflicts.set(conflict.id, conflict);
      else unlisted += 1;
    },
    contended(id) {
      conflicts.delete(id);
    },
    rejection(rejection) {
      rejectedCount += 1;
      if (rejected.length < LISTED) rejected.push(rejection);
    },
  };
}
