import type { Fault } from "../../core/fault.js";
import { proveColumns } from "../../core/item-columns.js";
import { fromPageChanges } from "../../core/page.js";
import { columnsOf } from "../../core/page-columns.js";
import type { Checkpoint } from "../../gen/tercet/v1/item.js";
import type { ChangePage } from "../../gen/tercet/v1/sync.js";
import type { Conversation } from "./conversation.js";
import { unknownFault } from "./faults.js";
import { type Job, NO_JOB } from "./job.js";

/** A page of change info as a job. `takesNew`: what comes with its content is best taken as items (Intake.takesNew). */
export function pageJob(page: ChangePage, conversation: Conversation, takesNew: boolean): Job | Fault {
  const { proof, end } = page;
  const { counts } = conversation.report;
  const trip = conversation.compared ? conversation.trips.proofTrip : 1;
  const common: Job = { ...NO_JOB, checkpoint: checkpointOf(page, conversation), proof, end, more: !end, trip };
  const columns = takesNew ? columnsOf(page) : undefined;
  const items = columns === undefined ? undefined : proveColumns(columns, page.fingerprint);
  if (items !== undefined) {
    counts.told += items.count;
    counts.inline += items.count;
    return { ...common, items };
  }
  const { changes, doubtful, unknown } = fromPageChanges(page);
  const [unread] = unknown;
  if (unread !== undefined) return unknownFault(unread);
  counts.told += changes.length + doubtful.length;
  for (const { content } of changes) if (content !== undefined) counts.inline += 1;
  const fetches = changes.some((change) => change.fingerprint !== undefined && change.content === undefined);
  return { ...common, changes, doubtful, fetches };
}

/** A token that was left out is the one that the exchange was opened with. */
function checkpointOf({ checkpoint }: ChangePage, { openToken }: Conversation): Checkpoint | undefined {
  return checkpoint?.token.length === 0 ? { ...checkpoint, token: openToken } : checkpoint;
}
