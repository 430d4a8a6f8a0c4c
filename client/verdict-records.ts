import type { FindRecord, Seen } from "./judge-verdicts.js";
import type { ReplicaStore } from "./replica/store.js";

/** Finds the record of a version among those that were just made. They are read when the first is asked for. */
export function recordsOf(held: ReplicaStore): FindRecord {
  let records: ReturnType<ReplicaStore["listConflicts"]> | undefined;
  return (numbers, { before, version }) => {
    records ??= held.listConflicts(numbers.reduce((a, b) => Math.max(a, b)) + 1, numbers.length);
    return records.find(({ id, modifyTimeUs }) => id === before.id && modifyTimeUs === version.timeUs)?.number;
  };
}

/** The same for records made from now on. */
export function recordsSince(held: ReplicaStore): (seen: Seen) => number | undefined {
  const last = held.listConflicts(Number.MAX_SAFE_INTEGER, 1)[0]?.number ?? 0;
  const find = recordsOf(held);
  let made: number[] | undefined;
  return (seen) => {
    made ??= newNumbers(held, last);
    return made.length === 0 ? undefined : find(made, seen);
  };
}

function newNumbers(held: ReplicaStore, last: number): number[] {
  const numbers: number[] = [];
  for (let before = Number.MAX_SAFE_INTEGER; ; ) {
    const page = held.listConflicts(before, 100).map(({ number }) => number);
    numbers.push(...page.filter((number) => number > last));
    before = page.at(-1) ?? 0;
    if (before <= last) return numbers;
  }
}
