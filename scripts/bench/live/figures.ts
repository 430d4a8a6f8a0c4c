import type { Target } from "../targets.js";

/** A figure of the live workloads. */
export interface LiveFigure {
  readonly workload: "W7" | "W9" | "W10";
  /** The situation. */
  readonly title: string;
  readonly what: string;
  readonly unit: "/s" | "ms" | "kB" | "MB";
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** Exchanges a second, on one core of the server. */
const EXCHANGES_PER_SECOND = 2500;
const LOOP_DELAY_MS = 20;
const P50_MS = 3;
const P99_MS = 15;
const KB_EACH = 25;
/** Twice a message of the usual size, and what HTTP/2 holds: for a reader that stopped in mid-pull. */
const KB_PAUSED = 1024;
const FAN_OUT_MS = 500;

/** The targets of the live workloads. */
export function liveTargets(figures: readonly LiveFigure[]): Target[] {
  const targets: Target[] = [];
  const add = (figure: LiveFigure, limit: number, unit: Target["unit"], atLeast = false): void => {
    const { workload, title, what, median: value } = figure;
    const pass = atLeast ? value >= limit : value <= limit;
    targets.push({ claim: `${workload}: ${what}; ${title}`, value, limit, atLeast, unit, pass });
  };
  for (const figure of figures) {
    const { workload, what, title } = figure;
    if (what === "exchanges in a second of server CPU") add(figure, EXCHANGES_PER_SECOND, "/s", true);
    if (workload === "W7" && what.startsWith("event loop")) add(figure, LOOP_DELAY_MS, "ms");
    if (workload === "W9" && title === "live, idle") add(figure, what.endsWith("p50") ? P50_MS : P99_MS, "ms");
    if (what === "resident memory of the server for each") {
      add(figure, title.includes("stopped reading") ? KB_PAUSED : KB_EACH, "kB");
    }
    if (what === "until all have heard of a change" && title.startsWith("10,000")) add(figure, FAN_OUT_MS, "ms");
  }
  return targets;
}
