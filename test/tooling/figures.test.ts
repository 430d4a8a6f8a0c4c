import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CONTENT_BYTES, contentOf, spread } from "../../scripts/figures/items.js";
import type { Machine } from "../../scripts/figures/machine.js";
import { median, type ScenarioFigures, type TargetFigures } from "../../scripts/figures/summary.js";

const run = promisify(execFile);
const script = fileURLToPath(new URL("../../dist/scripts/figures.js", import.meta.url));
const ITEMS = 2000;

interface Figures {
  readonly machine: Machine;
  readonly runs: number;
  readonly scenarios: readonly ScenarioFigures[];
  readonly targets: readonly TargetFigures[];
}

let temp: string;
let stdout: string;
let figures: Figures;

function figuresProcess(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  return run(process.execPath, [script, ...args], { env: { ...process.env, TMPDIR: temp }, maxBuffer: 1e7 });
}

beforeAll(async () => {
  temp = mkdtempSync(join(tmpdir(), "tercet-figures-test-"));
  const json = join(temp, "figures.json");
  const only = ["--only", "changes", "recovery-10"];
  const told = await figuresProcess("--items", String(ITEMS), "--runs", "1", "--json", json, ...only);
  expect(told.stderr).toBe("");
  stdout = told.stdout;
  figures = JSON.parse(readFileSync(json, "utf8")) as Figures;
}, 120_000);

afterAll(() => rmSync(temp, { recursive: true, force: true }));

function scenario(name: string): ScenarioFigures {
  const found = figures.scenarios.find((each) => each.name === name);
  if (found === undefined) throw new Error(`no scenario "${name}"`);
  return found;
}

describe("the figures", () => {
  test("say in their help what a miss does", async () => {
    const { stdout: help } = await figuresProcess("--help");
    expect(help.replace(/\s+/g, " ")).toContain("missed (MISS) does not change the exit status");
  });

  test("are of the scenarios that were asked for, and of this machine", () => {
    expect(figures.scenarios.map(({ name, items }) => ({ name, items }))).toEqual([
      { name: "changes", items: ITEMS },
      { name: "recovery-10", items: ITEMS },
    ]);
    expect(figures.runs).toBe(1);
    expect(figures.machine.node).toBe(process.versions.node);
    expect(figures.machine.cores).toBeGreaterThan(0);
    expect(figures.machine.sqlite).toMatch(/^3\.\d+\.\d+$/);
  });

  test("have bytes, time and memory of every run", () => {
    for (const each of figures.scenarios) {
      expect(each.runs).toEqual([each.median]);
      const { median: all } = each;
      expect(all.wireUp).toBeGreaterThan(all.messagesUp);
      expect(all.wireDown).toBeGreaterThan(all.messagesDown);
      expect(all.beyond).toBe(all.wireUp + all.wireDown - all.contents);
      expect(all.durationMs).toBeGreaterThan(0);
      expect([each.leastMs, each.mostMs]).toEqual([all.durationMs, all.durationMs]);
      expect(all.clientMemoryPeak).toBeGreaterThan(10e6);
      expect(all.serverMemoryPeak ?? Infinity).toBeGreaterThan(10e6);
      expect(all.verified).toBe(true);
    }
  });

  test("count what moved", () => {
    expect(scenario("changes").median).toMatchObject({ sent: 1000, received: 1000, conflicts: 0 });
    expect(scenario("changes").median.contents).toBe(2000 * CONTENT_BYTES);
    expect(scenario("recovery-10").median).toMatchObject({ sent: 0, received: 10, recovered: 10 });
  });

  test("hold the targets", () => {
    expect(figures.targets.filter(({ pass }) => !pass)).toEqual([]);
    const bytes = figures.targets.find(({ scenario, claim }) => scenario === "recovery-10" && claim.includes("bytes"));
    expect(bytes?.limit).toBe(15_000);
    expect(bytes?.value).toBe(scenario("recovery-10").median.beyond);
  });

  test("are printed as a table, and leave no files", () => {
    expect(stdout).toMatch(/^changes +2,000 +2,000 /m);
    expect(stdout).toMatch(
      /^ {2}pass {2}recovery-10 of 2,000: [\d,]+ wire bytes beyond the contents, at most 15,000$/m,
    );
    expect(readdirSync(temp)).toEqual(["figures.json"]);
  });
});

test("figures of what can't be measured are refused", async () => {
  await expect(figuresProcess("--items", "3")).rejects.toMatchObject({ code: 1 });
  await expect(figuresProcess("--only", "nonsense")).rejects.toMatchObject({ code: 1 });
});

test("contents have one size and one value, and spreads of other phases do not meet", () => {
  for (const index of [0, 7, 999_999]) {
    const content = contentOf(index, "changed there");
    expect(Buffer.byteLength(content)).toBe(CONTENT_BYTES);
    expect(JSON.parse(content)).toMatchObject({ number: index, version: "changed there" });
    expect(contentOf(index, "changed there")).toBe(content);
  }
  const both = new Set([...spread(2000, 1000, 0), ...spread(2000, 1000, 0.5)]);
  expect(both.size).toBe(2000);
});

test("the median is the middle one, or between the two that are", () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 3, 2])).toBe(2.5);
});
