// The soak: hundreds of live replicas for a while, with edits, cuts and restarts; then memory, and whether anything was lost.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import yargs from "yargs";
import { hideBin } from "yargs/helpers";
import { memory } from "./demo/format.js";
import { runSoak, type Sample, type SoakOutcome } from "./soak/run-soak.js";

const options = await yargs(hideBin(process.argv))
  .scriptName("npm run soak --")
  .usage("$0 [options]\n\nRuns live replicas against one server, and disturbs them.")
  .option("minutes", { type: "number", default: 15, describe: "How long" })
  .option("replicas", { type: "number", default: 200, describe: "Live replicas, each with a file of its own" })
  .option("processes", { type: "number", default: 4, describe: "Processes that they are spread over" })
  .option("edits", { type: "number", default: 20, describe: "Edits a second, of all replicas together" })
  .option("ids", { type: "number", default: 1000, describe: "Ids that are edited" })
  .option("seed", {
    type: "number",
    default: 1,
    describe: "Of the random edits and cuts; their times are the machine's",
  })
  .option("json", { type: "string", describe: "Write the outcome, with all samples, to this file" })
  .check((values) => {
    const wrong = ["minutes", "replicas", "processes", "edits", "ids"].find((name) => !(Number(values[name]) > 0));
    return wrong === undefined || `--${wrong} must be a number above 0`;
  })
  .version(false)
  .strict()
  .parse();

const directory = mkdtempSync(join(tmpdir(), "tercet-soak-"));
process.once("exit", () => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(130));

function tell({ minutes, server, clients }: Sample): void {
  process.stdout.write(`${minutes.toFixed(2).padStart(6)} min  server ${memory(server)}  clients ${memory(clients)}\n`);
}

function print(outcome: SoakOutcome): void {
  const { edits, changes, outcomes, reconnects, cuts, reopened, items, equal, replicas, restarts, slopes } = outcome;
  const ended = Object.entries(outcomes).map(([name, count]) => `${name} ${count}`);
  const lines = [
    `${edits} edits: ${ended.join(", ")}`,
    `${changes} changes taken by replicas; ${items} items in the end`,
    `${cuts} connections cut, ${reopened} files closed and opened, server drained ${restarts.drained} and killed ${restarts.killed} times: ${reconnects} reconnects`,
    `${equal} of ${replicas} replicas equal to the server`,
    `memory in the second half: clients ${growth(slopes.clients)}, server ${growth(slopes.server)}`,
    ...outcome.faults.map((fault) => `FAULT ${fault}`),
  ];
  process.stdout.write(`\n${lines.join("\n")}\n`);
}

function growth(bytesAnHour: number): string {
  return `${bytesAnHour < 0 ? "-" : "+"}${memory(Math.abs(bytesAnHour))} an hour`;
}

const { edits: editsPerSecond, minutes, replicas, processes, ids, seed } = options;
const outcome = await runSoak(directory, { minutes, replicas, processes, editsPerSecond, ids, seed }, tell);
print(outcome);
if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(outcome, undefined, 2)}\n`);
process.exit(outcome.faults.length > 0 ? 1 : 0);
