// The figures: what exchanges cost in round trips, bytes, time and memory, in situations that are made for it.
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import yargs from "yargs";
import { hideBin } from "yargs/helpers";
import { remove } from "./figures/bases.js";
import { thisMachine } from "./figures/machine.js";
import { measureAll } from "./figures/measure.js";
import { createPrinter } from "./figures/print.js";
import { killChildren } from "./figures/processes.js";
import { LEAST_ITEMS, type Scenario, scenariosFor } from "./figures/scenarios.js";
import { targetsOf } from "./figures/summary.js";

const NAMES = [...new Set(scenariosFor([LEAST_ITEMS]).map(({ name }) => name))];

const options = await yargs(hideBin(process.argv))
  .scriptName("npm run figures --")
  .usage("$0 [options]\n\nMeasures exchanges between a server and a client in processes of their own.")
  .option("runs", { type: "number", default: 5, describe: "Runs of each scenario" })
  .option("only", { type: "string", array: true, choices: NAMES, describe: "Only these scenarios" })
  .option("items", {
    type: "string",
    default: "100000,1000000",
    describe: "Sizes of the collection; recoveries are measured with each, the rest with the first",
  })
  .option("json", { type: "string", describe: "Write all figures of all runs to this file" })
  .option("markdown", { type: "boolean", default: false, describe: "Print the table as Markdown" })
  .check(({ runs, items }) => {
    if (!Number.isInteger(runs) || runs < 1) return "--runs must be 1 or more";
    const right = sizesIn(items).every((size) => Number.isInteger(size) && size >= LEAST_ITEMS);
    return right || `--items must be numbers of ${LEAST_ITEMS} or more, with commas between them`;
  })
  .epilogue("A target that is missed (MISS) does not change the exit status.")
  .version(false)
  .strict()
  .parse();

function sizesIn(text: string): number[] {
  return text.split(",").map(Number);
}

const directory = mkdtempSync(join(tmpdir(), "tercet-figures-"));
process.once("exit", () => {
  killChildren();
  remove(directory);
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(130));

async function figures(scenarios: readonly Scenario[]): Promise<void> {
  const machine = thisMachine();
  const write = (text: string): void => void process.stdout.write(text);
  const printer = createPrinter(write, options.markdown);
  const tell = (text: string): void => void (process.stderr.isTTY === true && process.stderr.write(`\r\x1b[2K${text}`));
  const began = performance.now();
  printer.head(machine, options.runs);
  const measured = await measureAll(directory, scenarios, options.runs, {
    begin: (what) => tell(`… ${what}`),
    measured(each) {
      tell("");
      printer.row(each);
    },
  });
  const targets = measured.flatMap((each, index) => {
    const scenario = scenarios[index];
    return scenario === undefined ? [] : targetsOf(scenario, each);
  });
  printer.targets(targets);
  const durationMs = performance.now() - began;
  write(`\n${Math.round(durationMs / 1000)} s in all\n`);
  if (options.json === undefined) return;
  const all = { machine, runs: options.runs, scenarios: measured, targets, durationMs };
  writeFileSync(options.json, `${JSON.stringify(all, undefined, 2)}\n`);
}

try {
  const only = options.only;
  await figures(scenariosFor(sizesIn(options.items)).filter(({ name }) => only === undefined || only.includes(name)));
} catch (error) {
  process.stderr.write(`figures failed: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
