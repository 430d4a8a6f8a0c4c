import type { Comparison } from "../../core/compare.js";
import type { Prevailing } from "../../core/standard.js";
import type { ErrorReason } from "../../gen/tercet/v1/error.js";
import type { ChangeStandard } from "../../gen/tercet/v1/item.js";
import type { PendingChange } from "../replica/local-items.js";
import type { Decision } from "./compare-changes.js";

/** A conflict of an exchange and how it ended. */
export interface ReportedConflict {
  readonly id: string;
  readonly standard: ChangeStandard;
  /**
   * Whose change prevailed; the other one is in a conflict record of the side that gave way. `held`: both versions are kept
   * until somebody resolves it; `merged`: both gave way to a version of the application's.
   */
  readonly prevailed: Prevailing | "merged";
}

/** An item in which both sides differ, found by a comparison of ranges. */
export interface ReportedDifference {
  readonly id: string;
  /** What the replica agreed on, and what the server has; undefined for no item. */
  readonly here: Uint8Array | undefined;
  readonly there: Uint8Array | undefined;
  /** Revision of the server's state, where it is known; else 0. */
  readonly revision: number;
}

/** A recovery: both sides were compared range by range. */
export interface ReportedRecovery {
  /**
   * Why: the server had compacted, has another history, the collection was made anew, the final proof failed, or the
   * replica asked for it.
   */
  readonly why: "compacted" | "history" | "recreated" | "unverified" | "asked";
  /** The last revision that both histories share, for `history`. */
  readonly forkRevision: number;
  /** Items that differed. */
  readonly differences: number;
  /** Items that the server had lost, and that were offered to it again: the first 10,000 of `offeredCount`. */
  readonly offered: readonly string[];
  readonly offeredCount: number;
  /**
   * For `history`: items from before the fork that were taken and that the replica did not have: most likely their deletion
   * was lost with the server's history. The first 10,000 of `returnedCount`.
   */
  readonly returned: readonly string[];
  readonly returnedCount: number;
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
  /** Contents that rode along with their change info, and changes that were sent right behind the opening message. */
  readonly inline: number;
  readonly eager: number;
  /** Set where both sides were compared range by range. */
  readonly recovery: ReportedRecovery | undefined;
  /** Of a recovery: items that differed; the first 10,000 of `recovery.differences`. */
  readonly differences: readonly ReportedDifference[];
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
/** Comparisons after which a pending change is sent. */
const STAYS: readonly Comparison[] = ["arrived", "new", "lost", "same"];

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
    inline: number;
    eager: number;
  };
  conflict(conflict: ReportedConflict): void;
  rejection(rejection: ReportedRejection): void;
  /** A recovery begins. */
  recovery(why: ReportedRecovery["why"]): void;
  /** What it has found so far; undefined: there was none. */
  recovered(): ReportedRecovery | undefined;
  /** Where the histories of both sides part. */
  forked(revision: number): void;
  /** An item differs, found in recovery. */
  difference(decision: Decision, fork: number): void;
  /** How many did. */
  readonly differs: number;
  /** Dry run: what a decision would do. */
  wouldDo(decision: Decision): void;
  /** Dry run: a change is pending; it would be sent, unless a decision or its state is against it. */
  wouldSend(change: PendingChange): void;
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
    | "inline"
    | "eager"
    | "recovery"
    | "differences"
  >;
}

/** Nothing yet. */
export function createReportBuilder(): ReportBuilder {
  /** By id: a conflict that is run again counts once, as it ended. */
  const conflicts = new Map<string, ReportedConflict>();
  const rejected: ReportedRejection[] = [];
  let unlisted = 0;
  let rejectedCount = 0;
  const differences: ReportedDifference[] = [];
  const offered: string[] = [];
  let recovery: ReportedRecovery | undefined;
  let differs = 0;
  let offeredCount = 0;
  const returned: string[] = [];
  let returnedCount = 0;
  /** Dry run: pending changes that would not be sent. */
  const unsent = new Set<string>();
  const counts = {
    sent: 0,
    sentDeletions: 0,
    received: 0,
    deleted: 0,
    settled: 0,
    told: 0,
    judged: 0,
    inline: 0,
    eager: 0,
  };

  function recovered(): ReportedRecovery | undefined {
    return recovery && { ...recovery, differences: differs, offered, offeredCount, returned, returnedCount };
  }

  function counted(): ReturnType<ReportBuilder["counted"]> {
    const { sent, sentDeletions, received, deleted, settled, inline, eager } = counts;
    return {
      inline,
      eager,
      recovery: recovered(),
      differences,
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
    recovered,
    build(facts) {
      const report = { ...facts, ...counted() };
      // A conflict has not ended where the change lost its races and stays pending.
      const open = new Set(facts.contended);
      const ended = open.size === 0 ? report.conflicts : report.conflicts.filter(({ id }) => !open.has(id));
      return { ...report, conflicts: ended, conflictCount: ended.length + unlisted };
    },
    conflict(conflict) {
      if (conflicts.size < LISTED || conflicts.has(conflict.id)) conflicts.set(conflict.id, conflict);
      else unlisted += 1;
    },
    recovery(why) {
      const none = { differences: 0, offered: [], offeredCount: 0, returned: [], returnedCount: 0 };
      recovery = { why, forkRevision: 0, ...none };
    },
    forked(revision) {
      if (recovery !== undefined) recovery = { ...recovery, forkRevision: revision };
    },
    difference({ change, comparison, local, companion }, fork) {
      if (companion) return;
      // The same content under another revision is no difference, nor is what this side has not sent yet.
      if (comparison === "same" || comparison === "new") return;
      const { id, fingerprint: there, revision } = change;
      const here = local.base?.fingerprint;
      if (here === undefined && there === undefined) return;
      differs += 1;
      if (differences.length < LISTED) differences.push({ id, here, there, revision });
      const came = comparison === "theirs" && here === undefined && revision <= fork;
      if (came && recovery?.why === "history") {
        returnedCount += 1;
        if (returned.length < LISTED) returned.push(id);
      }
      if (comparison !== "lost") return;
      offeredCount += 1;
      if (offered.length < LISTED) offered.push(id);
    },
    get differs() {
      return differs;
    },
    wouldDo({ change, comparison, outcome, local }) {
      // A clean item that the server lost is sent again.
      if (local.pending === undefined && (comparison === "lost" || outcome === "mine")) counts.sent += 1;
      const stays = STAYS.includes(comparison) || outcome === "mine" || outcome === "merged";
      if (!stays) unsent.add(change.id);
    },
    wouldSend({ id, kind, held }) {
      if (held || unsent.has(id)) return;
      if (kind === "deleted") counts.sentDeletions += 1;
      else counts.sent += 1;
    },
    rejection(rejection) {
      rejectedCount += 1;
      if (rejected.length < LISTED) rejected.push(rejection);
    },
  };
}
