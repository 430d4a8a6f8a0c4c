import { createMembers } from "./members.js";

/** Calls everybody who listens about once a second, from one timer, which runs only while somebody listens. */
export interface Ticker {
  /** Listens; the result ends it. */
  listen(tick: () => void): () => void;
}

/** A ticker with this interval in milliseconds. */
export function createTicker(intervalMs = 1000): Ticker {
  const listeners = createMembers<() => void>();
  let timer: NodeJS.Timeout | undefined;
  return {
    listen(tick) {
      const leave = listeners.add(tick);
      timer ??= setInterval(() => {
        for (const listener of listeners.all()) listener();
      }, intervalMs);
      return () => {
        leave();
        if (listeners.size > 0) return;
        clearInterval(timer);
        timer = undefined;
      };
    },
  };
}
