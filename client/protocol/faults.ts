import { ErrorReason, type Fault } from "../../core/fault.js";
import type { PageRead } from "../../core/page.js";
import type { RangeTotal } from "../../core/range-sum.js";
import { standardName } from "../../core/standard.js";
import type { ChangeStandard } from "../../gen/tercet/v1/item.js";
import type { Opened } from "../../gen/tercet/v1/sync.js";
import type { ReplicaState } from "../replica/replica-state.js";

/** The server can't serve the replica's checkpoint. */
export function refusedFault(opened: Opened, state: ReplicaState): Fault {
  const compacted = opened.tokenRefused === ErrorReason.ERROR_REASON_TOKEN_COMPACTED;
  const why = compacted
    ? "the server has compacted the deletions since this replica's last exchange"
    : "the server's history is not the one of this replica's last exchange: it was restored or replaced";
  const message = `${why}; nothing was changed, pending changes are kept`;
  return { reason: opened.tokenRefused, message, metadata: { collection: state.collection } };
}

/** A standard is in force that this client can't judge by. */
export function unsupportedStandard(standard: ChangeStandard): Fault {
  const message = `the change standard in force is ${standardName(standard)}, which this client can't judge by`;
  return { reason: ErrorReason.ERROR_REASON_UNSUPPORTED, message };
}

/** The server turned out to have lost something, and the exchange is to end there. */
export function lostHistoryFault(): Fault {
  const message =
    "the server has lost what this replica had agreed on with it: it was restored or replaced; nothing was changed";
  return { reason: ErrorReason.ERROR_REASON_TOKEN_OTHER_HISTORY, message };
}

/** The server told of an item in a way that this client can't read. */
export function unknownFault({ id, problem }: PageRead["unknown"][number]): Fault {
  const message = `the server told of "${id}" what this client does not know: ${problem}`;
  return { reason: ErrorReason.ERROR_REASON_UNSUPPORTED, message, metadata: { id } };
}

/** The final proof failed (R6). */
export function unverifiedFault(state: ReplicaState, theirs: number, total: RangeTotal): Fault {
  const message =
    `after the exchange the replica of "${state.collection}" does not hold what the server holds ` +
    `(${total.count} items here, ${theirs} there)`;
  return { reason: ErrorReason.ERROR_REASON_UNVERIFIED, message, metadata: { collection: state.collection } };
}

/** The server sent what has no meaning at this point. */
export function outOfOrder(message: string): Fault {
  return { reason: ErrorReason.ERROR_REASON_OUT_OF_ORDER, message };
}
