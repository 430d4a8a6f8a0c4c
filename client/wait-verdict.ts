import { TercetError } from "./error.js";
import { LONGEST_TIMER_MS } from "./longest-timer.js";
import type { Verdict, VerdictOptions } from "./verdict.js";

/** Somebody who waits for a verdict. */
export interface Waiter {
  resolve(verdict: Verdict): void;
  reject(error: Error): void;
}

/** Waits among others, until one of them is resolved or rejected, or for as long as the options say. `left`: nobody waits any more. */
export function waitAmong(
  waiters: Set<Waiter>,
  { signal, timeoutMs }: VerdictOptions,
  left: () => void,
): Promise<Verdict> {
  return new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined;
    const abort = (): void => waiter.reject(cancelled());
    function end(): void {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      waiters.delete(waiter);
      if (waiters.size === 0) left();
    }
    const waiter: Waiter = {
      resolve(verdict) {
        end();
        resolve(verdict);
      },
      reject(error) {
        end();
        reject(error);
      },
    };
    waiters.add(waiter);
    signal?.addEventListener("abort", abort, { once: true });
    if (timeoutMs === undefined || timeoutMs > LONGEST_TIMER_MS) return;
    timer = setTimeout(() => waiter.reject(tooLate(timeoutMs)), timeoutMs);
  });
}

/** Nobody waits any more. */
export function cancelled(): TercetError {
  return new TercetError("nobody waits for the verdict any more", { code: "CANCELLED" });
}

function tooLate(timeoutMs: number): TercetError {
  return new TercetError(`no verdict within ${timeoutMs / 1000} s`, { code: "DEADLINE_EXCEEDED" });
}
