import type { ClientOperation, ClientResult } from "../../client/protocol/operation.js";
import type { ExchangeWorld, Progress } from "./exchange-world.js";
import type { Faults } from "./faults.js";
import { judgeApplied } from "./judge-replica.js";
import { copyReplicaModel } from "./model-replica.js";
import type { Random } from "./random.js";
import type { ClientRun } from "./session.js";
import type { Slot } from "./slot.js";

class Crash extends Error {
  override readonly name = "Crash";
}

/** Runs the operations of one exchange on its replica, and judges them, until what befalls the client; then answers undefined. */
export function clientRunner(
  world: ExchangeWorld,
  slot: Slot,
  faults: Faults,
  random: Random,
  progress: Progress,
): (run: ClientRun) => ClientResult | undefined {
  const { ids, judge, server, sabotage, trace } = world;
  let operations = -1;

  function runSabotaged(on: ClientRun["on"], operation: ClientOperation): ClientResult | undefined {
    const real = slot.host.store;
    const crash = (): never => {
      throw new Crash();
    };
    let result: ClientResult | undefined;
    try {
      result = on(sabotage?.replica?.(real, random, crash) ?? real);
    } catch (error) {
      if (!(error instanceof Crash)) throw error;
    }
    const watched = { name: slot.name, store: real, model: slot.model };
    if (operation.kind === "apply") {
      const recovered = operation.batch.recovered !== undefined;
      judgeApplied(judge, server.history, watched, ids, { recovered, answeredFrom: progress.answeredFrom });
      if (recovered) progress.answeredFrom = undefined;
    }
    return result;
  }

  function crashed(power: boolean): undefined {
    progress.over = true;
    crashClient(world, slot, power, random);
    return undefined;
  }

  return ({ operation, on }) => {
    operations += 1;
    for (const at of faults.writesBefore) if (at === operations) world.applicationWrites(slot, random);
    const crash = faults.clientCrash?.operation === operations ? faults.clientCrash.when : undefined;
    if (crash === "before") return crashed(false);
    trace?.(`  ${slot.name}: ${operation.kind}`);
    if (operation.kind === "resolve")
      return { kind: "resolve", resolution: world.resolve(slot, operation.conflict.id, random) };
    if (operation.kind === "apply" && faults.clientCrash?.when === "power" && !world.sqlite) {
      slot.undurable.push({ file: slot.host.snapshot(), model: copyReplicaModel(slot.model) });
    }
    const result = runSabotaged(on, operation);
    if (result === undefined) return crashed(false);
    if (operation.kind === "outgoing") slot.undurable = [];
    if (crash !== undefined) return crashed(crash === "power");
    return result;
  };
}

/** The process of a replica ends; with `power`, what was not on the disk is gone. */
function crashClient({ statistics, trace }: ExchangeWorld, slot: Slot, power: boolean, random: Random): void {
  statistics.count(power ? "client lost power" : "client crashed");
  trace?.(`  ${slot.name} ${power ? "loses power" : "crashes"}`);
  slot.session = undefined;
  const lost = power && slot.undurable.length > 0 ? random.pick(slot.undurable) : undefined;
  slot.undurable = [];
  if (lost === undefined) return slot.host.restart();
  const kept = new Set(lost.model.pending.values());
  // What a lost transaction had merged or offered back was no write of the application's: it can be had again.
  for (const happening of slot.model.pending.values()) if (!kept.has(happening)) happening.withdrawn = true;
  slot.host.dispose();
  slot.host = lost.file.open();
  slot.model = copyReplicaModel(lost.model);
}
