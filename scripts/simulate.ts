// Histories by the thousand on the real cores and stores: every fault that can be thought of, and a model that judges.
import yargs from "yargs";
import { hideBin } from "yargs/helpers";
import { commitOf, describeFailure } from "./simulate/report-failure.js";
import { type Failure, runSeed } from "./simulate/run.js";
import { SABOTAGES, sabotageOf } from "./simulate/sabotages.js";
import { createStatistics } from "./simulate/statistics.js";

const options = await yargs(hideBin(process.argv))
  .scriptName("npm run simulate --")
  .usage(
    "$0 [options]\n\nReplicas and a server on a virtual clock and a network that fails, judged by a model. A seed replays.",
  )
  .option("seeds", { type: "number", default: 2000, describe: "How many histories" })
  .option("from", { type: "number", default: 1, describe: "The first seed" })
  .option("sabotage", {
    type: "string",
    choices: SABOTAGES.map(({ name }) => name),
    describe: "Switch a protection off, and see that it is missed",
  })
  .option("json", { type: "boolean", default: false, describe: "Write all figures as one JSON" })
  .check(({ seeds, from }) => (seeds >= 1 && Number.isInteger(from)) || "--seeds and --from must be whole numbers")
  .version(false)
  .strict()
  .parse();

const write = (text: string): void => void process.stdout.write(text);
const sabotage = options.sabotage === undefined ? undefined : sabotageOf(options.sabotage);
const statistics = createStatistics();
let failed: { readonly seed: number; readonly failure: Failure } | undefined;
let done = 0;
const begunMs = performance.now();
for (let seed = options.from; seed < options.from + options.seeds && failed === undefined; seed++) {
  const { failure, statistics: each } = runSeed(seed, { sabotage });
  done += 1;
  statistics.checks += each.checks;
  for (const [kind, times] of each.kinds) statistics.count(kind, times);
  if (failure !== undefined) failed = { seed, failure };
  if (process.stderr.isTTY && done % 50 === 0) process.stderr.write(`\r${done} of ${options.seeds} seeds`);
}
const seconds = (performance.now() - begunMs) / 1000;
if (process.stderr.isTTY) process.stderr.write("\r\x1b[2K");

const kinds = [...statistics.kinds].sort(([a], [b]) => (a < b ? -1 : 1));
if (options.json) {
  const figures = { commit: commitOf(), from: options.from, seeds: done, seconds, checks: statistics.checks };
  write(`${JSON.stringify({ ...figures, kinds: Object.fromEntries(kinds), failed }, undefined, 2)}\n`);
} else {
  write(`${done} seeds from ${options.from} in ${seconds.toFixed(1)} s (${(done / seconds).toFixed(1)} a second)\n`);
  write(`${statistics.checks} checks\n`);
  for (const [kind, times] of kinds) write(`${String(times).padStart(9)}  ${kind}\n`);
}
if (failed !== undefined) {
  process.stderr.write(`\n${describeFailure(failed.seed, failed.failure, { sabotage })}\n`);
  process.exit(1);
}
