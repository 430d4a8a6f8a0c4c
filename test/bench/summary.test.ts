import { describe, expect, test } from "vitest";
import { drawChart, panelsOf } from "../../scripts/bench/chart.js";
import { type Scenario, scenariosFor } from "../../scripts/bench/scenarios.js";
import { type Measured, type RunFigures, spreadOf, summarize } from "../../scripts/bench/summary.js";
import { type Target, targetsOf } from "../../scripts/bench/targets.js";

const SCENARIOS = scenariosFor([100_000, 1_000_000], true);

function scenario(name: string, items = 100_000): Scenario {
  const found = SCENARIOS.find((each) => each.name === name && each.items === items);
  if (found === undefined) throw new Error(`no scenario ${name} of ${items}`);
  return found;
}

function run(ms: number, memoryPeak = 100e6): RunFigures {
  const figures = { cpuMs: ms / 2, memoryPeak, loopP99Ms: 5, loopMaxMs: 8 };
  return { ms, client: figures, server: figures };
}

function measured(contender: string, name: string, ms: readonly number[], bytes: number, items?: number): Measured {
  const wire = { bytes, bytesUp: bytes / 2, bytesDown: bytes / 2, turns: 1 };
  return summarize(
    contender,
    scenario(name, items),
    ms.map((each) => run(each)),
    wire,
  );
}

function target(targets: readonly Target[], begin: string): Target {
  const found = targets.find(({ claim }) => claim.startsWith(begin));
  if (found === undefined) throw new Error(`no target ${begin}`);
  return found;
}

describe("the summary", () => {
  test("is median, least and most", () => {
    expect(spreadOf([5, 1, 3])).toEqual({ median: 3, least: 1, most: 5 });
    expect(spreadOf([4, 2])).toEqual({ median: 3, least: 2, most: 4 });
  });

  test("has items a second where items move, and the greatest memory of all runs", () => {
    const summary = summarize("tercet", scenario("W1"), [run(1000, 1), run(500, 3), run(2000, 2)], undefined);
    expect(summary.itemsPerSecond).toEqual({ median: 100_000, least: 50_000, most: 200_000 });
    expect(summary).toMatchObject({ clientCpuMs: 500, clientMemoryPeak: 3, serverMemoryPeak: 3, loopP99Ms: 5 });
    expect(summarize("tercet", scenario("W4"), [run(1)], undefined).itemsPerSecond).toBeUndefined();
  });
});

describe("the targets", () => {
  test("are ratios to the contenders of the same run", () => {
    const targets = targetsOf([
      measured("tercet", "W1", [400], 105),
      measured("bare", "W1", [320], 100),
      measured("rest", "W1", [600], 110),
    ]);
    expect(target(targets, "W1: items/s of the bare copy's")).toMatchObject({ value: 0.8, limit: 0.75, pass: true });
    expect(target(targets, "W1: items/s of those of rest")).toMatchObject({ value: 1.5, limit: 2, pass: false });
    expect(target(targets, "W1: bytes of the bare copy's")).toMatchObject({ value: 1.05, pass: true });
  });

  test("are of what was measured, and of nothing else", () => {
    expect(targetsOf([])).toEqual([]);
    const claims = targetsOf([measured("bare", "W1", [1], 1)]).map(({ claim }) => claim);
    expect(claims).toEqual([]);
  });

  test("compare a recovery with a pull, and with what others read again", () => {
    const all = [100_000, 1_000_000].flatMap((items) => [
      measured("tercet", "W1", [1000], 1, items),
      measured("tercet", "W5", [500], 5, items),
      measured("rest", "W5", [500], 100, items),
    ]);
    const targets = targetsOf(all).filter(({ claim }) => claim.startsWith("W5"));
    expect(targets.map(({ value, limit, pass }) => [value, limit, pass])).toEqual([
      [0.5, 0.75, true],
      [0.05, 0.1, true],
      [0.5, 0.25, false],
      [0.05, 0.1, true],
    ]);
  });

  test("hold a link's time against loopback and its round trip, and sizes against each other", () => {
    const targets = targetsOf([
      measured("tercet", "W4", [2], 200),
      measured("tercet", "W11 W4", [22], 200),
      measured("tercet", "W1", [1000], 1),
      measured("tercet", "W11 W1", [1600], 1),
      measured("tercet", "W1", [10_000], 1, 1_000_000),
    ]);
    expect(target(targets, "W11 W4")).toMatchObject({ value: 1, pass: true });
    expect(target(targets, "W11 W1")).toMatchObject({ value: 1.6, pass: false });
    expect(target(targets, "W1: items/s of 1,000,000 items, of those of")).toMatchObject({ value: 1, pass: true });
    expect(target(targets, "peak memory of the client")).toMatchObject({ value: 100, limit: 200, pass: true });
  });
});

describe("the chart", () => {
  const all = [
    measured("tercet", "W1", [400], 1),
    measured("bare", "W1", [300], 1),
    measured("bare", "W1", [3000], 1, 1_000_000),
    measured("tercet", "W4", [1.25], 1),
  ];

  test("has a panel for each workload that was measured, of its first size", () => {
    const panels = panelsOf(all);
    expect(panels.map(({ bars }) => bars.map(({ label, text, own }) => [label, text, own]))).toEqual([
      [
        ["Tercet", "250,000", true],
        ["bare copy (no verification)", "333,300", false],
      ],
      [["Tercet", "1.3 ms", true]],
    ]);
  });

  test("is well-formed, within its bounds, and has no background", () => {
    const svg = drawChart([{ title: "a < b & c", bars: [{ label: "<own>", value: 1, text: "1", own: true }] }]);
    expect(wellFormed(svg)).toBe(true);
    expect(svg).toContain("a &lt; b &amp; c");
    const [, width = "", height = ""] = /width="(\d+)" height="(\d+)"/.exec(svg) ?? [];
    for (const [, x = "", y = ""] of svg.matchAll(/ x="([\d.]+)" y="([\d.]+)"/g)) {
      expect(Number(x)).toBeLessThan(Number(width));
      expect(Number(y)).toBeLessThan(Number(height));
    }
    expect([...svg.matchAll(/<rect/g)]).toHaveLength(1);
    expect(wellFormed(drawChart(panelsOf(all)))).toBe(true);
  });
});

/** Every element is closed, in turn, and nothing but text and entities is between. */
function wellFormed(xml: string): boolean {
  const open: string[] = [];
  const rest = xml.replaceAll(
    /<(\/?)([a-z]+)((?: [a-z-]+="[^"<&]*")*)(\/?)>|([^<>&]|&(?:amp|lt|gt);)/gi,
    (...match) => {
      const [, end, name, , alone] = match as string[];
      if (name === undefined || alone === "/") return "";
      if (end !== "/") open.push(name);
      else if (open.pop() !== name) open.push("wrong");
      return "";
    },
  );
  return rest === "" && open.length === 0;
}
