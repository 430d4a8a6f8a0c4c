// The bench: Tercet beside what else there is, and beside the floor, in one run.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { drawChart, panelsOf } from "./bench/chart.js";
import { killChildren } from "./bench/children.js";
import { CONTENDERS, installForeign, whyNot } from "./bench/contenders.js";
import { type LiveFigure, liveTargets } from "./bench/live/figures.js";
import { measureLive } from "./bench/live/measure-live.js";
import { measureAll } from "./bench/measure.js";
import { type BenchOptions, readOptions } from "./bench/options.js";
import { createTables, type Head } from "./bench/print.js";
import { scenariosFor } from "./bench/scenarios.js";
import type { Measured } from "./bench/summary.js";
import { type Target, targetsOf } from "./bench/targets.js";
import { versionsOf } from "./bench/versions.js";
import { thisMachine } from "./figures/machine.js";

const options = readOptions(process.argv);
const directory = mkdtempSync(join(tmpdir(), "tercet-bench-"));
process.once("exit", () => {
  killChildren();
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(130));

async function bench({ only, contenders, sizes, runs, wire, large, profile, ...files }: BenchOptions): Promise<void> {
  const began = performance.now();
  const asked = CONTENDERS.filter(({ name }) => contenders.includes(name));
  const uninstalled = asked.some((each) => each.foreign && whyNot(each) === undefined) ? installForeign() : undefined;
  const missing = asked.flatMap((each) => {
    const why = whyNot(each) ?? (each.foreign ? uninstalled : undefined);
    return why === undefined ? [] : [{ name: each.name, why }];
  });
  const present = asked.filter(({ name }) => !missing.some((each) => each.name === name));
  const head: Head = { machine: thisMachine(), versions: versionsOf(present), runs, missing };
  const text = createTables(false);
  const write = (part: string): void => void process.stdout.write(part);
  const tell = (what: string): void => void (process.stderr.isTTY === true && process.stderr.write(`\r\x1b[2K${what}`));
  write(text.head(head) + text.titles());
  const scenarios = scenariosFor(sizes, large).filter(({ workload }) => only.includes(workload));
  const measured = await measureAll(
    present,
    scenarios,
    { directory, runs, wire, profile },
    {
      begin: (what) => tell(`… ${what}`),
      measured(each) {
        tell("");
        write(text.row(each));
      },
    },
  );
  const live = await measureLive(join(directory, "live"), contenders.includes("tercet") ? only : [], runs, (what) =>
    tell(`… ${what}`),
  );
  tell("");
  const targets = [...targetsOf(measured), ...liveTargets(live)];
  write(text.legend() + text.live(live) + text.targets(targets));
  const durationMs = performance.now() - began;
  write(`\n${Math.round(durationMs / 1000)} s in all\n`);
  writeResults(files, { head, measured, live, targets, durationMs });
}

interface Results {
  readonly head: Head;
  readonly measured: readonly Measured[];
  readonly live: readonly LiveFigure[];
  readonly targets: readonly Target[];
  readonly durationMs: number;
}

function writeResults(
  { json, markdown, svg }: Pick<BenchOptions, "json" | "markdown" | "svg">,
  { head, measured, live, targets, durationMs }: Results,
): void {
  const put = (file: string, text: string): void => {
    mkdirSync(dirname(resolve(file)), { recursive: true });
    writeFileSync(file, text);
  };
  const tables = createTables(true);
  put(json, `${JSON.stringify({ ...head, measured, live, targets, durationMs }, undefined, 2)}\n`);
  put(
    markdown,
    tables.head(head) +
      tables.titles() +
      measured.map(tables.row).join("") +
      tables.legend() +
      tables.live(live) +
      tables.targets(targets),
  );
  const panels = panelsOf(measured);
  if (panels.length > 0) put(svg, drawChart(panels));
}

try {
  await bench(options);
} catch (error) {
  process.stderr.write(`bench failed: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
