import type { ExchangeReport } from "../../client/protocol/report.js";
import type { Fault } from "../../core/fault.js";
import type { ChangeStandard } from "../../gen/tercet/v1/item.js";
import type { ServerOperation, ServerResult } from "../../server/protocol/operation.js";
import { runOperation as runOnStore } from "../../server/store/run-operation.js";
import { configOf } from "./exchange-config.js";
import type { ExchangeWorld } from "./exchange-world.js";
import { type Faults, NO_FAULTS } from "./faults.js";
import { judgeRest } from "./judge-replica.js";
import { answerOf } from "./outsider.js";
import type { Random } from "./random.js";
import type { Session } from "./session.js";
import type { Slot } from "./slot.js";
import { openStaleStream, type StaleStream } from "./stale.js";
import { openWatched, type WatchedExchange } from "./watched-exchange.js";

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
export type ExchangesWorld = Omit<ExchangeWorld, "runOnServer">;

/** Streams whose messages may arrive once more. */
const MOST_KEPT = 12;
/** An exchange that has not ended by then never will. */
const MOST_DELIVERIES = 1500;

/** No streams yet. */
export function createExchanges(world: ExchangesWorld): Exchanges {
  const { judge, server, clock, statistics, trace } = world;
  const live = new Set<Session>();
  const stale = new Set<StaleStream>();
  server.listen((revision) => {
    for (const session of live) if (session.live && !session.gone) session.advanced(revision);
  });
  /** What was sent on earlier streams. */
  const late: { readonly messages: readonly Uint8Array[]; readonly line: number }[] = [];

  function runOnServer(operation: ServerOperation): ServerResult {
    const operations = {
      store: server.store,
      write: (batch: Parameters<typeof server.store.write>[0][number]) => answerOf(server.store.write([batch]))[0],
      newUid: server.newUid,
      nowUs: () => clock.nowUs,
    };
    return answerOf(runOnStore(operations, operation));
  }

  const watchedWorld: ExchangeWorld = { ...world, runOnServer };

  function open(slot: Slot, standard: ChangeStandard, faults: Faults, random: Random, stays: boolean): WatchedExchange {
    replicaGone(slot);
    statistics.count(stays ? "live exchange" : "exchange");
    const exchange = openWatched(watchedWorld, slot, standard, faults, random, stays);
    live.add(exchange.session);
    late.push({ messages: exchange.session.sent, line: server.history.line });
    if (late.length > MOST_KEPT) late.shift();
    return exchange;
  }

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
      const exchange = open(slot, standard, NO_FAULTS, random, false);
      runAll(random, false);
      return exchange.outcome();
    },
    openStale(random) {
      if (late.length === 0) return;
      statistics.count("stale stream");
      const { messages, line } = random.pick(late);
      const prefix = random.chance(0.5) ? messages : messages.slice(0, random.int(1, Math.max(1, messages.length)));
      const config = configOf(world.setup, 0, random, NO_FAULTS);
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
      clock.jumps += 1;
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
