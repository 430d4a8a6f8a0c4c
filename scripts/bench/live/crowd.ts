import { PushOutcome } from "../../../gen/tercet/v1/sync.js";
import { creationOf, type Heard, openMessage, type RawConnections } from "./raw-exchange.js";

/** Replicas of a collection each, without files: a token and no more. */
export interface Crowd {
  /** Each makes one exchange that pushes one new item of this content, so many at a time; milliseconds for all. */
  pushOne(text: string, inFlight: number): Promise<number>;
}

/** Replicas that have met the server: each has its collection, and a token. */
export async function createCrowd(connections: RawConnections, size: number, inFlight: number): Promise<Crowd> {
  const tokens: Buffer[] = [];
  let made = 0;

  function exchange(which: number, text: string | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      let applied = text === undefined;
      const token = tokens[which] ?? Buffer.alloc(0);
      function heard(message: Heard): void {
        if (message.$case === "verdicts") {
          applied = message.value.verdicts.every(({ outcome }) => outcome === PushOutcome.PUSH_OUTCOME_APPLIED);
        }
        if (message.$case !== "page" || message.value.proof === undefined) return;
        tokens[which] = Buffer.from(message.value.checkpoint?.token ?? []);
        call.end();
      }
      const call = connections.open(heard, (error) => {
        if (error !== undefined) reject(error);
        else if (applied) resolve();
        else reject(new Error("a push was not applied"));
      });
      call.send(openMessage({ collection: `crowd-${which}`, create: true, token }));
      if (text !== undefined) call.send(creationOf(`item-${made++}`, text));
      call.send({ $case: "done", value: {} });
    });
  }

  async function all(text: string | undefined, atOnce: number): Promise<number> {
    const began = performance.now();
    await times(size, atOnce, (which) => exchange(which, text));
    return performance.now() - began;
  }

  await all(undefined, inFlight);
  return { pushOne: (text, atOnce) => all(text, atOnce) };
}

/** Live exchanges that only listen. */
export interface Audience {
  /** Resolves once each of them has heard of a change, from this call on. */
  allHear(): Promise<void>;
  close(): void;
}

/** Opens so many live exchanges; resolves once each is at the end of the feed. */
export async function openAudience(
  connections: RawConnections,
  collection: string,
  size: number,
  inFlight: number,
): Promise<Audience> {
  let waiting = 0;
  let whenAll: (() => void) | undefined;
  let failed: Error | undefined;
  const calls: { cancel(): void }[] = [];

  function openOne(): Promise<void> {
    return new Promise((resolve, reject) => {
      let caughtUp = false;
      const call = connections.open(
        (message) => {
          if (message.$case !== "page") return;
          if (!caughtUp) {
            caughtUp = message.value.end;
            if (caughtUp) resolve();
          } else if (message.value.changes.length > 0) {
            waiting -= 1;
            if (waiting === 0) whenAll?.();
          }
        },
        (error) => {
          failed = error ?? new Error("a live exchange ended");
          reject(failed);
        },
      );
      calls.push(call);
      call.send(openMessage({ collection, live: true }));
    });
  }

  await times(size, inFlight, openOne);
  return {
    allHear() {
      if (failed !== undefined) return Promise.reject(failed);
      waiting = size;
      return new Promise((resolve) => {
        whenAll = resolve;
      });
    },
    close() {
      for (const call of calls) call.cancel();
    },
  };
}

/** First pulls whose readers have stopped reading. */
export interface PausedReaders {
  close(): void;
}

/** Begins so many first pulls; resolves once each has read its first page, and reads no more. */
export async function openPaused(
  connections: RawConnections,
  collection: string,
  size: number,
  inFlight: number,
): Promise<PausedReaders> {
  const calls: { cancel(): void }[] = [];
  await times(size, inFlight, () => {
    return new Promise((resolve, reject) => {
      const call = connections.open(
        (message) => {
          if (message.$case !== "page") return;
          call.pause();
          resolve();
        },
        (error) => reject(error ?? new Error("a paused exchange ended")),
      );
      calls.push(call);
      call.send(openMessage({ collection }));
    });
  });
  return {
    close() {
      for (const call of calls) call.cancel();
    },
  };
}

/** Does something so many times, and so many at once. */
async function times(count: number, atOnce: number, work: (which: number) => Promise<void>): Promise<void> {
  let next = 0;
  const one = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, one));
}
