import type { ExchangeReport } from "../../client/protocol/report.js";
import { ErrorReason, type Fault, reasonName } from "../../core/fault.js";
import type { ChangeStandard } from "../../gen/tercet/v1/item.js";
import type { ExchangeRequest, ExchangeResponse } from "../../gen/tercet/v1/sync.js";
import type { ServerOperation, ServerResult } from "../../server/protocol/operation.js";
import { damaged, isDamageable } from "./damage.js";
import { configOf, STEP_TIMEOUT_US } from "./exchange-config.js";
import type { ExchangeWorld, Progress } from "./exchange-world.js";
import type { Faults } from "./faults.js";
import { judgeProof } from "./judge-replica.js";
import type { Random } from "./random.js";
import { clientRunner } from "./run-on-client.js";
import { openSession, type Session } from "./session.js";
import type { Slot } from "./slot.js";

/** An exchange that is watched. */
export interface WatchedExchange {
  readonly session: Session;
  /** Its report, or the fault; undefined where it did not come to its end. */
  outcome(): ExchangeReport | Fault | undefined;
}

/** Opens an exchange of a replica, and judges what comes of it. */
export function openWatched(
  world: ExchangeWorld,
  slot: Slot,
  standard: ChangeStandard,
  faults: Faults,
  random: Random,
  stays: boolean,
): WatchedExchange {
  const { ids, judge, server, clock, sabotage, statistics, trace } = world;
  const progress: Progress = { over: false, disturbed: false, answeredFrom: undefined };
  const horizon = server.history.compacted;
  const jumpsBefore = clock.jumps;
  const notice = recoveryNotice(world, slot, progress);
  let operations = -1;
  let messages = -1;
  let outcome: ExchangeReport | Fault | undefined;

  function runOnServerOrCrash(operation: ServerOperation): ServerResult | undefined {
    operations += 1;
    const crash = faults.serverCrash?.operation === operations ? faults.serverCrash.when : undefined;
    trace?.(`  server for ${slot.name}: ${operation.kind}`);
    const result = crash === "before" ? undefined : world.runOnServer(operation);
    if (crash === undefined) return result;
    statistics.count("server crashed");
    world.serverCrashed();
    return undefined;
  }

  function arrives(message: ExchangeRequest | ExchangeResponse, to: "client" | "server"): boolean {
    messages += 1;
    statistics.count("message");
    trace?.(`  ${to === "client" ? "->" : "<-"} ${slot.name} ${message.message?.$case ?? "?"}`);
    notice(message);
    if (faults.stallAt === messages) {
      statistics.count("stall");
      progress.disturbed = true;
      clock.jumps += 1;
      clock.nowUs += 2 * STEP_TIMEOUT_US;
      session.tick();
    }
    const losesVerdict = faults.losesVerdicts && message.message?.$case === "verdicts";
    if (faults.cutAt !== messages && !losesVerdict) return true;
    statistics.count(losesVerdict ? "verdict lost" : "cut");
    trace?.(`  ${slot.name} is cut`);
    progress.over = true;
    if (slot.session === session) slot.session = undefined;
    return false;
  }

  function tampered<T extends ExchangeRequest | ExchangeResponse>(message: T): T {
    if (faults.damageAt !== messages || !isDamageable(message)) return message;
    statistics.count("content damaged on the way");
    progress.disturbed = true;
    return damaged(message);
  }

  function failed(fault: Fault): void {
    statistics.count(`closed: ${reasonName(fault.reason)}`);
    const compacted = server.history.compacted > horizon;
    const jumped = clock.jumps > jumpsBefore;
    if (progress.disturbed || isExpected(fault, compacted) || (jumped && isStalled(fault))) return;
    judge.fail("fault", `${slot.name}'s exchange ended: ${reasonName(fault.reason)}: ${fault.message}`);
  }

  function closed(fault: Fault | undefined, report: ExchangeReport): void {
    if (progress.over) return;
    progress.over = true;
    slot.session = undefined;
    outcome = fault ?? report;
    trace?.(`  ${slot.name} closes: ${fault === undefined ? `verified ${report.verified}` : fault.message}`);
    slot.undurable = [];
    if (fault !== undefined) return failed(fault);
    statistics.count(report.verified ? "verified" : "outrun");
    const watched = { name: slot.name, store: slot.host.store, model: slot.model };
    // What a live one has done since its last proof is not in it.
    if (report.verified && !slot.model.damaged && !stays) judgeProof(judge, server.history, watched, ids);
  }

  const session: Session = openSession(configOf(world.setup, standard, random, faults, stays), {
    client: clientRunner(world, slot, faults, random, progress),
    server: runOnServerOrCrash,
    nowClientUs: () => clock.nowUs + slot.skewUs,
    nowServerUs: () => clock.nowUs,
    request: (message) => tampered(sabotage?.request?.(message) ?? message),
    response: (message) => tampered(sabotage?.response?.(message) ?? message),
    arrives,
    closed,
  });
  if (!progress.over) slot.session = session;
  return { session, outcome: () => outcome };
}

/** Sees from the messages whether a recovery has a cause: where nobody asked for it and no token was refused, a proof failed. */
function recoveryNotice(
  { judge, server, statistics }: ExchangeWorld,
  { name }: Slot,
  progress: Progress,
): (message: ExchangeRequest | ExchangeResponse) => void {
  let refused = false;
  let recovers = false;
  let uid: Buffer = Buffer.alloc(0);
  return ({ message }) => {
    if (message?.$case === "opened") {
      const other = uid.length > 0 && !message.value.collectionUid.equals(uid);
      refused = other || message.value.tokenRefused !== ErrorReason.ERROR_REASON_UNSPECIFIED;
    }
    if (message?.$case === "open") {
      recovers = message.value.recover;
      uid = message.value.collectionUid;
    }
    if (message?.$case !== "recover") return;
    statistics.count("recovery");
    progress.answeredFrom = server.history.head;
    // A proof that fails finds a fault of the product: nothing here damages what a replica has agreed on.
    if (!refused && !recovers && !progress.disturbed)
      judge.fail("unproved", `a proof of ${name} failed, and it recovers`);
  };
}

/** One side could not wait any longer: the clock was moved. */
function isStalled({ reason }: Fault): boolean {
  return reason === ErrorReason.ERROR_REASON_STALLED;
}

/** A collection that is deleted under an exchange ends it, and so do tombstones that go before it has read them. */
function isExpected({ reason }: Fault, compacted: boolean): boolean {
  return (
    reason === ErrorReason.ERROR_REASON_COLLECTION_DELETED ||
    reason === ErrorReason.ERROR_REASON_COLLECTION_NOT_FOUND ||
    (reason === ErrorReason.ERROR_REASON_TOKEN_COMPACTED && compacted)
  );
}
