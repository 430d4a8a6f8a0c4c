import type { Limits } from "../../gen/tercet/v1/sync.js";
import { FEATURES } from "./features.js";
import { createRandom, type Random } from "./random.js";

/** Something that happens. Its own seed decides how, so that leaving out another step changes it as little as can be. */
export interface Step {
  readonly kind: StepKind;
  readonly seed: number;
}

/** What may happen in a history. */
export type StepKind =
  | "write"
  | "exchange"
  | "quiet-exchange"
  | "stale"
  | "outsider"
  | "outsider-burst"
  | "restart"
  | "server-backup"
  | "server-restore"
  | "replica-backup"
  | "replica-restore"
  | "replica-copy"
  | "compact"
  | "clock"
  | "recreate"
  | "resolve"
  | "restore-conflict"
  | "leave"
  | "wait";

/** What a history begins with. */
export interface Setup {
  readonly replicas: number;
  readonly ids: readonly string[];
  readonly sqlite: boolean;
  readonly serverLimits: Partial<Limits>;
  /** The server works on what is under way to it once all of it has arrived, as where it comes in one turn. */
  readonly gathers: boolean;
  /** How far each replica's clock is off, in microseconds. */
  readonly skews: readonly number[];
  /** Share of contents that are larger than what rides along, and so large that few fit a message. */
  readonly largeShare: number;
  /** Items that the server has before anything else. */
  readonly prefilled: number;
}

/** A whole history: what a seed stands for. */
export interface Plan {
  readonly seed: number;
  readonly setup: Setup;
  readonly steps: readonly Step[];
}

/** Ids in an order that tells UTF-8 bytes from UTF-16 units, with prefixes of one another. */
const IDS = ["a", "a b", "ab", "b", "ba", "c", "z", "é", "ß/1", "日本", "\uffee", "\u{10000}", "\u{1f600}"];

const MINUTE_US = 60_000_000;

const WEIGHTS: readonly (readonly [weight: number, kind: StepKind, needs?: keyof typeof FEATURES])[] = [
  [12, "write"],
  [9, "exchange"],
  [3, "quiet-exchange"],
  [2, "stale"],
  [2.5, "outsider"],
  [0.7, "outsider-burst"],
  [0.6, "restart"],
  [0.7, "server-backup", "recovery"],
  [0.8, "server-restore", "recovery"],
  [0.6, "replica-backup"],
  [0.6, "replica-restore"],
  [0.3, "replica-copy"],
  [0.9, "compact", "compaction"],
  [0.4, "clock"],
  [0.06, "recreate", "recreation"],
  [0.5, "resolve", "manual"],
  [0.5, "restore-conflict"],
  [0.7, "leave", "live"],
  [1.5, "wait"],
];

/** The history of a seed. */
export function planOf(seed: number): Plan {
  const random = createRandom(seed);
  const setup = setupOf(random, seed);
  const kinds = WEIGHTS.flatMap(([weight, kind, needs]) =>
    needs === undefined || FEATURES[needs] ? [[weight, kind] as const] : [],
  );
  const steps = Array.from({ length: random.int(20, setup.sqlite ? 35 : 60) }, () => ({
    kind: random.weighted(kinds),
    seed: random.int(1, 0x7fffffff),
  }));
  return { seed, setup, steps };
}

function setupOf(random: Random, seed: number): Setup {
  const replicas = random.int(2, 4);
  const ids = random.some(IDS, random.int(4, 12));
  const small = random.chance(0.4);
  return {
    replicas,
    ids,
    sqlite: seed % 25 === 0,
    serverLimits: {
      inlineBytes: random.pick([0, 40, 300, 16_384]),
      eagerBytes: random.pick([0, 200, 2000, 262_144, 262_144]),
      messageBytes: small ? 16_384 : 131_072,
      windowBytes: small ? 16_384 : random.pick([65_536, 4_194_304]),
      windowItems: random.pick([16, 64, 16_384]),
    },
    gathers: seed % 2 === 0,
    skews: Array.from({ length: 16 }, () => random.weighted(SKEWS)),
    largeShare: small ? random.pick([0.1, 0.6]) : random.pick([0, 0.1]),
    prefilled: random.chance(0.4) ? random.int(1, ids.length) : 0,
  };
}

const SKEWS: readonly (readonly [number, number])[] = [
  [6, 0],
  [1, 5_000_000],
  [1, -90 * MINUTE_US],
  [1, 90 * MINUTE_US],
];
