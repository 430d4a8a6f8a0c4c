import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { runSeed } from "../../scripts/simulate/run.js";

function digestOf(seed: number): string {
  const { trace } = runSeed(seed, { traced: true });
  expect(trace.length).toBeGreaterThan(10);
  return createHash("sha256").update(trace.join("\n")).digest("hex");
}

test("a seed replays exactly, and seeds differ", () => {
  // The 25th lives on SQLite files.
  const seeds = [1, 2, 3, 25, 2001];
  const first = seeds.map(digestOf);
  expect(seeds.map(digestOf)).toEqual(first);
  expect(new Set(first).size).toBe(seeds.length);
});
