import { type Plan, planOf } from "./plan.js";
import type { Sabotage } from "./sabotage.js";
import type { Statistics } from "./statistics.js";
import { createWorld, Violation } from "./world.js";

/** What came of a history. */
export interface Outcome {
  readonly seed: number;
  /** Undefined: all was as it must be. */
  readonly failure: Failure | undefined;
  readonly statistics: Statistics;
  /** What happened, where it was asked for. */
  readonly trace: readonly string[];
}

/** What was wrong. */
export interface Failure {
  /** Which rule was broken; `error` for an exception. */
  readonly rule: string;
  readonly message: string;
}

/** How a history is run. */
export interface RunOptions {
  readonly sabotage?: Sabotage | undefined;
  readonly traced?: boolean;
}

/** Runs the history of a seed. */
export function runSeed(seed: number, options: RunOptions = {}): Outcome {
  return runPlan(planOf(seed), options);
}

/** Runs a history. */
export function runPlan(plan: Plan, options: RunOptions = {}): Outcome {
  const trace: string[] = [];
  const note = options.traced === true ? (line: string): void => void trace.push(line) : undefined;
  const world = createWorld(plan.setup, { sabotage: options.sabotage, trace: note });
  const result = { seed: plan.seed, statistics: world.statistics, trace };
  try {
    for (const step of plan.steps) world.perform(step);
    world.finish();
    return { ...result, failure: undefined };
  } catch (error) {
    return { ...result, failure: failureOf(error) };
  } finally {
    world.dispose();
  }
}

function failureOf(error: unknown): Failure {
  if (error instanceof Violation) return { rule: error.rule, message: error.message };
  return { rule: "error", message: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}
