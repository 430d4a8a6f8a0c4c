import { type Logger, pino } from "pino";
import type { Surroundings } from "../../server/index.js";

/** A clock that stands still, and a timer that strikes when it is told to. */
export interface TestClock extends Surroundings {
  /** Moves the clock by milliseconds; the timer does not strike by it. */
  advance(ms: number): void;
  /** The timer strikes. */
  strike(): void;
  /** Timers that run. */
  readonly timers: number;
}

/** A clock at the time of now. */
export function createTestClock(): TestClock {
  let nowUs = Date.now() * 1000;
  const runs = new Set<() => void>();
  return {
    nowUs: () => nowUs,
    repeat(_, run) {
      runs.add(run);
      return () => void runs.delete(run);
    },
    advance(ms) {
      nowUs += ms * 1000;
    },
    strike() {
      for (const run of runs) run();
    },
    get timers() {
      return runs.size;
    },
  };
}

/** A log that can be waited for. */
export interface TestLog {
  readonly logger: Logger;
  /** The next line with this message that nobody has had yet. */
  line(message: string): Promise<Record<string, unknown>>;
}

/** A log of all that is said from `info` on. */
export function createTestLog(): TestLog {
  const lines: Record<string, unknown>[] = [];
  let wake = (): void => undefined;
  const write = (text: string): void => {
    lines.push(JSON.parse(text) as Record<string, unknown>);
    wake();
  };
  return {
    logger: pino({ level: "info" }, { write }),
    async line(message) {
      for (;;) {
        const at = lines.findIndex(({ msg }) => msg === message);
        if (at >= 0) return lines.splice(at, 1)[0] as Record<string, unknown>;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}
