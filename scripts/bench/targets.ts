import { LARGE_ITEMS } from "./scenarios.js";
import type { Measured } from "./summary.js";

/** A target of the bench, held against what was measured. */
export interface Target {
  readonly claim: string;
  readonly value: number;
  readonly limit: number;
  /** The value must reach the limit, rather than stay within it. */
  readonly atLeast: boolean;
  /** `×` for ratios. */
  readonly unit: "×" | "B" | "kB" | "ms" | "MB" | "/s";
  readonly pass: boolean;
}

const MEMORY_MB = 200;
const LOOP_DELAY_MS = 20;
const WARM_BYTES = 300;
/** Sizes between which items a second and memory are to be the same. */
const FLAT_ITEMS = 100_000;
const FLAT_FROM = 0.8;
/** Of the items a second of the others, at least so many times. */
const FASTER: Readonly<Record<string, number>> = { rest: 2, pouchdb: 40, nats: 2.5, etcd: 2.5 };
/** Contenders that have to read everything again, and that a recovery is compared with. */
const FULL_READERS = ["rest", "nats", "etcd"] as const;

/** Finds what was measured, and makes targets of it; what was not measured makes none. */
interface Finder {
  /** Tercet's, or another contender's. */
  find(name: string, items: number, contender?: string): Measured | undefined;
  target(claim: string, value: number | undefined, rule: Rule): void;
}

interface Rule {
  readonly limit: number;
  readonly atLeast?: true;
  readonly unit?: Target["unit"];
}

/** The targets that can be told from what was measured. */
export function targetsOf(measured: readonly Measured[]): Target[] {
  const targets: Target[] = [];
  const sizes = [...new Set(measured.map(({ scenario }) => scenario.items))].filter((items) => items > 0);
  const finder: Finder = {
    find: (name, items, contender = "tercet") =>
      measured.find((each) => {
        return each.scenario.name === name && each.scenario.items === items && each.contender === contender;
      }),
    target(claim, value, { limit, atLeast = false, unit = "×" }) {
      if (value === undefined || !Number.isFinite(value)) return;
      targets.push({ claim, value, limit, atLeast, unit, pass: atLeast ? value >= limit : value <= limit });
    },
  };
  for (const items of sizes) {
    copyTargets(finder, items);
    smallTargets(finder, items);
    linkTargets(finder, items);
  }
  flatTargets(finder, sizes);
  processTargets(finder, measured);
  return targets;
}

/** `100,000`, `1,000,000` */
function of(items: number): string {
  return `${items.toLocaleString("en-US")} items`;
}

function over(part: number | undefined, whole: number | undefined): number | undefined {
  return part === undefined || whole === undefined ? undefined : part / whole;
}

function rate(measured: Measured | undefined): number | undefined {
  return measured?.itemsPerSecond?.median;
}

function copyTargets({ find, target }: Finder, items: number): void {
  const limits = { W1: 0.75, W2: 0.6, "W6 W1": 0.6, "W6 W2": 0.6 };
  for (const [name, limit] of Object.entries(limits)) {
    const ratio = over(rate(find(name, items)), rate(find(name, items, "bare")));
    target(`${name}: items/s of the bare copy's, ${of(items)}`, ratio, { limit, atLeast: true });
  }
  for (const [contender, limit] of Object.entries(FASTER)) {
    const ratio = over(rate(find("W1", items)), rate(find("W1", items, contender)));
    target(`W1: items/s of those of ${contender}, ${of(items)}`, ratio, { limit, atLeast: true });
  }
  for (const name of ["W1", "W2"]) {
    const ratio = over(find(name, items)?.wire?.bytes, find(name, items, "bare")?.wire?.bytes);
    target(`${name}: bytes of the bare copy's, ${of(items)}`, ratio, { limit: 1.05 });
  }
}

function smallTargets({ find, target }: Finder, items: number): void {
  const changes = { ours: find("W3", items), bare: find("W3", items, "bare") };
  const nothing = { ours: find("W4", items), bare: find("W4", items, "bare") };
  const recovery = find("W5", items);
  // The bare copy's connection is warm, and its one exchange is a round trip: that is in its time already.
  target(
    `W3: time of the bare copy of as many items, ${of(items)}`,
    over(changes.ours?.ms.median, changes.bare?.ms.median),
    {
      limit: 3,
    },
  );
  target(`W3: bytes of the bare copy's, ${of(items)}`, over(changes.ours?.wire?.bytes, changes.bare?.wire?.bytes), {
    limit: 1.4,
  });
  target(`W4: time of an empty call, ${of(items)}`, over(nothing.ours?.ms.median, nothing.bare?.ms.median), {
    limit: 2,
  });
  target(`W4: bytes, ${of(items)}`, nothing.ours?.wire?.bytes, { limit: WARM_BYTES, unit: "B" });
  target(`W5: time of W1's, ${of(items)}`, over(recovery?.ms.median, find("W1", items)?.ms.median), {
    limit: items >= 1_000_000 ? 0.25 : 0.75,
  });
  for (const contender of FULL_READERS) {
    const ratio = over(recovery?.wire?.bytes, find("W5", items, contender)?.wire?.bytes);
    target(`W5: bytes of those of ${contender}, ${of(items)}`, ratio, { limit: 0.1 });
  }
}

function linkTargets({ find, target }: Finder, items: number): void {
  for (const name of ["W1", "W2"]) {
    const ratio = over(find(`W11 ${name}`, items)?.ms.median, find(name, items)?.ms.median);
    target(`W11 ${name}: time of that on loopback, ${of(items)}`, ratio, { limit: 1.5 });
  }
  for (const name of ["W3", "W4"]) {
    const far = find(`W11 ${name}`, items);
    const near = find(name, items);
    const most = far === undefined || near === undefined ? undefined : near.ms.median + far.scenario.rttMs;
    target(`W11 ${name}: time of a round trip and that on loopback, ${of(items)}`, over(far?.ms.median, most), {
      limit: LINK_SLACK,
    });
  }
}

/** The proxy that makes the link takes time, too, and is no better than a timer. */
const LINK_SLACK = 1.1;

function flatTargets({ find, target }: Finder, sizes: readonly number[]): void {
  for (const name of ["W1", "W2"]) {
    for (const items of sizes.filter((size) => size > FLAT_ITEMS)) {
      const ratio = over(rate(find(name, items)), rate(find(name, FLAT_ITEMS)));
      target(`${name}: items/s of ${of(items)}, of those of ${of(FLAT_ITEMS)}`, ratio, {
        limit: FLAT_FROM,
        atLeast: true,
      });
    }
  }
}

function processTargets({ target }: Finder, measured: readonly Measured[]): void {
  const ours = measured.filter(({ contender }) => contender === "tercet");
  const peak = (pick: (each: Measured) => number): number | undefined =>
    ours.length === 0 ? undefined : Math.max(...ours.map(pick)) / 1e6;
  const rule: Rule = { limit: MEMORY_MB, unit: "MB" };
  target(
    `peak memory of the client, in all workloads up to ${of(most(ours))}`,
    peak((each) => each.clientMemoryPeak),
    rule,
  );
  target(
    `peak memory of the server, in all workloads up to ${of(most(ours))}`,
    peak((each) => each.serverMemoryPeak),
    rule,
  );
  for (const { scenario, loopP99Ms } of ours) {
    if (!["W1", "W2"].includes(scenario.name) || scenario.items > LARGE_ITEMS) continue;
    target(`${scenario.name}: event loop delay p99 of the server, ${of(scenario.items)}`, loopP99Ms, {
      limit: LOOP_DELAY_MS,
      unit: "ms",
    });
  }
}

function most(measured: readonly Measured[]): number {
  return Math.max(0, ...measured.map(({ scenario }) => scenario.items));
}
