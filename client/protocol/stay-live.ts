import { fingerprintOf } from "../../core/fingerprint.js";
import type { Conversation } from "./conversation.js";
import type { Pusher } from "./push-changes.js";

/** What an exchange does that stays open after its proof. */
export interface LiveStay {
  /** It was caught up with. */
  begin(): void;
  /**
   * No push is without its verdict: tries contended changes again where that is due, and takes note of what the application
   * has changed, if it has. Answers whether there may be something to do.
   */
  goOn(): boolean;
  /** Time has passed. */
  tick(): void;
}

/** The longest wait before contended changes are tried again for the first time. It doubles with each time that they lose. */
const FIRST_RETRY_US = 2_000_000;
const LAST_RETRY_US = 60_000_000;

/** Not live yet. `replicaId`: tells the clients of a race apart. */
export function createLiveStay(
  conversation: Conversation,
  { outflow }: Pick<Pusher, "outflow">,
  replicaId: Uint8Array,
): LiveStay {
  /** How often contended changes were tried since there were none. */
  let tries = 0;
  let retryAtUs: number | undefined;
  let retries = false;

  /**
   * Half of the longest wait, and a part of the other half that differs from client to client and from time to time: those
   * that lost to each other do not come back together.
   */
  function waitUs(): number {
    const longest = Math.min(LAST_RETRY_US, FIRST_RETRY_US * 2 ** Math.min(tries, 10));
    const part = fingerprintOf(String(conversation.nowUs), replicaId).readUInt32BE(0) / 2 ** 32;
    return Math.round((longest * (1 + part)) / 2);
  }

  return {
    begin() {
      conversation.live = true;
      // What was written meanwhile.
      conversation.notified = true;
    },
    goOn() {
      if (!conversation.live) return false;
      if (retries) {
        retries = false;
        retryAtUs = undefined;
        tries += 1;
        outflow.retry(conversation.trips.next());
        return true;
      }
      if (!conversation.notified) return false;
      conversation.notified = false;
      conversation.ask({ kind: "state" }, (result) => {
        if (result.kind === "state") outflow.extend(result.state.lastSequence);
      });
      return true;
    },
    tick() {
      if (!conversation.live) return;
      if (!outflow.contends) {
        tries = 0;
        retryAtUs = undefined;
        retries = false;
        return;
      }
      retryAtUs ??= conversation.nowUs + waitUs();
      retries = conversation.nowUs >= retryAtUs;
    },
  };
}
