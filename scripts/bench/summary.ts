import { median } from "../figures/summary.js";
import type { ProcessFigures } from "./orders.js";
import type { Scenario } from "./scenarios.js";

/** One run of a scenario. */
export interface RunFigures {
  /** Milliseconds; the median, where it was done many times in the run. */
  readonly ms: number;
  readonly client: ProcessFigures;
  readonly server: ProcessFigures;
}

/** What the wire carried, for each time. */
export interface WireFigures {
  readonly bytes: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly turns: number;
}

/** A median with the least and the most. */
export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** A contender in a scenario. */
export interface Measured {
  readonly contender: string;
  readonly scenario: Scenario;
  readonly ms: Spread;
  /** Items that moved a second; undefined where the time is what counts. */
  readonly itemsPerSecond: Spread | undefined;
  /** Medians of user and system time of both sides' processes in the timed part, in milliseconds. */
  readonly clientCpuMs: number;
  readonly serverCpuMs: number;
  /** The greatest of all runs, in bytes. */
  readonly clientMemoryPeak: number;
  readonly serverMemoryPeak: number;
  /** Medians of the server's event loop delay in milliseconds. */
  readonly loopP99Ms: number | undefined;
  readonly loopMaxMs: number | undefined;
  /** Of a run of its own; undefined where there was none. */
  readonly wire: WireFigures | undefined;
  readonly runs: readonly RunFigures[];
}

/** Median, least and most of at least one value. */
export function spreadOf(values: readonly number[]): Spread {
  return { median: median(values), least: Math.min(...values), most: Math.max(...values) };
}

/** The figures of a contender's runs, of which there is at least one. */
export function summarize(
  contender: string,
  scenario: Scenario,
  runs: readonly RunFigures[],
  wire: WireFigures | undefined,
): Measured {
  const { moves } = scenario;
  const known = (pick: (run: RunFigures) => number | undefined): number | undefined => {
    const values = runs.map(pick).filter((value) => value !== undefined);
    return values.length === 0 ? undefined : median(values);
  };
  return {
    contender,
    scenario,
    ms: spreadOf(runs.map(({ ms }) => ms)),
    itemsPerSecond: moves === 0 ? undefined : spreadOf(runs.map(({ ms }) => (moves * 1000) / ms)),
    clientCpuMs: median(runs.map(({ client }) => client.cpuMs)),
    serverCpuMs: median(runs.map(({ server }) => server.cpuMs)),
    clientMemoryPeak: Math.max(...runs.map(({ client }) => client.memoryPeak)),
    serverMemoryPeak: Math.max(...runs.map(({ server }) => server.memoryPeak)),
    loopP99Ms: known(({ server }) => server.loopP99Ms),
    loopMaxMs: known(({ server }) => server.loopMaxMs),
    wire,
    runs,
  };
}
