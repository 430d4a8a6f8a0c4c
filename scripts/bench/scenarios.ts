import type { Action } from "./contender.js";
import type { IdKind } from "./items.js";

/** The names by which workloads are asked for. */
export const WORKLOADS = ["W1", "W2", "W3", "W4", "W5", "W6", "W7", "W8", "W9", "W10", "W11"] as const;

/** A workload of the bench. W7, W9 and W10 are Tercet's alone, of many replicas or live ones (live/). */
export type Workload = (typeof WORKLOADS)[number];

/** A situation in which contenders are measured. */
export interface Scenario {
  readonly workload: Workload;
  /** `W6 W1` where a workload is another one in other circumstances. */
  readonly name: string;
  readonly title: string;
  readonly action: Action;
  readonly items: number;
  readonly ids: IdKind;
  /** Milliseconds of a round trip that the link adds. */
  readonly rttMs: number;
  /** How often it is done in the timed part, one after the other on one connection. */
  readonly times: number;
  /** Items that move: what items a second are of. 0 where the time is what counts. */
  readonly moves: number;
}

/** Items that each side changes, where there are enough. */
const CHANGES = 1000;
const REPEATS = 20;
const RTT_MS = 20;
/** Size of the large item, in bytes. */
export const LARGE_BYTES: number = 64 * 1024 * 1024;
/** The size at which --large is measured, too. */
export const LARGE_ITEMS = 5_000_000;

/** How many items each side changes of so many. */
export function changesOf(items: number): number {
  return Math.min(CHANGES, Math.floor(items / 4));
}

function pull(items: number): Scenario {
  return scenario("W1", "first pull", "pull", items, { moves: items });
}

function push(items: number): Scenario {
  return scenario("W2", "first push", "push", items, { moves: items });
}

function changes(items: number): Scenario {
  return scenario("W3", `${changesOf(items)} changed on each side`, "changes", items, {});
}

function nothing(items: number): Scenario {
  return scenario("W4", "nothing changed", "nothing", items, { times: REPEATS });
}

function scenario(workload: Workload, title: string, action: Action, items: number, more: Partial<Scenario>): Scenario {
  return { workload, name: workload, title, action, items, ids: "ordered", rttMs: 0, times: 1, moves: 0, ...more };
}

function randomly(of: Scenario): Scenario {
  return { ...of, workload: "W6", name: `W6 ${of.name}`, title: `${of.title}, random ids`, ids: "random" };
}

function overLink(of: Scenario): Scenario {
  const title = `${of.title}, ${RTT_MS} ms round trip`;
  return { ...of, workload: "W11", name: `W11 ${of.name}`, title, rttMs: RTT_MS };
}

function largeItem(action: "large-pull" | "large-push"): Scenario {
  const way = action === "large-pull" ? "pull" : "push";
  return scenario("W8", `64 MiB item, ${way}`, action, 0, { name: `W8 ${way}` });
}

/** The scenarios of the sizes, of which W3, W4 and W11 take the first. */
export function scenariosFor(sizes: readonly number[], large: boolean): Scenario[] {
  const first = sizes.slice(0, 1);
  return [
    ...sizes.flatMap((items) => [pull(items), push(items)]),
    ...first.flatMap((items) => [changes(items), nothing(items)]),
    ...sizes.map((items) => scenario("W5", `recovery, ${changesOf(items)} differ`, "recover", items, {})),
    ...sizes.flatMap((items) => [randomly(pull(items)), randomly(push(items))]),
    ...(large ? [pull(LARGE_ITEMS), push(LARGE_ITEMS)].map((of): Scenario => ({ ...of, workload: "W6" })) : []),
    largeItem("large-pull"),
    largeItem("large-push"),
    ...first.flatMap((items) => [pull(items), push(items), changes(items), nothing(items)].map(overLink)),
  ];
}

/** What tells a scenario from all others. */
export function keyOf({ name, items, ids, rttMs }: Scenario): string {
  return `${name} ${items} ${ids} ${rttMs}`;
}
