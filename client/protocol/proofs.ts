import type { Conversation } from "./conversation.js";

/** Proofs that are asked for before the exchange gives up on one: other writers outrun it. */
const MAX_PASSES = 8;
/** Live: what changed is proved about as often as this. */
const PROOF_INTERVAL_US = 60_000_000;

/** What is under way while everything that is to be sent has been. */
export interface UnderWay {
  /** A job is. */
  readonly taking: boolean;
  /** Pushes are without a verdict. */
  readonly pushes: boolean;
}

/** When to ask for a proof (Done), and how often. */
export interface Proofs {
  /** A Done is to be sent. */
  readonly due: boolean;
  /** A Done is to be sent, in this round trip at the earliest. */
  ask(trip: number): void;
  /** A push was sent in this round trip: a Done follows it; live, the next proof does for many. */
  pushed(trip: number): void;
  /** Something has changed since the last proof. */
  changed(): void;
  /** Nothing is due any more. */
  forget(): void;
  /** Whether the first Done can go with the opening message, as it would follow it at once: then it counts as sent. */
  takeFirst(idle: boolean): boolean;
  /** Sends a Done if it is time. `outrun`: it would be one too many. */
  next(underWay: UnderWay): "nothing" | "sent" | "outrun";
  /** A proof was equal. */
  proved(): void;
  /** Caught up, or outrun: passes are counted anew, and it is some time until the next one. */
  rest(): void;
}

/** No proof so far; the first is due once the exchange has opened. */
export function createProofs(conversation: Conversation): Proofs {
  const { trips } = conversation;
  /** In this round trip at the earliest. */
  let due: number | undefined = conversation.dryRun ? undefined : 1;
  let passes = 0;
  /** Something has changed since the last proof; live, the next one of which is due then. */
  let unproved = false;
  let restsUntilUs = 0;

  function pass(earliest: number): number {
    passes += 1;
    due = undefined;
    return trips.done(earliest);
  }

  /** Live, proofs are asked for now and then. */
  function rests(): boolean {
    return !unproved || conversation.nowUs < restsUntilUs || trips.proofsDue > 0;
  }

  return {
    get due() {
      return due !== undefined;
    },
    ask(trip) {
      due = trip;
    },
    pushed(trip) {
      if (conversation.live) unproved = true;
      else due = Math.max(due ?? 1, trip);
    },
    changed() {
      unproved = true;
    },
    forget() {
      due = undefined;
    },
    takeFirst(idle) {
      if (due === undefined || conversation.token.length === 0 || !idle) return false;
      pass(due);
      return true;
    },
    next({ taking, pushes }) {
      if (conversation.live && due === undefined && rests()) return "nothing";
      if (due === undefined) {
        // Whatever came to nothing: where nothing is under way any more, only a proof can end the exchange.
        if (!conversation.compared || taking || trips.proofsDue > 0 || pushes) return "nothing";
        due = trips.next();
      }
      if (passes === MAX_PASSES) {
        // What is being fetched is not half taken.
        if (conversation.config.live && taking) return "nothing";
        due = undefined;
        return "outrun";
      }
      conversation.send({ $case: "done", value: {} }, pass(due));
      return "sent";
    },
    proved() {
      conversation.verified = true;
      unproved = false;
    },
    rest() {
      passes = 0;
      restsUntilUs = conversation.nowUs + PROOF_INTERVAL_US;
    },
  };
}
