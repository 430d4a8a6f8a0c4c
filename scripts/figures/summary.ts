import type { Scenario } from "./scenarios.js";

/** One run of a scenario. */
export interface RunFigures {
  readonly roundTrips: number;
  /** Bytes on the connection, with everything that TCP carries. */
  readonly wireUp: number;
  readonly wireDown: number;
  /** Bytes of the messages, with gRPC's framing and without HTTP/2's. */
  readonly messagesUp: number;
  readonly messagesDown: number;
  /** Bytes of the contents that either side took. */
  readonly contents: number;
  /** Wire bytes that were no such contents, and the same for each difference. */
  readonly beyond: number;
  readonly beyondPerDifference: number | undefined;
  readonly durationMs: number;
  /** Processor time of the client during the exchange: what other work on the machine does not stretch. */
  readonly clientCpuMs: number;
  /** Peak resident memory in bytes, of the whole life of each process. */
  readonly clientMemoryPeak: number;
  readonly serverMemoryPeak: number | undefined;
  /** Conflicts, and differences that a recovery found. */
  readonly conflicts: number;
  readonly recovered: number | undefined;
  readonly sent: number;
  readonly received: number;
  /** Contents that rode along with their change info, and changes sent right behind the opening message. */
  readonly inline: number;
  readonly eager: number;
  readonly verified: boolean;
}

/** A scenario in figures. */
export interface ScenarioFigures {
  readonly name: string;
  readonly items: number;
  readonly differences: number;
  readonly conflicts: number;
  /** Median of each figure by itself; verified only where every run was. */
  readonly median: RunFigures;
  readonly leastMs: number;
  readonly mostMs: number;
  readonly runs: readonly RunFigures[];
}

/** What a figure should be at most. */
export interface TargetFigures {
  readonly scenario: string;
  readonly items: number;
  readonly claim: string;
  readonly limit: number;
  readonly value: number;
  readonly pass: boolean;
}

const EQUAL_BYTES = 2000;
const BYTES_PER_DIFFERENCE = 500;
const RECOVERY_BYTES = 10_000;
const RECOVERY_ROUND_TRIPS = 8;
/** Changes that are not all within the limit for eager ones are compared first. */
const CHANGES_ROUND_TRIPS = 2;

/** The figures of a scenario's runs, of which there is at least one. */
export function summarize(scenario: Scenario, runs: readonly RunFigures[]): ScenarioFigures {
  const { name, items, differences, conflicts } = scenario;
  const times = runs.map(({ durationMs }) => durationMs);
  const middle = (pick: (run: RunFigures) => number): number => median(runs.map(pick));
  const known = (pick: (run: RunFigures) => number | undefined): number | undefined => {
    const values = runs.map(pick).filter((value) => value !== undefined);
    return values.length === 0 ? undefined : median(values);
  };
  return {
    name,
    items,
    differences,
    conflicts,
    median: {
      roundTrips: middle((run) => run.roundTrips),
      wireUp: middle((run) => run.wireUp),
      wireDown: middle((run) => run.wireDown),
      messagesUp: middle((run) => run.messagesUp),
      messagesDown: middle((run) => run.messagesDown),
      contents: middle((run) => run.contents),
      beyond: middle((run) => run.beyond),
      beyondPerDifference: known((run) => run.beyondPerDifference),
      durationMs: middle((run) => run.durationMs),
      clientCpuMs: middle((run) => run.clientCpuMs),
      clientMemoryPeak: middle((run) => run.clientMemoryPeak),
      serverMemoryPeak: known((run) => run.serverMemoryPeak),
      conflicts: middle((run) => run.conflicts),
      recovered: known((run) => run.recovered),
      sent: middle((run) => run.sent),
      received: middle((run) => run.received),
      inline: middle((run) => run.inline),
      eager: middle((run) => run.eager),
      verified: runs.every((run) => run.verified),
    },
    leastMs: Math.min(...times),
    mostMs: Math.max(...times),
    runs,
  };
}

/** The middle one, or the mean of the two that are. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? 0;
  const lower = sorted[Math.floor((sorted.length - 1) / 2)] ?? 0;
  return (lower + upper) / 2;
}

/** Most bytes that a recovery may take beyond the contents. */
export function recoveryLimit(differences: number): number {
  return differences === 0 ? EQUAL_BYTES : RECOVERY_BYTES + BYTES_PER_DIFFERENCE * differences;
}

/** The targets of a scenario, held against its medians. */
export function targetsOf(scenario: Scenario, { median: figures }: ScenarioFigures): TargetFigures[] {
  const { name, items, differences, recovery } = scenario;
  const target = (claim: string, limit: number, value: number): TargetFigures => {
    return { scenario: name, items, claim, limit, value, pass: value <= limit };
  };
  const trips = recovery !== undefined ? RECOVERY_ROUND_TRIPS : differences > 0 ? CHANGES_ROUND_TRIPS : 1;
  const targets = [target("round trips", trips, figures.roundTrips)];
  if (recovery === undefined) return targets;
  const what = differences === 0 ? "wire bytes" : "wire bytes beyond the contents";
  return [...targets, target(what, recoveryLimit(differences), figures.beyond)];
}
