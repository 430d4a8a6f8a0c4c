import { expect } from "vitest";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import type { MemoryStore } from "../../server/store/memory.js";
import { exchange, type PairOutcome } from "./pair.js";
import { change, newReplica, newStore } from "./world.js";

const CLIENT = ChangeStandard.CHANGE_STANDARD_CLIENT;

/** An exchange that came to its proof. */
export function clean(outcome: PairOutcome): PairOutcome {
  expect(outcome.fault).toBeUndefined();
  expect(outcome.report.verified).toBe(true);
  return outcome;
}

/** A server with one item, and a replica that has it. */
export function together(items: Record<string, string> = { x: "old" }) {
  const store = newStore();
  const replica = newReplica(1);
  change(replica, items);
  clean(exchange({ store, replica }));
  return { store, replica };
}

/** Changes the server behind the replica's back. */
export function elsewhere(store: MemoryStore, changes: Record<string, string | null>): void {
  const other = newReplica(99);
  clean(exchange({ store, replica: other }));
  change(other, changes);
  clean(exchange({ store, replica: other, standard: CLIENT }));
}
