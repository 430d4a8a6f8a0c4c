import type { Conversation } from "./conversation.js";
import type { Carried } from "./intake.js";
import type { Outflow } from "./outflow.js";

/** A decision was carried out: what that means for the report, and for what is to be sent. `fork`: of a recovery, else 0. */
export function noteCarried(
  { report, trips, standard, recovering }: Conversation,
  outflow: Outflow,
  fork: number,
  { decision, action }: Carried,
): void {
  const { change, comparison, outcome, local, companion } = decision;
  const { counts } = report;
  if (recovering) report.difference(decision, fork);
  const takes = comparison === "theirs" || outcome === "theirs";
  if (takes && change.fingerprint !== undefined) counts.received += 1;
  if (takes && change.fingerprint === undefined) counts.deleted += 1;
  if (comparison === "agreed") {
    counts.settled += 1;
    outflow.window.agree(local.sequence);
  }
  if (companion && takes) outflow.window.displace(change.id);
  if (outcome !== undefined && !companion) report.conflict({ id: change.id, standard, prevailed: outcome });
  if (action === undefined) return report.wouldDo(decision);
  if (takes || outcome === "held" || comparison === "agreed") outflow.settled(change.id);
  if (comparison === "theirs" || comparison === "same" || takes || outcome === "held") return;
  // What is pending again, or on a new base, is to be sent; and with it all of its group.
  if (comparison !== "agreed") outflow.again(change.id, local.sequence, trips.next());
  for (const id of local.pending?.group?.ids ?? []) {
    if (id !== change.id) outflow.again(id, local.sequence, trips.next());
  }
}
