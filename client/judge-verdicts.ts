import { reasonName } from "../core/fault.js";
import { sameFingerprint } from "../core/fingerprint.js";
import type { Action } from "./replica/action.js";
import type { ApplyResult } from "./replica/apply-batch.js";
import { knownRevision } from "./replica/apply-batch.js";
import type { LocalState } from "./replica/local-state.js";
import type { ReplicaStore } from "./replica/store.js";
import type { Verdict } from "./verdict.js";

/** A followed version, and the states of its item around some work. */
export interface Seen {
  readonly version: { readonly timeUs: number; readonly verdict: Verdict | undefined };
  readonly before: LocalState;
  readonly after: LocalState;
}

/** A verdict, if there is one; or the version goes on under another time. */
export type Judged = { readonly verdict: Verdict | undefined; readonly final: boolean } | { readonly timeUs: number };

const NOTHING_NEW: Judged = { verdict: undefined, final: false };

/** Finds the record of a version among those of these numbers. */
export type FindRecord = (result: readonly number[], seen: Seen) => number | undefined;

function isStill({ version, after }: Seen): boolean {
  return after.pending?.modifyTimeUs === version.timeUs;
}

/** The application has written over it, or not. */
export function judgeWrite(seen: Seen): Judged {
  return isStill(seen) ? NOTHING_NEW : { verdict: { outcome: "superseded" }, final: true };
}

/** A conflict was resolved. `find` finds the record of a version among those that this made. */
export function judgeResolved(seen: Seen, find: (seen: Seen) => number | undefined): Judged {
  if (isStill(seen)) return NOTHING_NEW;
  const conflict = find(seen);
  if (conflict !== undefined) return { verdict: { outcome: "gave-way", conflict }, final: true };
  return { verdict: asBefore(seen) ?? { outcome: "discarded" }, final: true };
}

/** Finds what the server decided on a change that was sent. */
export type FindDecision = (sent: { readonly id: string; readonly sequence: number }) => Decision | undefined;
type Decision = Extract<Action, { kind: "settle" | "reject" }>;

/** What is decided by these actions. They are gone through when the first is asked for. */
export function decisionsOf(actions: readonly Action[]): FindDecision {
  let bySequence: Map<number, Decision> | undefined;
  return ({ id, sequence }) => {
    bySequence ??= new Map(actions.filter(isDecision).map((action) => [action.sequence, action]));
    const decision = bySequence.get(sequence);
    return decision?.id === id ? decision : undefined;
  };
}

function isDecision(action: Action): action is Decision {
  return action.kind === "settle" || action.kind === "reject";
}

/** An exchange has stored what it decided. */
export function judgeApplied(seen: Seen, decisions: FindDecision, result: ApplyResult, find: FindRecord): Judged {
  const { version, before, after } = seen;
  const decision = decisions(before);
  if (isStill(seen)) {
    if (decision?.kind === "reject") {
      const { reason, message } = decision;
      return { verdict: { outcome: "rejected", reason: reasonName(reason), message }, final: false };
    }
    const isHeld = after.pending?.held === true && version.verdict?.outcome !== "held";
    return isHeld ? { verdict: { outcome: "held" }, final: false } : NOTHING_NEW;
  }
  const conflict = result.conflicts.length === 0 ? undefined : find(result.conflicts, seen);
  if (conflict !== undefined) return { verdict: { outcome: "gave-way", conflict }, final: true };
  // An application's merge that came to the same content: this version goes on, with a later time.
  const { pending } = after;
  const goesOn = pending !== undefined && sameFingerprint(pending.fingerprint, before.pending?.fingerprint);
  if (goesOn) return { timeUs: pending.modifyTimeUs };
  if (decision?.kind === "settle") {
    return { verdict: { outcome: "applied", revision: decision.revision }, final: true };
  }
  return { verdict: asBefore(seen) ?? { outcome: "discarded" }, final: true };
}

/** The item is what this version made it: the server has made the same of it. */
function asBefore({ before, after }: Seen): Verdict | undefined {
  if (after.pending !== undefined) return undefined;
  if (!sameFingerprint(before.pending?.fingerprint, after.base?.fingerprint)) return undefined;
  return { outcome: "already", revision: knownRevision((after.base ?? before.base)?.revision) };
}

/** What is known of a pending change that nobody followed so far. */
export function standing(held: ReplicaStore, sequence: number, pending: LocalState["pending"]): Verdict | undefined {
  if (pending?.held === true) return { outcome: "held" };
  const [change] = held.listPending(sequence - 1, 1);
  if (change?.rejected === undefined) return undefined;
  const { reason, message } = change.rejected;
  return { outcome: "rejected", reason: reasonName(reason), message };
}
