import type { Case } from "./case.js";
import { Mismatch, NotApplicable, TooManyTrips } from "./expect.js";
import { MORE_PATIENCE } from "./lockstep.js";
import { createPlace } from "./place.js";
import { createServerPlace, type ServerCase } from "./server-place.js";
import { startTestee, type Testee, type TesteeCommand, TesteeDied } from "./testee.js";

/** How a case ended. */
export interface Outcome {
  readonly name: string;
  readonly result: "passed" | "failed" | "skipped";
  /** Why, in one line, where it did not pass. */
  readonly why: string;
  /** What the testee wrote to stderr meanwhile, where it failed. */
  readonly stderr: string;
  readonly ms: number;
}

/** How cases are run. */
export interface RunOptions {
  readonly command: TesteeCommand;
  /** Milliseconds for each request of the testee. */
  readonly timeoutMs: number;
  /** Testees at once, each with cases of its own. */
  readonly jobs: number;
  /** Called after each case, in the order in which they end. */
  readonly onOutcome?: (outcome: Outcome) => void;
}

/** A case may take this many requests' time in all. */
const CASE_TIMEOUTS = 4;

/** Runs cases with testees of their own; answers in the order of the cases. A testee that died is started again. */
export async function runCases(cases: readonly Case[], options: RunOptions): Promise<readonly Outcome[]> {
  const runners = Array.from({ length: Math.min(options.jobs, Math.max(1, cases.length)) }, () => keepTestee(options));
  const outcomes = await inTurn(cases, options, (each, at, job) => {
    const { get } = runners[job] ?? keepTestee(options);
    return runCase(each, at, get, options.timeoutMs);
  });
  await Promise.all(runners.map(({ stop }) => stop()));
  return outcomes;
}

/** Runs cases against a server, so many at once. */
export function runServerCases(
  cases: readonly ServerCase[],
  address: string,
  options: Pick<RunOptions, "jobs" | "timeoutMs" | "onOutcome">,
): Promise<readonly Outcome[]> {
  return inTurn(cases, options, async (each) => {
    const { place, clear } = createServerPlace(address);
    return await timed(each.name, options.timeoutMs, () => each.run(place), clear);
  });
}

/** Runs cases one after the other in each of several jobs; answers in their order. */
async function inTurn<Each extends { readonly name: string }>(
  cases: readonly Each[],
  { jobs, onOutcome }: Pick<RunOptions, "jobs" | "onOutcome">,
  run: (each: Each, at: number, job: number) => Promise<Outcome>,
): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  const queue = cases.entries();
  async function work(_: unknown, job: number): Promise<void> {
    for (const [at, each] of queue) {
      const outcome = await run(each, at, job);
      outcomes[at] = outcome;
      onOutcome?.(outcome);
    }
  }
  await Promise.all(Array.from({ length: jobs }, work));
  return outcomes;
}

function keepTestee({ command, timeoutMs }: RunOptions): { get(): Promise<Testee>; stop(): Promise<void> } {
  let testee: Testee | undefined;
  return {
    async get() {
      if (testee?.dead === true) await testee.stop();
      if (testee === undefined || testee.dead) testee = await startTestee(command, timeoutMs);
      return testee;
    },
    async stop() {
      await testee?.stop();
    },
  };
}

async function runCase(each: Case, at: number, get: () => Promise<Testee>, timeoutMs: number): Promise<Outcome> {
  let testee: Testee;
  try {
    testee = await get();
  } catch (error) {
    const stderr = error instanceof TesteeDied ? error.stderr : "";
    return { name: each.name, result: "failed", why: describe(error), stderr, ms: 0 };
  }
  testee.takeStderr();
  let slow = false;
  const run = async (patience: number): Promise<Outcome> => {
    const { place, clear } = createPlace(testee, `case${at}.${patience}`, patience);
    const noteSlow = (error: unknown): never => {
      slow = error instanceof TooManyTrips;
      throw error;
    };
    return await timed(each.name, CASE_TIMEOUTS * timeoutMs, () => each.run(place).catch(noteSlow), clear);
  };
  let outcome = await run(1);
  // On a busy machine a client may pause in mid-turn. One that truly waits is found with any patience.
  if (slow) outcome = await run(MORE_PATIENCE);
  return outcome.result === "failed" ? { ...outcome, stderr: outcome.stderr || testee.takeStderr() } : outcome;
}

/** Runs a case and puts away what it made. */
export async function timed(
  name: string,
  timeoutMs: number,
  run: () => Promise<void>,
  clear: () => Promise<void>,
): Promise<Outcome> {
  const begun = performance.now();
  const done = (result: Outcome["result"], error?: unknown): Outcome => {
    const why = error === undefined ? "" : describe(error);
    const stderr = error instanceof TesteeDied ? error.stderr : "";
    return { name, result, why, stderr, ms: performance.now() - begun };
  };
  const deadline = createDeadline(timeoutMs);
  try {
    await Promise.race([run(), deadline.passed]);
    return done("passed");
  } catch (error) {
    return done(error instanceof NotApplicable ? "skipped" : "failed", error);
  } finally {
    deadline.clear();
    await clear();
  }
}

function createDeadline(ms: number): { readonly passed: Promise<never>; clear(): void } {
  let timer: NodeJS.Timeout | undefined;
  const passed = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`the case did not end within ${ms} ms`)), ms);
  });
  return { passed, clear: () => clearTimeout(timer) };
}

/** An error in one line. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const plain = error instanceof Mismatch || error instanceof NotApplicable;
  const text = plain ? error.message : `${error.name}: ${error.message}`;
  return text.replace(/\s*\n\s*/g, " | ");
}
