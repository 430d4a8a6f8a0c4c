import type { Conversation } from "./conversation.js";
import { PROOF_INTERVAL_US } from "./proofs.js";
import type { Pusher } from "./push-changes.js";

/** What an exchange does that stays open after its proof. */
export interface LiveStay {
  /** It was caught up with. */
  begin(): void;
  /** Takes note of what the application has changed, if it has; answers whether it may have. */
  lookForChanges(): boolean;
  /** Time has passed: changes that lost their races time and again are tried again, as the others may have come to rest. */
  retryContended(): void;
}

/** Not live yet. */
export function createLiveStay(conversation: Conversation, { outflow }: Pick<Pusher, "outflow">): LiveStay {
  let retryDueUs = 0;

  return {
    begin() {
      conversation.live = true;
      retryDueUs = conversation.nowUs + PROOF_INTERVAL_US;
      // What was written meanwhile.
      conversation.notified = true;
    },
    lookForChanges() {
      if (!conversation.live || !conversation.notified) return false;
      conversation.notified = false;
      conversation.ask({ kind: "state" }, (result) => {
        if (result.kind === "state") outflow.extend(result.state.lastSequence);
      });
      return true;
    },
    retryContended() {
      if (!conversation.live || conversation.nowUs < retryDueUs) return;
      retryDueUs = conversation.nowUs + PROOF_INTERVAL_US;
      outflow.retry(conversation.trips.next());
    },
  };
}
