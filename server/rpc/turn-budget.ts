/** Time of a turn of the event loop that work which could wait may take, all streams together. */
export interface TurnBudget {
  /** Does work. Where this turn's time is used up by then, `rest` is called, and what it returns in a later turn. */
  spend<T>(work: () => T, rest: () => () => void): T;
}

/** Milliseconds of a turn. */
const TURN_MS = 4;

/**
 * What a client may have under way can arrive at once, and decoding it at once would hold up everybody else for tens of
 * milliseconds. `clock` answers milliseconds, and `later` runs something in a later turn; both are for tests.
 */
export function createTurnBudget(
  clock: () => number = () => performance.now(),
  later: (next: () => void) => void = (next) => void setImmediate(next),
): TurnBudget {
  let spent = 0;
  let counting = false;
  let resting: (() => void)[] = [];

  function nextTurn(): void {
    spent = 0;
    counting = false;
    const rested = resting;
    resting = [];
    for (const resume of rested) resume();
  }

  return {
    spend(work, rest) {
      const began = clock();
      try {
        return work();
      } finally {
        spent += clock() - began;
        if (!counting) later(nextTurn);
        counting = true;
        if (spent > TURN_MS) resting.push(rest());
      }
    },
  };
}
