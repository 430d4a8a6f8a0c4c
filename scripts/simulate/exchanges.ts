import type { ClientOperation, ClientResult, Resolution } from "../../client/protocol/operation.js";
import type { ExchangeReport } from "../../client/protocol/report.js";
import { ErrorReason, type Fault, reasonName } from "../../core/fault.js";
import { DEFAULT_LIMITS } from "../../core/limits.js";
import type { ChangeStandard } from "../../gen/tercet/v1/item.js";
import type { ExchangeRequest, ExchangeResponse } from "../../gen/tercet/v1/sync.js";
import type { ServerOperation, ServerResult } from "../../server/protocol/operation.js";
import { runOperation as runOnStore } from "../../server/store/run-operation.js";
import { damaged, isDamageable } from "./damage.js";
import { type Faults, NO_FAULTS } from "./faults.js";
import type { CommitJudge } from "./judge-commit.js";
import { judgeApplied, judgeProof, judgeRest } from "./judge-replica.js";
import { copyReplicaModel } from "./model-replica.js";
import { answerOf } from "./outsider.js";
import type { Setup } from "./plan.js";
import type { Random } from "./random.js";
import type { Sabotage } from "./sabotage.js";
import type { ServerSide } from "./server-side.js";
import { type ClientRun, openSession, type Session, type SessionConfig } from "./session.js";
import type { Slot } from "./slot.js";
import { openStaleStream, type StaleStream } from "./stale.js";
import type { Statistics } from "./statistics.js";

/** All streams of a history, on one network. */
export interface Exchanges {
  /** A replica begins an exchange, that may stay open. One that is in one already loses that first. */
  open(slot: Slot, standard: ChangeStandard, faults: Faults, random: Random, stays: boolean): void;
  /** One exchange from beginning to end, with nothing else going on; its report, or the fault. */
  quiet(slot: Slot, standard: ChangeStandard, random: Random): ExchangeReport | Fault | undefined;
  /** What an earlier stream sent arrives once more. */
  openStale(random: Random): void;
  /** So many messages arrive, of any stream. */
  deliver(random: Random, messages: number): void;
  /** All streams come to their end; what clients that are gone have sent may go on lingering on the network. */
  runAll(random: Random, lingering: boolean): void;
  /** All look at the clock, which was moved. */
  tick(): void;
  /** The live exchange of a replica ends in peace, as one side wishes. */
  leave(slot: Slot, random: Random): void;
  /** Nothing is under way: whoever is live has what the server has, and the server what they have. */
  judgeDormant(slots: readonly Slot[]): void;
  /** The server's process has ended. */
  serverGone(): void;
  /** The replica's file is replaced. */
  replicaGone(slot: Slot): void;
}

/** What streams need of the world around them. */
export interface ExchangesWorld {
  readonly ids: readonly string[];
  readonly setup: Setup;
  readonly judge: CommitJudge;
  readonly server: ServerSide;
  readonly clock: { nowUs: number };
  readonly sabotage: Sabotage | undefined;
  readonly statistics: Statistics;
  readonly trace: ((line: string) => void) | undefined;
  readonly sqlite: boolean;
  applicationWrites(slot: Slot, random: Random): void;
  /** How the application ends a conflict that it is asked to judge. */
  resolve(slot: Slot, id: string, random: Random): Resolution;
  serverCrashed(): void;
}

const MOST_KEPT = 12;
const STEP_TIMEOUT_US = 60_000_000;
/** An exchange that has not ended by then never will. */
const MOST_DELIVERIES = 1500;

class Crash extends Error {
  override readonly name = "Crash";
}

/** No streams yet. */
export function createExchanges(world: ExchangesWorld): Exchanges {
  const { ids, judge, server, clock, sabotage, statistics, trace } = world;
  const live = new Set<Session>();
  const stale = new Set<StaleStream>();
  /** What was sent on earlier streams. */
  /** How often the clock has jumped: whoever looks at it after that may find that it waited for too long. */
  let jumps = 0;
  server.listen((revision) => {
    for (const session of live) if (session.live && !session.gone) session.advanced(revision);
  });
  const late: { readonly messages: readonly Uint8Array[]; readonly line: number }[] = [];

  function configOf(standard: ChangeStandard, random: Random, faults: Faults, stays = false): SessionConfig {
    const eager = random.pick([undefined, undefined, 1, 300]);
    const inline = random.pick([undefined, undefined, 1, 100]);
    const limits = {
      ...(eager === undefined ? {} : { eagerBytes: eager }),
      ...(inline === undefined ? {} : { inlineBytes: inline }),
    };
    const plain = faults === NO_FAULTS;
    const onHistoryChange = !plain && random.chance(0.15) ? "follow" : "offer";
    const wishes = { standard, create: true, recreate: true, client: "simulation", limits };
    const ways = { mode: "sync", onHistoryChange, resolves: !plain && random.chance(0.1) } as const;
    return {
      client: { live: stays, ...wishes, ...ways, stepTimeoutUs: STEP_TIMEOUT_US },
      serverLimits: { ...DEFAULT_LIMITS, ...world.setup.serverLimits },
      skewUs: 60_000_000,
      stepTimeoutUs: STEP_TIMEOUT_US,
      heartbeatUs: STEP_TIMEOUT_US / 2,
    };
  }

  function runOnServer(operation: ServerOperation): ServerResult {
    const operations = {
      store: server.store,
      write: (batch: Parameters<typeof server.store.write>[0][number]) => answerOf(server.store.write([batch]))[0],
      newUid: server.newUid,
      nowUs: () => clock.nowUs,
    };
    return answerOf(runOnStore(operations, operation));
  }

  /** The process of a replica ends; with `power`, what was not on the disk is gone. */
  function crashClient(slot: Slot, power: boolean, random: Random): void {
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

  function open(slot: Slot, standard: ChangeStandard, faults: Faults, random: Random, stays: boolean): Session {
    replicaGone(slot);
    statistics.count(stays ? "live exchange" : "exchange");
    let clientOperations = -1;
    let serverOperations = -1;
    let messages = -1;
    let refused = false;
    let answeredFrom: number | undefined;
    let recovers = false;
    let uid: Buffer = Buffer.alloc(0);
    let disturbed = false;
    const horizon = server.history.compacted;
    const jumpsBefore = jumps;
    let over = false;

    function runOnClient({ operation, on }: ClientRun): ClientResult | undefined {
      clientOperations += 1;
      for (const at of faults.writesBefore) if (at === clientOperations) world.applicationWrites(slot, random);
      const crash = faults.clientCrash?.operation === clientOperations ? faults.clientCrash.when : undefined;
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
    }

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
        judgeApplied(judge, server.history, watched, ids, { recovered, answeredFrom });
        if (recovered) answeredFrom = undefined;
      }
      return result;
    }

    function crashed(power: boolean): undefined {
      over = true;
      crashClient(slot, power, random);
      return undefined;
    }

    function runOnServerOrCrash(operation: ServerOperation): ServerResult | undefined {
      serverOperations += 1;
      const crash = faults.serverCrash?.operation === serverOperations ? faults.serverCrash.when : undefined;
      trace?.(`  server for ${slot.name}: ${operation.kind}`);
      const result = crash === "before" ? undefined : runOnServer(operation);
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
        disturbed = true;
        jumps += 1;
        clock.nowUs += 2 * STEP_TIMEOUT_US;
        session.tick();
      }
      const losesVerdict = faults.losesVerdicts && message.message?.$case === "verdicts";
      if (faults.cutAt !== messages && !losesVerdict) return true;
      statistics.count(losesVerdict ? "verdict lost" : "cut");
      trace?.(`  ${slot.name} is cut`);
      over = true;
      if (slot.session === session) slot.session = undefined;
      return false;
    }

    function notice({ message }: ExchangeRequest | ExchangeResponse): void {
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
      answeredFrom = server.history.head;
      // A proof that fails finds a fault of the product: nothing here damages what a replica has agreed on.
      if (!refused && !recovers && !disturbed)
        judge.fail("unproved", `a proof of ${slot.name} failed, and it recovers`);
    }

    function tampered<T extends ExchangeRequest | ExchangeResponse>(message: T): T {
      if (faults.damageAt !== messages || !isDamageable(message)) return message;
      statistics.count("content damaged on the way");
      disturbed = true;
      return damaged(message);
    }

    function closed(fault: Fault | undefined, report: ExchangeReport): void {
      if (over) return;
      over = true;
      slot.session = undefined;
      outcome = fault ?? report;
      trace?.(`  ${slot.name} closes: ${fault === undefined ? `verified ${report.verified}` : fault.message}`);
      slot.undurable = [];
      if (fault !== undefined) {
        statistics.count(`closed: ${reasonName(fault.reason)}`);
        const compacted = server.history.compacted > horizon;
        if (!disturbed && !isExpected(fault, compacted) && !(jumps > jumpsBefore && isStalled(fault))) {
          judge.fail("fault", `${slot.name}'s exchange ended: ${reasonName(fault.reason)}: ${fault.message}`);
        }
        return;
      }
      statistics.count(report.verified ? "verified" : "outrun");
      const watched = { name: slot.name, store: slot.host.store, model: slot.model };
      // What a live one has done since its last proof is not in it.
      if (report.verified && !slot.model.damaged && !stays) judgeProof(judge, server.history, watched, ids);
    }

    let outcome: ExchangeReport | Fault | undefined;
    const session: Session = openSession(configOf(standard, random, faults, stays), {
      client: runOnClient,
      server: runOnServerOrCrash,
      nowClientUs: () => clock.nowUs + slot.skewUs,
      nowServerUs: () => clock.nowUs,
      request: (message) => tampered(sabotage?.request?.(message) ?? message),
      response: (message) => tampered(sabotage?.response?.(message) ?? message),
      arrives,
      closed,
    });
    if (!over) slot.session = session;
    live.add(session);
    outcomes.set(session, () => outcome);
    late.push({ messages: session.sent, line: server.history.line });
    if (late.length > MOST_KEPT) late.shift();
    return session;
  }
  const outcomes = new WeakMap<Session, () => ExchangeReport | Fault | undefined>();

  function replicaGone(slot: Slot): void {
    slot.session?.abandon();
    slot.session = undefined;
  }

  /** Streams on which something may arrive now: what was sent by clients that are gone may take its time. */
  function candidates(random: Random, lingering: boolean): readonly (Session | StaleStream)[] {
    for (const each of live) if (!each.live) live.delete(each);
    for (const each of stale) if (!each.live) stale.delete(each);
    const prompt = [...live].filter((session) => !session.gone && !session.dormant);
    const late = [...live].filter((session) => session.gone);
    const takesTime = lingering && (prompt.length === 0 || random.chance(0.9));
    return [...prompt, ...stale, ...(takesTime ? [] : late)];
  }

  function deliverOne(random: Random, lingering: boolean): boolean {
    const streams = candidates(random, lingering);
    if (streams.length === 0) return false;
    clock.nowUs += 10;
    random.pick(streams).deliver(random);
    return true;
  }

  function runAll(random: Random, lingering: boolean): void {
    for (let delivered = 0; deliverOne(random, lingering); delivered++) {
      if (delivered > MOST_DELIVERIES) return judge.fail("endless", "the exchanges do not come to an end");
    }
  }

  return {
    open: (slot, standard, faults, random, stays) => void open(slot, standard, faults, random, stays),
    quiet(slot, standard, random) {
      const session = open(slot, standard, NO_FAULTS, random, false);
      runAll(random, false);
      return outcomes.get(session)?.();
    },
    openStale(random) {
      if (late.length === 0) return;
      statistics.count("stale stream");
      const { messages, line } = random.pick(late);
      const prefix = random.chance(0.5) ? messages : messages.slice(0, random.int(1, Math.max(1, messages.length)));
      const config = configOf(0, random, NO_FAULTS);
      trace?.(`  ${prefix.length} old messages arrive again`);
      const run = (operation: ServerOperation): ServerResult => {
        judge.astray = line !== server.history.line;
        const result = runOnServer(operation);
        judge.astray = false;
        return result;
      };
      stale.add(openStaleStream(config, prefix, run, () => clock.nowUs));
    },
    deliver(random, messages) {
      const lingering = random.chance(0.7);
      for (let count = 0; count < messages; count++) if (!deliverOne(random, lingering)) return;
    },
    runAll,
    tick() {
      jumps += 1;
      for (const session of [...live]) if (!session.gone) session.tick();
    },
    leave({ session, name }, random) {
      if (session === undefined || !session.live || session.gone) return;
      const drains = random.chance(0.5);
      trace?.(`  ${drains ? "the server asks" : "the application wants"} ${name} to leave`);
      statistics.count(drains ? "sent away" : "left");
      if (drains) session.goAway();
      else session.leave();
    },
    judgeDormant(slots) {
      for (const slot of slots) {
        const { session, name } = slot;
        if (session?.dormant !== true || session.report().contended.length > 0) continue;
        statistics.count("live and at rest");
        judgeRest(judge, server.history, { name, store: slot.host.store, model: slot.model });
      }
    },
    serverGone() {
      for (const session of live) session.kill();
      for (const stream of stale) stream.kill();
    },
    replicaGone,
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
