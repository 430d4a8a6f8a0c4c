import { bytes, count, memory } from "../demo/format.js";
import type { Machine } from "../figures/machine.js";
import type { LiveFigure } from "./live/figures.js";
import type { Measured, Spread } from "./summary.js";
import type { Target } from "./targets.js";

interface Column {
  readonly title: string;
  readonly width: number;
  cell(measured: Measured): string;
}

const COLUMNS: readonly Column[] = [
  { title: "workload", width: -8, cell: ({ scenario }) => scenario.name },
  { title: "items", width: 10, cell: ({ scenario }) => count(scenario.items) },
  { title: "contender", width: -11, cell: ({ contender }) => contender },
  { title: "time", width: 9, cell: ({ ms }) => milliseconds(ms.median) },
  { title: "least - most", width: 19, cell: ({ ms }) => `${milliseconds(ms.least)} - ${milliseconds(ms.most)}` },
  { title: "items/s", width: 9, cell: ({ itemsPerSecond }) => rate(itemsPerSecond) },
  { title: "wire", width: 9, cell: ({ wire }) => (wire === undefined ? "-" : bytes(Math.round(wire.bytes))) },
  { title: "turns", width: 7, cell: ({ wire }) => (wire === undefined ? "-" : count(Math.round(wire.turns))) },
  { title: "client CPU", width: 10, cell: ({ clientCpuMs }) => milliseconds(clientCpuMs) },
  { title: "server CPU", width: 10, cell: ({ serverCpuMs }) => milliseconds(serverCpuMs) },
  { title: "client", width: 8, cell: ({ clientMemoryPeak }) => memory(clientMemoryPeak) },
  { title: "server", width: 8, cell: ({ serverMemoryPeak }) => memory(serverMemoryPeak) },
  { title: "loop p99", width: 9, cell: ({ loopP99Ms }) => optional(loopP99Ms) },
  { title: "max", width: 9, cell: ({ loopMaxMs }) => optional(loopMaxMs) },
];

/** `1.62 s`, `14 ms`, `1.31 ms` */
export function milliseconds(ms: number): string {
  if (ms >= 1000) return `${(ms / 1000).toFixed(2)} s`;
  return `${ms >= 100 ? Math.round(ms) : ms.toPrecision(2 + (ms >= 10 ? 1 : 0))} ms`;
}

function rate(spread: Spread | undefined): string {
  return spread === undefined ? "-" : count(Math.round(spread.median / 100) * 100);
}

function optional(ms: number | undefined): string {
  return ms === undefined ? "-" : milliseconds(ms);
}

/** What was measured, on what. */
export interface Head {
  readonly machine: Machine;
  readonly versions: Readonly<Record<string, string>>;
  readonly runs: number;
  /** Contenders that were asked for and can't be had, and why. */
  readonly missing: readonly { readonly name: string; readonly why: string }[];
}

const LEGEND = [
  "Time is that of the client, from the call to the end, with both processes and their connection there already.",
  "Wire bytes are all that TCP carried, and turns how often the direction changed, counted by a proxy in a run of its own.",
  "CPU is user and system time of each process meanwhile; client and server the peak resident memory of their whole lives.",
  "Loop is the server's event loop delay meanwhile, with the millisecond of the timer that it is measured with.",
  "SQLite: WAL and synchronous=NORMAL at the bare copy and at clients that bring no storage; the bare copy has 16 MB of page",
  "cache (64 MB with random ids) and a checkpoint every 20,000 pages. JetStream syncs its files every two minutes.",
];

/** Prints tables as text, or as Markdown. */
export interface Tables {
  head(head: Head): string;
  titles(): string;
  row(measured: Measured): string;
  targets(targets: readonly Target[]): string;
  /** Figures of the live workloads, if there are any. */
  live(figures: readonly LiveFigure[]): string;
  /** What the columns mean. */
  legend(): string;
}

/** Makes tables. */
export function createTables(markdown: boolean): Tables {
  const line = (cells: readonly string[], widths: readonly number[]): string => {
    if (markdown) return `| ${cells.join(" | ")} |\n`;
    const padded = cells.map((cell, index) => {
      const width = widths[index] ?? 0;
      return width < 0 ? cell.padEnd(-width) : cell.padStart(width);
    });
    return `${padded.join(" ").trimEnd()}\n`;
  };
  const widths = COLUMNS.map(({ width }) => width);
  const rule = (all: readonly number[]): string =>
    markdown
      ? line(
          all.map((width) => (width < 0 ? "---" : "---:")),
          [],
        )
      : "";
  return {
    head: (head) => headText(head, markdown),
    titles: () =>
      line(
        COLUMNS.map(({ title }) => title),
        widths,
      ) + rule(widths),
    row: (measured) =>
      line(
        COLUMNS.map(({ cell }) => cell(measured)),
        widths,
      ),
    live(figures) {
      if (figures.length === 0) return "";
      const wide = [-4, -62, -42, 10, 22];
      const rows = figures.map(({ workload, title, what, unit, median, least, most }) => {
        const show = (value: number): string => liveAmount(value, unit);
        return line([workload, title, what, show(median), `${show(least)} - ${show(most)}`], wide);
      });
      return `\n${line(["", "Tercet", "", "", "least - most"], wide)}${rule(wide)}${rows.join("")}`;
    },
    legend: () => `\n${LEGEND.join("\n")}\n`,
    targets(targets) {
      const wide = [-6, -74, 11, 14];
      const title = line(["", "target", "value", "limit"], wide);
      const rows = targets.map(({ claim, value, limit, atLeast, unit, pass }) =>
        line(
          [pass ? "pass" : "MISS", claim, amount(value, unit), `${atLeast ? "≥" : "≤"} ${amount(limit, unit)}`],
          wide,
        ),
      );
      return `\n${title}${rule(wide)}${rows.join("")}`;
    },
  };
}

function liveAmount(value: number, unit: LiveFigure["unit"]): string {
  if (unit === "ms") return milliseconds(value);
  if (unit === "/s") return `${count(Math.round(value))}/s`;
  return unit === "kB" ? `${value.toFixed(1)} kB` : `${Math.round(value)} MB`;
}

function amount(value: number, unit: string): string {
  if (unit === "B") return bytes(Math.round(value));
  if (unit === "ms") return milliseconds(value);
  if (unit === "/s") return `${count(Math.round(value))}/s`;
  if (unit === "kB") return `${value.toFixed(1)} kB`;
  if (unit === "MB") return `${Math.round(value)} MB`;
  return `${value.toFixed(2)}${unit}`;
}

function headText({ machine, versions, runs, missing }: Head, markdown: boolean): string {
  const known = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const lines = [
    `${machine.cpu}, ${machine.cores} cores, ${memory(machine.memory)}, ${machine.platform}`,
    `${known.join(", ")}`,
    `Median of ${runs} run${runs === 1 ? "" : "s"}, each with a server and a client process of its own.`,
    ...missing.map(({ name, why }) => `Without ${name}: ${why}.`),
  ];
  return `${lines.join(markdown ? "  \n" : "\n")}\n\n`;
}
