import { availableParallelism } from "node:os";
import { dirname, join, relative, resolve, sep } from "node:path";
import { defineConfig } from "vitest/config";
import type { VitestPluginContext } from "vitest/node";

const root = import.meta.dirname;
const tests = join(root, "test") + sep;
let watching = false;

/**
 * What a test imports of the sources is what is built of them, loaded by Node itself: every file of tests would transform
 * and wrap hundreds of modules anew, and run them at two thirds of their speed. It is built before the tests begin; who
 * watches wants what was just saved, and gets the sources.
 */
const built = {
  name: "built",
  enforce: "pre",
  configureVitest({ vitest }: VitestPluginContext): void {
    watching = vitest.config.watch;
  },
  resolveId(source: string, importer: string | undefined): string | undefined {
    if (watching || importer?.startsWith(tests) !== true || !source.startsWith("../")) return undefined;
    const path = resolve(dirname(importer), source);
    if (path.startsWith(tests)) return undefined;
    return join(root, "dist", relative(root, path));
  },
} as const;

export default defineConfig({
  plugins: [built],
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: "test/build.ts",
    pool: "forks",
    // A process runs many files: each would load all anew. Files keep to themselves what they begin and change.
    isolate: false,
    server: { deps: { external: [/\/dist\//] } },
    // Its own default leaves a core idle, which is half of a machine with two.
    maxWorkers: availableParallelism(),
    // For what hangs: a machine that has other work to do is no failure.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    passWithNoTests: false,
  },
});
