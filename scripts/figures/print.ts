import { bytes, count, duration, many, memory } from "../demo/format.js";
import type { Machine } from "./machine.js";
import type { ScenarioFigures, TargetFigures } from "./summary.js";

type Write = (text: string) => void;

interface Column {
  readonly title: string;
  readonly width: number;
  cell(figures: ScenarioFigures): string;
}

const COLUMNS: readonly Column[] = [
  { title: "scenario", width: -16, cell: ({ name }) => name },
  { title: "items", width: 10, cell: ({ items }) => count(items) },
  { title: "differ", width: 7, cell: ({ differences }) => count(differences) },
  { title: "trips", width: 6, cell: ({ median }) => count(median.roundTrips) },
  { title: "wire up", width: 10, cell: ({ median }) => bytes(median.wireUp) },
  { title: "wire down", width: 10, cell: ({ median }) => bytes(median.wireDown) },
  { title: "messages", width: 10, cell: ({ median }) => bytes(median.messagesUp + median.messagesDown) },
  { title: "contents", width: 10, cell: ({ median }) => bytes(median.contents) },
  { title: "beyond", width: 10, cell: ({ median }) => bytes(median.beyond) },
  { title: "each", width: 8, cell: ({ median }) => perDifference(median.beyondPerDifference) },
  { title: "time", width: 9, cell: ({ median }) => duration(median.durationMs) },
  { title: "least - most", width: 20, cell: (each) => `${duration(each.leastMs)} - ${duration(each.mostMs)}` },
  { title: "CPU", width: 9, cell: ({ median }) => duration(median.clientCpuMs) },
  { title: "client", width: 8, cell: ({ median }) => memory(median.clientMemoryPeak) },
  { title: "server", width: 8, cell: ({ median }) => peak(median.serverMemoryPeak) },
  { title: "proved", width: 8, cell: ({ median }) => (median.verified ? "yes" : "NO") },
];

function perDifference(value: number | undefined): string {
  return value === undefined ? "-" : `${count(Math.round(value))} B`;
}

function peak(value: number | undefined): string {
  return value === undefined ? "-" : memory(value);
}

/** Prints a table, a row as soon as it is measured. */
export interface Printer {
  head(machine: Machine, runs: number): void;
  row(figures: ScenarioFigures): void;
  targets(targets: readonly TargetFigures[]): void;
}

/** As text for a terminal, or as Markdown. */
export function createPrinter(write: Write, markdown: boolean): Printer {
  const line = (cells: readonly string[]): string => {
    if (markdown) return `| ${cells.join(" | ")} |\n`;
    const padded = cells.map((cell, index) => {
      const width = COLUMNS[index]?.width ?? 0;
      return width < 0 ? cell.padEnd(-width) : cell.padStart(width);
    });
    return `${padded.join("")}\n`;
  };
  return {
    head(machine, runs) {
      write(
        `Median of ${many(runs, "run")}: ${machine.cpu}, ${many(machine.cores, "core")}, ${memory(machine.memory)}, ` +
          `${machine.platform}, Node ${machine.node}, SQLite ${machine.sqlite}\n\n`,
      );
      write(line(COLUMNS.map(({ title }) => title)));
      if (markdown) write(line(COLUMNS.map(({ width }) => (width < 0 ? "---" : "---:"))));
    },
    row: (figures) => write(line(COLUMNS.map(({ cell }) => cell(figures)))),
    targets(targets) {
      write(`\n${LEGEND}\n`);
      write(`Targets (round trips, and for recoveries wire bytes):\n${markdown ? "\n" : ""}`);
      for (const { scenario, items, claim, limit, value, pass } of targets) {
        const verdict = pass ? "pass" : "MISS";
        write(
          `${markdown ? "- " : "  "}${verdict}  ${scenario} of ${count(items)}: ${count(value)} ${claim}, at most ${count(limit)}\n`,
        );
      }
    },
  };
}

const LEGEND = `Every run has a server and a client process of its own, on files that were just copied (so in the page cache); the server was
started, and has served nobody. Wire bytes are all that TCP carried on the exchange's connection, HTTP/2's framing included,
through a proxy; messages are gRPC's. Contents are those that a side took; beyond is what the wire carried besides, each is that
for each item that differed. Time is the exchange's, connecting included, CPU the client's meanwhile; memory the peak of each process's whole life.
`;
