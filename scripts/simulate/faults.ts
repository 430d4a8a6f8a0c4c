import type { Random } from "./random.js";

/** What befalls one exchange. Numbers count its messages or storage operations from 0; undefined: it does not happen. */
export interface Faults {
  /** The stream is cut before this message arrives. */
  readonly cutAt: number | undefined;
  /** The stream is cut before the first verdict arrives. */
  readonly losesVerdicts: boolean;
  readonly clientCrash: Crash | undefined;
  readonly serverCrash: Crash | undefined;
  /** From this message on neither side hears of the other for so long that they give up. */
  readonly stallAt: number | undefined;
  /** A content is damaged on the way in this message, if it has one. */
  readonly damageAt: number | undefined;
  /** The application writes before these operations on the replica. */
  readonly writesBefore: readonly number[];
}

/** A crash at a transaction boundary. */
export interface Crash {
  readonly operation: number;
  /** `power`: after it, and what was not on the disk yet is gone. */
  readonly when: "before" | "after" | "power";
}

/** Nothing happens. */
export const NO_FAULTS: Faults = {
  cutAt: undefined,
  losesVerdicts: false,
  clientCrash: undefined,
  serverCrash: undefined,
  stallAt: undefined,
  damageAt: undefined,
  writesBefore: [],
};

/** What befalls an exchange: mostly one thing, sometimes nothing or several. */
export function faultsOf(random: Random): Faults {
  const some = (probability: number, most: number): number | undefined =>
    random.chance(probability) ? random.int(0, most) : undefined;
  const crash = (probability: number): Crash | undefined =>
    random.chance(probability)
      ? { operation: random.int(0, 8), when: random.pick(["before", "after", "after", "power"] as const) }
      : undefined;
  return {
    cutAt: some(0.35, 14),
    losesVerdicts: random.chance(0.12),
    clientCrash: crash(0.12),
    serverCrash: crash(0.1),
    stallAt: some(0.03, 8),
    damageAt: some(0.04, 8),
    writesBefore: random.chance(0.45) ? Array.from({ length: random.int(1, 4) }, () => random.int(1, 9)) : [],
  };
}
