import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Measured } from "../../scripts/bench/summary.js";
import type { Target } from "../../scripts/bench/targets.js";

const run = promisify(execFile);
const script = fileURLToPath(new URL("../../dist/scripts/bench.js", import.meta.url));
const ITEMS = 500;

interface Results {
  readonly versions: Readonly<Record<string, string>>;
  readonly measured: readonly Measured[];
  readonly targets: readonly Target[];
}

let temp: string;
let stdout: string;
let results: Results;

function bench(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  return run(process.execPath, [script, ...args], { cwd: temp, env: { ...process.env, TMPDIR: temp }, maxBuffer: 1e7 });
}

beforeAll(async () => {
  temp = mkdtempSync(join(tmpdir(), "tercet-bench-test-"));
  const told = await bench("--n", String(ITEMS), "--runs", "1", "--only", "W1,W2,W3,W4", "--contender", "tercet,bare");
  expect(told.stderr).toBe("");
  stdout = told.stdout;
  results = JSON.parse(readFileSync(join(temp, "bench-results", "bench.json"), "utf8")) as Results;
}, 120_000);

afterAll(() => rmSync(temp, { recursive: true, force: true }));

describe("the bench", () => {
  test("measures what was asked for, with bytes and processor time of both sides", () => {
    const names = ["W1", "W2", "W3", "W4"].flatMap((name) => [`${name} tercet`, `${name} bare`]);
    expect(results.measured.map(({ scenario, contender }) => `${scenario.name} ${contender}`)).toEqual(names);
    for (const { ms, wire, clientCpuMs, serverCpuMs, clientMemoryPeak, serverMemoryPeak } of results.measured) {
      for (const value of [ms.median, clientCpuMs, serverCpuMs, clientMemoryPeak, serverMemoryPeak, wire?.turns]) {
        expect(value).toBeGreaterThan(0);
      }
    }
  });

  test("counts the bytes that moved", () => {
    const bytes = (name: string): number => {
      const found = results.measured.find(({ scenario, contender }) => scenario.name === name && contender === "bare");
      return found?.wire?.bytes ?? 0;
    };
    // Ids, contents and lengths, and little else.
    const item = "item-00000000".length + 200 + 8;
    for (const [name, items] of Object.entries({ W1: ITEMS, W2: ITEMS, W3: 250 })) {
      expect(bytes(name)).toBeGreaterThan(items * item);
      expect(bytes(name)).toBeLessThan(items * item + 2000);
    }
    expect(bytes("W4")).toBeLessThan(500);
  });

  test("prints the table and the targets, and writes them and a chart", () => {
    expect(stdout).toMatch(/^W1 +500 tercet /m);
    expect(stdout).toMatch(/^(pass|MISS) +W1: items\/s of the bare copy's, 500 items/m);
    expect(results.versions["Node"]).toBe(process.versions.node);
    expect(readFileSync(join(temp, "bench-results", "bench.md"), "utf8")).toContain("| W1 | 500 | tercet |");
    expect(readFileSync(join(temp, "bench-results", "bench.svg"), "utf8")).toMatch(/^<svg [\s\S]*<\/svg>\n$/);
  });

  test("leaves nothing behind but its results", () => {
    expect(readdirSync(temp)).toEqual(["bench-results"]);
  });

  test("refuses what it does not know", async () => {
    await expect(bench("--only", "W99")).rejects.toMatchObject({ stderr: expect.stringContaining("unknown: W99") });
  });
});
