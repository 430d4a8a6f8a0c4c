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
const SILENCE_MS = 20;
/** The same where it was asked nothing that has an end, or has not answered yet. */
const LONG_SILENCE_MS = 300;

/** How much more patient the relay is with a client that seemed to wait too often: it may just have been slow. */
export const MORE_PATIENCE = 15;

/**
 * A client's turn ends with what the server has to answer: Done, Fetch or RangeQuery. What the server answers is kept back
 * until it has answered all of that and both sides are silent for a moment, and is then let through together. A client that
 * says everything that it can at once is counted right, unless it pauses for longer than that silence, which `patience`
 * multiplies; one that waits for what it need not, is not counted less than it would wait on a slow link, however patient
 * the relay is.
 */
export function createLockstep(patience: number): Lockstep {
  let trips = 0;
  let heardSomething = true;
  /** Proofs, contents and ranges that the server owes, and whether it was asked for any in this turn. */
  let owed = 0;
  let asked = false;
  let activity = 0;
  let arrived = 0;
  let released = 0;

  async function silence(): Promise<void> {
    let quietMs = 0;
    for (let before = activity; quietMs < patience * (owed <= 0 && asked ? SILENCE_MS : LONG_SILENCE_MS); ) {
      await wait(5);
      quietMs = before === activity ? quietMs + 5 : 0;
      before = activity;
    }
  }

  return {
    get trips() {
      return trips;
    },
    up(message) {
      activity += 1;
      // A note that nothing waits for is no turn of its own.
      if (message.$case === "taken") return;
      if (heardSomething) trips += 1;
      heardSomething = false;
      const wanted = wantedBy(message);
      owed += wanted;
      asked ||= wanted > 0;
    },
    arrived(bytes) {
      activity += 1;
      arrived += 1;
      owed -= answersIn(bytes);
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

/** How many answers a message asks for. */
function wantedBy(message: NonNullable<ExchangeRequest["message"]>): number {
  if (message.$case === "done") return 1;
  if (message.$case === "fetch") return message.value.items.length;
  return message.$case === "ranges" ? message.value.kinds.filter((kind) => kind !== 0).length : 0;
}

/** How many of these a message answers. */
function answersIn(bytes: Buffer): number {
  const { message } = ExchangeResponse.decode(bytes);
  if (message?.$case === "page") return message.value.proof === undefined ? 0 : 1;
  if (message?.$case === "ranges") return message.value.outcomes.length;
  if (message?.$case === "chunk") return message.value.fingerprint === undefined ? 0 : 1;
  if (message?.$case !== "contents") return 0;
  const { items, deleted, refused } = message.value;
  return items.length + deleted.length + refused.length;
}
