import { afterAll, beforeAll, expect, it } from "vitest";
import { clientCases } from "../../scripts/conformance/cases.js";
import { interopNames, runInterop } from "../../scripts/conformance/interop.js";
import { build, languages } from "../../scripts/conformance/languages.js";
import { type RealServer, startRealServer } from "../../scripts/conformance/real-server.js";
import { type Outcome, runCases, runServerCases } from "../../scripts/conformance/run-cases.js";
import { serverCases } from "../../scripts/conformance/server-cases.js";

/** Cases mostly wait for one another's messages. */
const JOBS = 10;
/** CI has all cases here and in all languages; where somebody is waiting, every other one is enough, of each group. */
const cases = clientCases.filter((_, at) => at % 2 === 0 || (process.env["TERCET_ALL_RUNS"] ?? "") !== "");
const TIMEOUT_MS = 60_000;
const library = languages().find(({ name }) => name === "library");
if (library === undefined) throw new Error("there is no testee around the library");
const command = build(library);

let server: RealServer;
beforeAll(async () => {
  server = await startRealServer();
});
afterAll(() => server.stop());

const notPassed = (outcomes: readonly Outcome[]) =>
  outcomes.filter(({ result }) => result !== "passed").map(({ name, why, stderr }) => ({ name, why, stderr }));

it("the client library passes the cases", { timeout: 10 * TIMEOUT_MS }, async () => {
  const outcomes = await runCases(cases, { command, timeoutMs: TIMEOUT_MS, jobs: JOBS });
  expect(notPassed(outcomes)).toEqual([]);
  expect(outcomes.length).toBe(cases.length);
});

it("the server passes every case", { timeout: 10 * TIMEOUT_MS }, async () => {
  const outcomes = await runServerCases(serverCases, server.address, { timeoutMs: TIMEOUT_MS, jobs: JOBS });
  expect(notPassed(outcomes)).toEqual([]);
  expect(outcomes.length).toBe(serverCases.length);
});

it("replicas of several processes end equal", { timeout: 10 * TIMEOUT_MS }, async () => {
  const participants = ["one", "two", "three"].map((name) => ({ name, command }));
  const outcomes = await runInterop(interopNames, participants, TIMEOUT_MS);
  expect(notPassed(outcomes)).toEqual([]);
  expect(outcomes.length).toBe(interopNames.length);
});
