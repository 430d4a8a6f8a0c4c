import { ErrorReason, type Fault } from "../../core/fault.js";

/** Milliseconds after which a client that was sent away may try again: about as long as a restart takes. */
const RETRY_AFTER_MS = 1000;

/** Counts the calls under way, and lets no more in once the server drains. */
export interface Gate {
  /** Calls under way. */
  readonly underWay: number;
  /** Why nothing new may begin, or undefined. */
  refusal(): Fault | undefined;
  /** A call has begun. Returns what to call, once, when it has ended. */
  begin(): () => void;
  /** From now on, everything new is refused. */
  shut(): void;
  /** Resolves when no call is under way. */
  empty(): Promise<void>;
}

/** An open gate. */
export function createGate(): Gate {
  let underWay = 0;
  let isShut = false;
  let waiting: (() => void)[] = [];

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
    refusal() {
      if (!isShut) return undefined;
      const message = "the server is going away; call again";
      return { reason: ErrorReason.ERROR_REASON_GOING_AWAY, message, retryAfterMs: RETRY_AFTER_MS };
    },
    begin() {
      underWay += 1;
      let ended = false;
      return () => {
        if (ended) return;
        ended = true;
        end();
      };
    },
    shut() {
      isShut = true;
    },
    empty: () => (underWay === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))),
  };
}
