import { spawnSync } from "node:child_process";
import { planOf } from "./plan.js";
import { type Failure, type RunOptions, runPlan } from "./run.js";
import { shrink } from "./shrink.js";

/** Lines of a trace that are shown at most: the beginning and the end. */
const MOST_LINES = 400;

/** All that helps to find the cause of a failure: seed, commit, the fewest steps that show it, and what happened in them. */
export function describeFailure(seed: number, failure: Failure, options: RunOptions): string {
  const plan = shrink(planOf(seed), failure.rule, options);
  const { failure: last, trace } = runPlan(plan, { ...options, traced: true });
  const end = trace.findIndex((line) => line.startsWith("!!"));
  const shown = end < 0 ? trace : trace.slice(0, end + 1);
  const left = shown.length - MOST_LINES;
  const lines = left <= 0 ? shown : [...shown.slice(0, 100), `  ... ${left} lines ...`, ...shown.slice(left + 100)];
  const name = options.sabotage?.name;
  const sabotage = name === undefined ? "" : ` --sabotage ${name}`;
  return [
    `seed ${seed} at commit ${commitOf()}: ${failure.message}`,
    `again: npm run simulate -- --seeds 1 --from ${seed}${sabotage}`,
    `with ${plan.steps.length} of its steps: ${last?.message ?? "nothing is wrong"}`,
    JSON.stringify(plan.setup),
    ...lines,
  ].join("\n");
}

/** The commit that is checked out, as far as that can be told. */
export function commitOf(): string {
  const { status, stdout } = spawnSync("git", ["rev-parse", "HEAD"], { encoding: "utf8" });
  return status === 0 ? stdout.trim() : "unknown";
}
