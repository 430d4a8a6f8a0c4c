import type { Case } from "./case.js";
import { NotApplicable } from "./expect.js";
import { createPlace } from "./place.js";
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
  const outcomes = new Map<string, Outcome>();
  const queue = cases.entries();
  async function work(): Promise<void> {
    const testees = keepTestee(options);
    for (const [at, each] of queue) {
      const outcome = await runCase(each, at, testees.get, options.timeoutMs);
      outcomes.set(each.name, outcome);
      options.onOutcome?.(outcome);
    }
    await testees.stop();
  }
  await Promise.all(Array.from({ length: Math.min(options.jobs, Math.max(1, cases.length)) }, work));
  return cases.flatMap(({ name }) => outcomes.get(name) ?? []);
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
  const begun = performance.now();
  const done = (result: Outcome["result"], why = "", stderr = ""): Outcome => {
    return { name: each.name, result, why, stderr, ms: performance.now() - begun };
  };
  let testee: Testee;
  try {
    testee = await get();
  } catch (error) {
    return done("failed", describe(error), error instanceof TesteeDied ? error.stderr : "");
  }
  testee.takeStderr();
  const own = createPlace(testee, `case${at}`);
  const deadline = createDeadline(CASE_TIMEOUTS * timeoutMs);
  try {
    await Promise.race([each.run(own.place), deadline.passed]);
    return done("passed");
  } catch (error) {
    if (error instanceof NotApplicable) return done("skipped", error.message);
    return done("failed", describe(error), testee.takeStderr());
  } finally {
    deadline.clear();
    await own.clear();
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
  const text =
    error instanceof Error ? `${error.name === "Mismatch" ? "" : `${error.name}: `}${error.message}` : String(error);
  return text.replace(/\s*\n\s*/g, " | ");
}
