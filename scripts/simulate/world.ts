import type { Resolution } from "../../client/protocol/operation.js";
import { fingerprintOf } from "../../core/fingerprint.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import { resolveLocally, restoreLocally, writeLocally } from "./applications.js";
import { createExchanges, type Exchanges } from "./exchanges.js";
import { faultsOf, NO_FAULTS } from "./faults.js";
import { FEATURES } from "./features.js";
import { createMemoryHosts, type ReplicaFile } from "./hosts.js";
import { createSqliteHosts } from "./hosts-sqlite.js";
import type { CommitJudge } from "./judge-commit.js";
import { judgeEnd } from "./judge-end.js";
import { createHappenings } from "./model-events.js";
import { copyReplicaModel, lookAt, newReplicaModel, type ReplicaModel } from "./model-replica.js";
import { createOutsider } from "./outsider.js";
import { createOutsiderActs } from "./outsider-acts.js";
import type { Setup, Step, StepKind } from "./plan.js";
import { createRandom, type Random } from "./random.js";
import type { Sabotage } from "./sabotage.js";
import { createServerSide } from "./server-side.js";
import type { Slot } from "./slot.js";
import { createStatistics, type Statistics } from "./statistics.js";
import { createWishes, showWanted } from "./wishes.js";

/** How a history is run. */
export interface WorldOptions {
  readonly sabotage?: Sabotage | undefined;
  /** Hears of everything that happens. */
  readonly trace?: ((line: string) => void) | undefined;
}

/** A server, its replicas, and all that befalls them. */
export interface World {
  /** @throws Violation where something came of it that must not be. */
  perform(step: Step): void;
  /** Ends what is under way, brings all sides together in quiet exchanges, and judges the end. */
  finish(): void;
  readonly statistics: Statistics;
  dispose(): void;
}

/** Something was that must not be. */
export class Violation extends Error {
  override readonly name = "Violation";
  readonly rule: string;

  constructor(rule: string, detail: string) {
    super(`${rule}: ${detail}`);
    this.rule = rule;
  }
}

const BEGIN_US = 1_760_000_000_000_000;
const MOST_REPLICAS = 5;
const STANDARDS = [
  ChangeStandard.CHANGE_STANDARD_SERVER,
  ChangeStandard.CHANGE_STANDARD_CLIENT,
  ...(FEATURES.newest ? [ChangeStandard.CHANGE_STANDARD_NEWEST] : []),
];

/** The world as a history begins. */
export function createWorld(setup: Setup, options: WorldOptions): World {
  const { ids } = setup;
  const { sabotage, trace } = options;
  const hosts = setup.sqlite ? createSqliteHosts() : createMemoryHosts();
  const statistics = createStatistics();
  const happenings = createHappenings();
  const clock = { nowUs: BEGIN_US, jumps: 0 };
  let serials = 0;
  let violation: Violation | undefined;
  let thrownAway = false;

  const judge: CommitJudge = {
    happenings,
    fail(rule, detail) {
      trace?.(`!! ${rule}: ${detail}`);
      violation ??= new Violation(rule, detail);
    },
    serial: () => ++serials,
    trace,
    astray: false,
    checked: () => {
      statistics.checks += 1;
    },
  };
  const server = createServerSide(hosts, judge, sabotage);
  const wishes = createWishes(setup, happenings);
  const outsider = createOutsider(judge);
  const outsiderActs = createOutsiderActs({ ids, outsider, server, wishes, clock, trace });
  const slots: Slot[] = [];
  const backups: { readonly file: ReplicaFile; readonly model: ReplicaModel }[] = [];
  for (let index = 0; index < setup.replicas; index++) addSlot();
  const exchanges: Exchanges = createExchanges({
    ids,
    setup,
    judge,
    server,
    clock,
    sabotage,
    statistics,
    trace,
    sqlite: setup.sqlite,
    applicationWrites: (slot, random) => applicationWrites(slot, random),
    resolve,
    serverCrashed: restartServer,
  });
  const beginning = createRandom(ids.length);
  if (setup.prefilled > 0) {
    server.create(clock.nowUs);
    outsiderActs.fill(createRandom(setup.prefilled), ids.slice(0, setup.prefilled));
  } else if (beginning.chance(0.5)) server.create(clock.nowUs);

  function addSlot(file?: ReplicaFile, model?: ReplicaModel): void {
    const number = slots.length + 1;
    const host = file?.open() ?? hosts.replica(Buffer.alloc(16, number));
    slots.push({
      name: `r${number}`,
      host,
      model: model === undefined ? newReplicaModel(host.store, ids) : copyReplicaModel(model),
      skewUs: setup.skews[number % setup.skews.length] as number,
      session: undefined,
      undurable: [],
    });
  }

  function check(): void {
    if (violation !== undefined) throw violation;
  }

  function applicationWrites(slot: Slot, random: Random): void {
    const wanted = wishes.changes(random, slot.name, ids);
    const grouped = FEATURES.groups && wanted.length > 1 && random.chance(0.7);
    trace?.(`  ${slot.name} writes ${showWanted(wanted)}${grouped ? " as one" : ""}`);
    statistics.count("local write");
    slot.undurable = [];
    const watched = { name: slot.name, store: slot.host.store, model: slot.model };
    const sending = slot.session?.sendsAtOnce() === true;
    if (sending) statistics.count("local write that is sent at once");
    writeLocally(judge, watched, ids, wanted, clock.nowUs + slot.skewUs, grouped, sending);
    changed(slot);
  }

  /** The application has changed its replica. */
  function changed(slot: Slot): void {
    if (sabotage?.deaf !== "client") slot.session?.notify();
  }

  /** Everything that is under way comes to its end, or to rest. */
  function settle(random: Random, lingering: boolean): void {
    exchanges.runAll(random, lingering);
    exchanges.judgeDormant(slots);
  }

  /** The application judges a conflict by itself. */
  function resolve(slot: Slot, id: string, random: Random): Resolution {
    statistics.count("conflict judged by the application");
    const kind = random.pick(["mine", "theirs", "held", "merged"] as const);
    if (kind !== "merged") return { kind };
    const content = random.chance(0.8) ? wishes.newContent(random, `${slot.name}-merged`) : undefined;
    const previous = slot.model.pending.get(id);
    const merged = happenings.add({
      id,
      content,
      by: slot.name,
      previous,
      seen: previous?.seen ?? 0,
      base: previous?.base,
      creation: false,
      modifyTimeUs: 0,
      group: 0,
    });
    // Until it is pending it is no more than a wish: the item may have changed meanwhile.
    merged.withdrawn = true;
    const upsert = content === undefined ? undefined : { content, fingerprint: fingerprintOf(id, content) };
    return { kind, upsert };
  }

  function restartServer(): void {
    trace?.("  the server starts anew");
    exchanges.serverGone();
    server.restart();
  }

  function restoreServer(random: Random): void {
    exchanges.serverGone();
    if (!server.restore(random.chance(0.7) ? 0 : random.int(0, 99))) return;
    statistics.count("server restored");
    trace?.(`  the server is restored to revision ${server.history.head}`);
    thrownAway = true;
    outsider.forget();
  }

  function replaceReplica(slot: Slot, random: Random): void {
    if (backups.length === 0) return;
    const { file, model } = random.pick(backups);
    exchanges.replicaGone(slot);
    trace?.(`  ${slot.name} is replaced by a backup at revision ${model.sight.revision}`);
    statistics.count("replica restored");
    thrownAway = true;
    slot.host.dispose();
    slot.host = file.open();
    slot.model = copyReplicaModel(model);
    slot.undurable = [];
  }

  function backUp(slot: Slot): { readonly file: ReplicaFile; readonly model: ReplicaModel } {
    const file = slot.host.snapshot();
    slot.model.sight = lookAt(slot.host.store, ids);
    for (const [id, happening] of slot.model.pending) {
      happening.shared = true;
      if ((slot.model.sight.faces.get(id)?.sendings ?? 0) === 0) happening.copied = true;
    }
    return { file, model: copyReplicaModel(slot.model) };
  }

  function recreate(random: Random): void {
    exchanges.serverGone();
    server.remove();
    statistics.count("collection deleted");
    thrownAway = true;
    outsider.forget();
    if (random.chance(0.5)) server.create(clock.nowUs);
  }

  const perform: Readonly<Record<StepKind, (random: Random, slot: Slot) => void>> = {
    write: (random, slot) => applicationWrites(slot, random),
    exchange(random, slot) {
      const manual = FEATURES.manual && random.chance(0.15);
      const standard = manual ? ChangeStandard.CHANGE_STANDARD_MANUAL : random.pick(STANDARDS);
      exchanges.open(slot, standard, faultsOf(random), random, FEATURES.live && random.chance(0.4));
    },
    "quiet-exchange"(random, slot) {
      exchanges.open(slot, random.pick(STANDARDS), NO_FAULTS, random, FEATURES.live && random.chance(0.3));
      settle(random, random.chance(0.6));
    },
    stale: (random) => exchanges.openStale(random),
    outsider: outsiderActs.act,
    "outsider-burst": outsiderActs.goAndReturn,
    restart() {
      statistics.count("server restarted");
      restartServer();
    },
    "server-backup"() {
      statistics.count("server backed up");
      exchanges.serverGone();
      server.backup();
      server.restart();
    },
    "server-restore": restoreServer,
    "replica-backup"(_random, slot) {
      backups.push(backUp(slot));
    },
    "replica-restore": (random, slot) => replaceReplica(slot, random),
    "replica-copy"(_random, slot) {
      if (slots.length >= MOST_REPLICAS) return;
      const { file, model } = backUp(slot);
      statistics.count("replica copied");
      addSlot(file, model);
    },
    compact(random) {
      statistics.count("compaction");
      server.compact(random.chance(0.5) ? server.history.head : random.int(0, server.history.head));
      trace?.(`  compacted to ${server.history.compacted}`);
    },
    clock(random) {
      clock.nowUs += random.pick([1000, 40_000_000, 40_000_000, 3_600_000_000]);
      exchanges.tick();
    },
    recreate,
    resolve(random, slot) {
      const watched = { name: slot.name, store: slot.host.store, model: slot.model };
      const how = random.pick(["mine", "theirs"] as const);
      slot.undurable = [];
      const nowUs = clock.nowUs + slot.skewUs;
      if (resolveLocally(judge, server.history, watched, ids, how, nowUs, random.int(0, 99))) {
        statistics.count("conflict resolved");
        changed(slot);
      }
    },
    "restore-conflict"(_random, slot) {
      const watched = { name: slot.name, store: slot.host.store, model: slot.model };
      slot.undurable = [];
      if (!restoreLocally(judge, watched, ids, clock.nowUs + slot.skewUs)) return;
      statistics.count("version restored");
      changed(slot);
    },
    leave: (random, slot) => exchanges.leave(slot, random),
    wait: (random) => settle(random, random.chance(0.6)),
  };

  return {
    statistics,
    perform({ kind, seed }) {
      const random = createRandom(seed);
      const slot = random.pick(slots);
      clock.nowUs += 1000;
      trace?.(`${kind} (${slot.name})`);
      perform[kind](random, slot);
      check();
      exchanges.deliver(random, random.int(0, 12));
      check();
    },
    finish() {
      const random = createRandom(ids.length);
      settle(random, false);
      check();
      for (const slot of slots) exchanges.leave(slot, random);
      exchanges.runAll(random, false);
      check();
      judgeEnd({ ids, judge, server, slots, exchanges, random, check, clock, thrownAway, trace });
      check();
    },
    dispose() {
      for (const slot of slots) slot.host.dispose();
      server.dispose();
      hosts.dispose();
    },
  };
}
