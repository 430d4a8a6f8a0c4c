import { expect } from "vitest";
import { KNOWN_FAILURES } from "../../scripts/simulate/known-failures.js";
import { describeFailure } from "../../scripts/simulate/report-failure.js";
import { runSeed } from "../../scripts/simulate/run.js";

/** How many seeds are run in all: 10,000 in CI, as many as fit half a minute where somebody is waiting. */
const SEEDS = Number(process.env["TERCET_SIMULATION_SEEDS"] ?? 600);

/** Runs every second seed, beginning with this one, so that two files keep two cores busy. */
export function runEverySecond(first: number): void {
  for (let seed = first; seed <= SEEDS; seed += 2) {
    if (KNOWN_FAILURES.has(seed)) continue;
    const { failure } = runSeed(seed);
    if (failure !== undefined) expect.fail(describeFailure(seed, failure, {}));
  }
}

/** Half a second for each seed, whatever else the machine has to do. */
export const TIMEOUT_MS = SEEDS * 500;
