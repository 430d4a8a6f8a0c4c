import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    pool: "forks",
    // Its own default leaves a core idle, which is half of a machine with two.
    maxWorkers: availableParallelism(),
    // For what hangs: a machine that has other work to do is no failure.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    passWithNoTests: false,
  },
});
