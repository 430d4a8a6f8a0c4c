import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { readmeTable, withTable } from "../../scripts/bench/readme-table.js";
import { scenariosFor } from "../../scripts/bench/scenarios.js";
import { type Measured, summarize } from "../../scripts/bench/summary.js";

const SCENARIOS = scenariosFor([100_000, 1_000_000], false);

function measured(contender: string, name: string, ms: number, bytes?: number, items = 100_000): Measured {
  const scenario = SCENARIOS.find((each) => each.name === name && each.items === items);
  if (scenario === undefined) throw new Error(`no scenario ${name}`);
  const figures = { cpuMs: 1, memoryPeak: 1, loopP99Ms: 1, loopMaxMs: 1 };
  const wire = bytes === undefined ? undefined : { bytes, bytesUp: bytes, bytesDown: 0, turns: 1 };
  return summarize(contender, scenario, [{ ms, client: figures, server: figures }], wire);
}

describe("the table of the README", () => {
  it("has a column for each contender and a row for each workload that was measured", () => {
    const table = readmeTable([
      measured("bare", "W1", 250, 22_000_000),
      measured("tercet", "W1", 500, 22_000_000),
      measured("tercet", "W3", 296, 486_000),
      measured("tercet", "W4", 4.3),
      measured("tercet", "W1", 9000, 1, 1_000_000),
    ]);
    expect(table.split("\n")).toEqual([
      "| | Tercet | bare copy |",
      "| --- | --- | --- |",
      "| first pull, items/s | 200,000 | 400,000 |",
      "| 1,000 changed on each side | 296 ms | – |",
      "| the same, bytes on the wire | 486.0 kB | – |",
      "| nothing changed | 4.3 ms | – |",
    ]);
  });

  it("has its place in the README", () => {
    const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
    const renewed = withTable(readme, "| new |");
    expect(renewed).toContain("npm run bench:table -->\n| new |\n<!-- end of bench -->");
    expect(renewed.length).toBeLessThan(readme.length);
    expect(() => withTable("", "")).toThrow("there is no place");
  });

  it("says in words that there are no results", () => {
    const script = fileURLToPath(new URL("../../dist/scripts/bench-table.js", import.meta.url));
    const ran = spawnSync(process.execPath, [script, "no-such.json"], { encoding: "utf8" });
    const stderr = "there are no results at no-such.json; `npm run bench` writes them\n";
    expect(ran).toMatchObject({ status: 2, stdout: "", stderr });
  });
});
