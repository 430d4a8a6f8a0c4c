import { ErrorReason, type Fault } from "../../core/fault.js";
import { createMembers } from "./members.js";

/** Milliseconds after which a client that was sent away may try again: about as long as a restart takes. */
const RETRY_AFTER_MS = 1000;

const GOING_AWAY: Fault = {
  reason: ErrorReason.ERROR_REASON_GOING_AWAY,
  message: "the server is going away; call again",
  retryAfterMs: RETRY_AFTER_MS,
};

/** A call that does not end by itself in a moment. */
export interface LeavingCall {
  /** Asks the client to end it, and to come back after so many milliseconds. */
  ask(retryAfterMs: number): void;
  /** Ends it early. */
  end(fault: Fault): void;
}

/** Counts the calls under way, and lets no more in once the server drains. */
export interface Gate {
  /** Calls under way. */
  readonly underWay: number;
  /** Why nothing new may begin, or undefined. */
  refusal(): Fault | undefined;
  /** A call has begun. Returns what to call, once, when it has ended. */
  begin(call?: LeavingCall): () => void;
  /** From now on, everything new is refused, and what does not end by itself is asked to. */
  shut(): void;
  /** Refuses everything new, and ends early what is under way and can be. */
  sendAway(): void;
  /** Resolves when no call is under way. */
  empty(): Promise<void>;
}

/** An open gate. */
export function createGate(): Gate {
  let underWay = 0;
  let isShut = false;
  let waiting: (() => void)[] = [];
  const leaving = createMembers<LeavingCall>();

  function end(): void {
    underWay -= 1;
    if (underWay > 0) return;
    const resolved = waiting;
    waiting = [];
    for (const resolve of resolved) resolve();
  }

  return {
    get underWay() {
      return underWay;
    },
    refusal: () => (isShut ? GOING_AWAY : undefined),
    begin(call) {
      underWay += 1;
      const leave = call && leaving.add(call);
      let ended = false;
      return () => {
        if (ended) return;
        ended = true;
        leave?.();
        end();
      };
    },
    shut() {
      if (isShut) return;
      isShut = true;
      for (const call of leaving.all()) call.ask(RETRY_AFTER_MS);
    },
    sendAway() {
      isShut = true;
      for (const call of leaving.all()) call.end(GOING_AWAY);
    },
    empty: () => (underWay === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))),
  };
}
