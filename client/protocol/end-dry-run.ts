import type { Conversation } from "./conversation.js";

/** Everything was compared: a verification has its result, and a dry run counts what it would send. */
export function endDryRun(conversation: Conversation): void {
  const { config, report, close } = conversation;
  if (config.mode === "verify") {
    conversation.verified = report.differs === 0;
    return close();
  }
  countPending(conversation, 0);
}

/** What would be sent: pending changes that are not held, and that did not come to nothing by the comparison. */
function countPending(conversation: Conversation, after: number): void {
  const { ask, report, close } = conversation;
  ask({ kind: "pending", after }, (result) => {
    if (result.kind !== "pending") return;
    const last = result.changes.at(-1);
    if (last === undefined) return close();
    for (const change of result.changes) report.wouldSend(change);
    countPending(conversation, last.sequence);
  });
}
