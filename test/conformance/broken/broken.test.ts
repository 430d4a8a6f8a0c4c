import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { clientCases } from "../../../scripts/conformance/cases.js";
import { build, fileOf, languages } from "../../../scripts/conformance/languages.js";
import { runCases } from "../../../scripts/conformance/run-cases.js";

const TIMEOUT_MS = 30_000;
const BUILD_MS = 300_000;
const folder = fileURLToPath(new URL(".", import.meta.url));
const python = languages().find(({ name }) => name === "python");
if (python === undefined) throw new Error("there is no Python client");
const interpreter = fileOf(python, ".venv/bin/python");

interface Mistake {
  readonly fail: readonly string[];
  readonly pass: readonly string[];
}
const mistakes = JSON.parse(readFileSync(join(folder, "mistakes.json"), "utf8")) as Record<string, Mistake>;

/** Names of the cases of a mistake with how they ended with a client that makes it, or with the client as it is. */
async function outcomesOf(names: readonly string[], testee: string, ...args: readonly string[]) {
  const cases = clientCases.filter(({ name }) => names.includes(name));
  const command = { argv: [interpreter, testee, ...args], cwd: folder };
  const outcomes = await runCases(cases, { command, timeoutMs: TIMEOUT_MS, jobs: 2 });
  return Object.fromEntries(outcomes.map(({ name, result }) => [name, result]));
}

// To build the client takes a network. CI has one; elsewhere it is tested where it was built: `npm run conformance -- --all`.
describe.skipIf(!process.env["CI"] && !existsSync(interpreter))("a Python client with a mistake", () => {
  beforeAll(() => {
    if (!existsSync(interpreter)) build(python);
  }, BUILD_MS);

  it.each(Object.entries(mistakes))("%s, fails the right cases", { timeout: 5 * TIMEOUT_MS }, async (name, mistake) => {
    const { fail, pass } = mistake;
    const expected = [...fail.map((each) => [each, "failed"]), ...pass.map((each) => [each, "passed"])];
    expect(await outcomesOf([...fail, ...pass], "testee.py", name)).toEqual(Object.fromEntries(expected));
  });

  it("passes them without it", { timeout: 5 * TIMEOUT_MS }, async () => {
    const names = Object.values(mistakes).flatMap(({ fail, pass }) => [...fail, ...pass]);
    const outcomes = await outcomesOf(names, "../python/testee.py");
    expect(Object.keys(outcomes).sort()).toEqual([...new Set(names)].sort());
    expect(outcomes).toEqual(Object.fromEntries(names.map((name) => [name, "passed"])));
  });
});
