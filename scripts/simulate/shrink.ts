import type { Plan, Step } from "./plan.js";
import { type RunOptions, runPlan } from "./run.js";

/** The fewest steps, as far as leaving out goes, that break the same rule. */
export function shrink(plan: Plan, rule: string, options: RunOptions = {}): Plan {
  let steps = plan.steps;
  const breaks = (fewer: readonly Step[]): boolean =>
    runPlan({ ...plan, steps: fewer }, options).failure?.rule === rule;
  for (let size = Math.ceil(steps.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < steps.length; ) {
      const fewer = [...steps.slice(0, at), ...steps.slice(at + size)];
      if (breaks(fewer)) steps = fewer;
      else at += size;
    }
  }
  return { ...plan, steps };
}
