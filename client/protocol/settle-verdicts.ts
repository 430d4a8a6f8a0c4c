import { ErrorReason, type Fault } from "../../core/fault.js";
import { type Change, fromPageChanges } from "../../core/page.js";
import { type ChangeInfo, ChangeKind } from "../../gen/tercet/v1/item.js";
import { PushOutcome, type Verdict, type Verdicts } from "../../gen/tercet/v1/sync.js";
import type { Action } from "../replica/action.js";
import type { OutgoingChange } from "../replica/outgoing-batch.js";
import type { SettledRun } from "../replica/outgoing-columns.js";
import { type Job, NO_JOB } from "./job.js";
import type { Outflow } from "./outflow.js";
import type { ReportBuilder } from "./report.js";
import { isRun, type Sending, type SendingRun, sendingsOf } from "./send-content.js";

/** What verdicts ask for. */
export interface Settlement {
  readonly actions: readonly Action[];
  /** New items in a row that were made. */
  readonly settled: readonly SettledRun[];
  /** The server's state of items that are in conflict: to be compared. */
  readonly changes: readonly Change[];
  /** Items whose change is known not to have been made, on this stream nor before. */
  readonly unmade: ReadonlySet<string>;
  /** Conflicts whose inline content does not agree with its fingerprint: to be fetched. */
  readonly doubtful: readonly Change[];
  /** The round trip in which the pushes were sent. */
  readonly trip: number;
}

/** What verdicts are read with. */
export interface VerdictWorld {
  readonly outflow: Outflow;
  readonly report: ReportBuilder;
  /** The change feed has been taken up to this revision; later changes it is still to bring. */
  readonly revision: number;
}

/** Verdicts as a job. */
export function verdictsJob({ verdicts, checkpoint, witness }: Verdicts, world: VerdictWorld): Job | Fault {
  const settlement = settleVerdicts(verdicts, world);
  if ("reason" in settlement) return settlement;
  // There are verdicts to come.
  const more = world.outflow.window.items > 0;
  return { ...NO_JOB, ...settlement, checkpoint, witness, more };
}

/** Takes the pushes that verdicts speak of out of the window, and says what is to be done with each. */
export function settleVerdicts(verdicts: readonly Verdict[], world: VerdictWorld): Settlement | Fault {
  const actions: Action[] = [];
  const settled: SettledRun[] = [];
  const changes: Change[] = [];
  const doubtful: Change[] = [];
  const unmade = new Set<string>();
  let trip = 1;
  for (const verdict of verdicts) {
    const sendings = world.outflow.window.take(verdict.ordinal, verdict.count);
    if (sendings === undefined) {
      const message = `the server gave a verdict on pushes ${verdict.ordinal} to ${verdict.ordinal + verdict.count - 1}, out of order`;
      return { reason: ErrorReason.ERROR_REASON_OUT_OF_ORDER, message };
    }
    const { left, trip: lastTrip } = settleRuns(verdict, sendings, settled, world);
    trip = Math.max(trip, lastTrip);
    left.forEach(([index, sending]) => {
      trip = Math.max(trip, sending.trip);
      if (verdict.outcome !== PushOutcome.PUSH_OUTCOME_CONFLICT) world.outflow.settled(sending.id);
      const action = settleOne(verdict, sending, index, world);
      if (action !== undefined) actions.push(action);
      if (world.outflow.window.displaced(sending) && action?.kind === "settle")
        changes.push(madeChange(sending, action));
      if (verdict.outcome !== PushOutcome.PUSH_OUTCOME_CONFLICT) return;
      if (sending.again) world.outflow.lostRace(sending.id);
      if (!sending.resent) unmade.add(sending.id);
      if (verdict.current === undefined || isStillTold(verdict.current, world.revision)) return;
      const read = fromPageChanges({ changes: [verdict.current], fingerprint: undefined });
      changes.push(...read.changes);
      doubtful.push(...read.doubtful);
    });
  }
  return { actions, settled, changes, doubtful, unmade, trip };
}

/** Settles what was made in a row; answers what is left, one by one, with the place of each among those of the verdict. */
function settleRuns(
  verdict: Verdict,
  sendings: readonly (Sending | SendingRun)[],
  settled: SettledRun[],
  { outflow, report }: VerdictWorld,
): { readonly left: readonly (readonly [index: number, sending: Sending])[]; readonly trip: number } {
  const applied = verdict.outcome === PushOutcome.PUSH_OUTCOME_APPLIED && !verdict.oneRevision;
  const left: (readonly [number, Sending])[] = [];
  let trip = 1;
  let index = 0;
  for (const sending of sendings) {
    if (!isRun(sending)) left.push([index++, sending]);
    else if (!applied || outflow.window.anyAgreed) {
      for (const each of sendingsOf(sending)) left.push([index++, each]);
    } else {
      const { columns, from, to } = sending;
      settled.push({ columns, from, to, revision: verdict.revision + index });
      trip = Math.max(trip, sending.trip);
      index += to - from;
      report.counts.judged += to - from;
      report.counts.sent += to - from;
    }
  }
  return { left, trip };
}

/** What a push made of its item, as if the server had told of it. */
function madeChange({ id, fingerprint, bytes }: Sending, { revision }: { readonly revision: number }): Change {
  const size = fingerprint === undefined ? 0 : bytes;
  return { id, revision, fingerprint, size, modifyTimeUs: 0, group: 0, content: undefined };
}

function settleOne(verdict: Verdict, sending: Sending, index: number, world: VerdictWorld): Action | undefined {
  const { id, sequence, fingerprint } = sending;
  const { counts } = world.report;
  const agreed = world.outflow.window.agreed(sequence);
  counts.judged += 1;
  switch (verdict.outcome) {
    case PushOutcome.PUSH_OUTCOME_APPLIED: {
      if (fingerprint === undefined) counts.sentDeletions += 1;
      else counts.sent += 1;
      const revision = verdict.revision + (verdict.oneRevision ? 0 : index);
      return { kind: "settle", id, sequence, fingerprint, revision };
    }
    case PushOutcome.PUSH_OUTCOME_ALREADY_APPLIED:
      // The change feed may have been faster than the verdict: then the comparison has counted it.
      if (!agreed) counts.settled += 1;
      return { kind: "settle", id, sequence, fingerprint, revision: verdict.revision };
    case PushOutcome.PUSH_OUTCOME_REJECTED: {
      const { reason, message } = verdict;
      // One of its batch was damaged in the replica. Which, is found before they are sent again.
      if (sending.unchecked === true && reason === ErrorReason.ERROR_REASON_FINGERPRINT_MISMATCH) {
        world.outflow.again(id, sequence, sending.trip + 1);
        return { kind: "return", id, sequence, resent: sending.resent };
      }
      world.report.rejection({ id, reason, message });
      return { kind: "reject", id, sequence, reason, message, resent: sending.resent };
    }
    case PushOutcome.PUSH_OUTCOME_COMPARE_FIRST:
      // The token is refused, and the server recovers first.
      world.outflow.again(id, sequence, sending.trip + 1);
      return { kind: "return", id, sequence, resent: sending.resent };
    case PushOutcome.PUSH_OUTCOME_CONFLICT:
      // A conflict is compared. A member of a group that is as it was expected was not made either, and says nothing more.
      return verdict.current === undefined ? { kind: "return", id, sequence, resent: sending.resent } : undefined;
    default:
      // An outcome that this client does not know: the change stays pending.
      return undefined;
  }
}

/** A change without its content that the feed is still to bring, with its content if that is small. */
function isStillTold(current: ChangeInfo, revision: number): boolean {
  const lacksContent = current.kind !== ChangeKind.CHANGE_KIND_DELETED && current.content === undefined;
  return lacksContent && current.revision > revision;
}

/** Marks what is too large for the server as rejected, without sending it. */
export function rejectionJob(changes: readonly OutgoingChange[], itemBytes: number, report: ReportBuilder): Job {
  const actions = changes.map(({ id, sequence, upsert, resent }): Action => {
    const large = (upsert?.size ?? 0) > itemBytes;
    const reason = large ? ErrorReason.ERROR_REASON_ITEM_TOO_LARGE : ErrorReason.ERROR_REASON_GROUP_INVALID;
    const message = large
      ? `content: is ${upsert?.size} bytes; the server takes items of up to ${itemBytes}`
      : "another item of its atomic group is too large, and a group goes whole";
    report.rejection({ id, reason, message });
    return { kind: "reject", id, sequence, reason, message, resent };
  });
  return { ...NO_JOB, actions };
}
