import { setTimeout as wait } from "node:timers/promises";
import { type ExchangeRequest, ExchangeResponse } from "../../gen/tercet/v1/sync.js";

/** Makes both sides of a relay speak in turns, and counts the client's. */
export interface Lockstep {
  /** How often the client spoke after it had heard something, the first time included. */
  readonly trips: number;
  /** A message of the client passes; it goes on at once. */
  up(message: NonNullable<ExchangeRequest["message"]>): void;
  /** A message of the server has arrived. */
  arrived(bytes: Buffer): void;
  /** The server's message of this number (from 0) is to pass: resolves when both sides have nothing more to say. */
  release(at: number): Promise<void>;
}

/** Milliseconds without a message after which the server has said all, where it has answered everything. */
const SILENCE_MS = 30;
/** The same where it was asked nothing that has an end, or has not answered yet. */
const LONG_SILENCE_MS = 300;

/**
 * A client's turn ends with what the server has to answer: Done, Fetch or RangeQuery. What the server answers is kept back
 * until it has answered all of that and both sides are silent for a moment, and is then let through together. A client that
 * says everything that it can at once is counted right, however slow it is; one that waits for what it need not, is not
 * counted less than it would wait on a slow link.
 */
export function createLockstep(): Lockstep {
  let trips = 0;
  let heardSomething = true;
  /** Dones without a proof, and whether there was one in this turn. */
  let dones = 0;
  let asked = false;
  let activity = 0;
  let arrived = 0;
  let released = 0;

  async function silence(): Promise<void> {
    let quietMs = 0;
    for (let before = activity; quietMs < (dones <= 0 && asked ? SILENCE_MS : LONG_SILENCE_MS); ) {
      await wait(10);
      quietMs = before === activity ? quietMs + 10 : 0;
      before = activity;
    }
  }

  return {
    get trips() {
      return trips;
    },
    up({ $case }) {
      activity += 1;
      // A note that nothing waits for is no turn of its own.
      if ($case === "taken") return;
      if (heardSomething) trips += 1;
      heardSomething = false;
      if ($case !== "done") return;
      dones += 1;
      asked = true;
    },
    arrived(bytes) {
      activity += 1;
      arrived += 1;
      const { message } = ExchangeResponse.decode(bytes);
      if (message?.$case === "page" && message.value.proof !== undefined) dones -= 1;
    },
    async release(at) {
      if (at >= released) {
        await silence();
        released = arrived;
        asked = false;
      }
      heardSomething = true;
    },
  };
}
