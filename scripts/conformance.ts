// The conformance kit: holds a client in any language, or a server, against the rules; see test/conformance/README.md.

import { writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import yargs from "yargs";
import { hideBin } from "yargs/helpers";
import { clientCases } from "./conformance/cases.js";
import { codeLinesTable } from "./conformance/code-lines.js";
import { interopNames, type Participant, runInterop } from "./conformance/interop.js";
import { build, fileOf, type Language, languages, missingTool, test } from "./conformance/languages.js";
import { matches, readKnownFailing } from "./conformance/names.js";
import { NothingThere, probeServer, probeTestee } from "./conformance/probe.js";
import { startRealServer } from "./conformance/real-server.js";
import { type Outcome, runCases, runServerCases } from "./conformance/run-cases.js";
import { serverCases } from "./conformance/server-cases.js";
import { describeFailure, describeSummary, type Summary, summarize, toJunit } from "./conformance/summary.js";
import { splitCommand, type TesteeCommand } from "./conformance/testee.js";

const DEFAULT_LANGUAGE = "typescript";
const known = languages();
const names = known.map(({ name }) => name);

const options = await yargs(hideBin(process.argv))
  .scriptName("npm run conformance --")
  .usage("$0 [options]\n\nHolds a client, or a server, against the rules of the protocol.")
  .option("testee", { type: "string", describe: "Command of the client under test; see test/conformance/README.md" })
  .option("language", { type: "string", array: true, choices: names, describe: "Reference clients to test" })
  .option("all", { type: "boolean", default: false, describe: "All reference clients whose toolchains are here" })
  .option("require-all", { type: "boolean", default: false, describe: "--all, and a missing toolchain is a failure" })
  .option("server", {
    type: "string",
    describe: "host:port of a server to hold against the rules, in place of a client",
  })
  .option("list", { type: "boolean", default: false, describe: "Write the names of the cases and run nothing" })
  .option("lines", { type: "boolean", default: false, describe: "Write how long the reference clients are, likewise" })
  .option("only", { type: "string", array: true, describe: "Cases whose names contain this; * stands for anything" })
  .option("known-failing", { type: "string", describe: "File with names of cases whose failures do not count" })
  .option("junit", { type: "string", describe: "Write a JUnit report to this file" })
  .option("jobs", { type: "number", default: availableParallelism() * 2, describe: "Testees at once" })
  .option("timeout", { type: "number", default: 30_000, describe: "Milliseconds for each request of the testee" })
  .check(({ jobs, timeout, testee, all, language, server }) => {
    if (!(Number.isInteger(jobs) && jobs > 0)) return "--jobs must be a whole number above 0";
    if (!(timeout > 0)) return "--timeout must be a number above 0";
    if (testee !== undefined && splitCommand(testee).length === 0) return "--testee needs a command";
    const chosen = [testee !== undefined, all, language !== undefined, server !== undefined].filter(Boolean).length;
    return chosen <= 1 || "choose one of --testee, --language, --all and --server";
  })
  .fail((message, error) => {
    process.stderr.write(`${message ?? error.message}\n`);
    process.exit(2);
  })
  .version(false)
  .strict()
  .parse();

const write = (text: string): void => void process.stdout.write(`${text}\n`);
const isKnown = options.knownFailing === undefined ? () => false : knownFailing(options.knownFailing);
const isWanted = ({ name }: { readonly name: string }): boolean =>
  (options.only ?? [""]).some((pattern) => matches(name, pattern));
/** Without a client of one's own, this project's server is held against the rules, too. */
const withServer = options.testee === undefined && options.language === undefined;
const cases = options.server === undefined ? clientCases.filter(isWanted) : [];
const casesForServers = withServer ? serverCases.filter(isWanted) : [];
const scenarios = options.server === undefined ? interopNames.filter((name) => isWanted({ name })) : [];
const summaries: Summary[] = [];
/** Clients that could be built, and so can play together. */
const participants: Participant[] = [];
let skipped = 0;

function knownFailing(path: string): (name: string) => boolean {
  try {
    return readKnownFailing(path);
  } catch (error) {
    return usage(`--known-failing: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Ends once everything is written: into a pipe it goes by and by. */
function finish(status: number): Promise<never> {
  return new Promise(() => void process.stdout.write("", () => process.exit(status)));
}

function usage(message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(2);
}

/** Says once, before any case, that what is to be tested is not there. */
async function needs(probe: Promise<void>): Promise<void> {
  await probe.catch((error: unknown) => {
    if (!(error instanceof NothingThere)) throw error;
    usage(error.message);
  });
}

const tell =
  (isKnownHere: (name: string) => boolean) =>
  (outcome: Outcome): void => {
    if (outcome.result === "failed" && !isKnownHere(outcome.name)) write(describeFailure(outcome));
  };

function conclude(suite: string, outcomes: readonly Outcome[], isKnownHere: (name: string) => boolean): void {
  const summary = summarize(suite, outcomes, isKnownHere);
  summaries.push(summary);
  write(describeSummary(summary));
}

async function runClient(suite: string, command: TesteeCommand, isKnownHere: (name: string) => boolean): Promise<void> {
  const { timeout: timeoutMs, jobs } = options;
  participants.push({ name: suite, command });
  if (cases.length === 0) return;
  const outcomes = await runCases(cases, { command, timeoutMs, jobs, onOutcome: tell(isKnownHere) });
  conclude(suite, outcomes, isKnownHere);
}

async function runServer(address: string): Promise<void> {
  const { timeout: timeoutMs, jobs } = options;
  const outcomes = await runServerCases(casesForServers, address, { timeoutMs, jobs, onOutcome: tell(isKnown) });
  conclude("server", outcomes, isKnown);
}

async function runOwnServer(): Promise<void> {
  const server = await startRealServer();
  await runServer(server.address);
  await server.stop();
}

async function runLanguage(language: Language): Promise<void> {
  const missing = missingTool(language);
  if (missing !== undefined) {
    skipped += 1;
    return write(`${language.name}: skipped, its toolchain is not here: ${missing}`);
  }
  const own =
    language.knownFailing === undefined ? () => false : readKnownFailing(fileOf(language, language.knownFailing));
  let step = "build";
  try {
    const command = build(language);
    step = "start";
    await probeTestee(command, options.timeout);
    await runClient(language.name, command, (name) => isKnown(name) || own(name));
    step = "its own tests";
    if (options.only === undefined) test(language);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const outcome: Outcome = { name: step, result: "failed", why: why.split("\n")[0] ?? "", stderr: why, ms: 0 };
    write(describeFailure(outcome));
    summaries.push(summarize(language.name, [outcome], () => false));
  }
}

/** All clients that are here as replicas of one collection; one that is alone plays with the library. */
async function playTogether(): Promise<void> {
  const library = known.find(({ name }) => name === "library");
  if (scenarios.length > 0 && participants.length === 1 && library !== undefined) {
    participants.push({ name: "library-too", command: build(library) });
  }
  if (scenarios.length === 0 || participants.length < 2) return;
  const names = participants.map(({ name }) => name).join(", ");
  write(`interop: ${names}`);
  conclude("interop", await runInterop(scenarios, participants, options.timeout, tell(isKnown)), isKnown);
}

if (options.lines) {
  write(codeLinesTable());
  await finish(0);
}
if (options.list) {
  for (const { name } of [...cases, ...casesForServers]) write(name);
  for (const name of scenarios) write(name);
  await finish(0);
}
if (cases.length + casesForServers.length + scenarios.length === 0) usage("--only leaves no case");
if (options.testee !== undefined) {
  const command = { argv: splitCommand(options.testee) };
  await needs(probeTestee(command, options.timeout));
  await runClient("testee", command, isKnown);
} else if (options.server !== undefined) {
  await needs(probeServer(options.server, options.timeout));
  await runServer(options.server);
} else {
  if (casesForServers.length > 0) await runOwnServer();
  const everything = options.all || options.requireAll;
  const fallback = names.includes(DEFAULT_LANGUAGE) ? DEFAULT_LANGUAGE : "library";
  const wanted = everything ? names : (options.language ?? [fallback]);
  const chosen = cases.length + scenarios.length === 0 ? [] : known.filter(({ name }) => wanted.includes(name));
  for (const language of chosen) await runLanguage(language);
}
await playTogether();
if (options.junit !== undefined) writeFileSync(options.junit, toJunit(summaries));
if (options.requireAll && skipped > 0) write(`${skipped} skipped: --require-all makes that a failure`);
const failed = summaries.some((summary) => summary.failed.length > 0) || (options.requireAll && skipped > 0);
await finish(failed ? 1 : 0);
