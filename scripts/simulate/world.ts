import type { Resolution } from "../../client/protocol/operation.js";
import { fingerprintOf } from "../../core/fingerprint.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import { resolveLocally, restoreLocally, type Wanted, writeLocally } from "./applications.js";
import { createExchanges, type Exchanges } from "./exchanges.js";
import { faultsOf, NO_FAULTS } from "./faults.js";
import { FEATURES } from "./features.js";
import { createMemoryHosts, type ReplicaFile } from "./hosts.js";
import { createSqliteHosts } from "./hosts-sqlite.js";
import type { CommitJudge } from "./judge-commit.js";
import { judgeEnd } from "./judge-end.js";
import type { Told } from "./model-contents.js";
import { createHappenings } from "./model-events.js";
import { copyReplicaModel, lookAt, newReplicaModel, type ReplicaModel } from "./model-replica.js";
import { createOutsider } from "./outsider.js";
import type { Setup, Step, StepKind } from "./plan.js";
import { createRandom, type Random } from "./random.js";
import type { Sabotage } from "./sabotage.js";
import { createServerSide } from "./server-side.js";
import type { Slot } from "./slot.js";
import { createStatistics, type Statistics } from "./statistics.js";

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
  const clock = { nowUs: BEGIN_US };
  let serials = 0;
  let violation: Violation | undefined;
  let contents = 0;
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
  const outsider = createOutsider(judge);
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
  const beginning = createRandom(contents + ids.length);
  if (setup.prefilled > 0) {
    server.create(clock.nowUs);
    outsiderWrites(createRandom(setup.prefilled), ids.slice(0, setup.prefilled), false);
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

  function newContent(random: Random, by: string): string {
    contents += 1;
    const padding = random.chance(setup.largeShare) ? random.int(2000, 7000) : random.pick([0, 0, 20, 60, 400]);
    return `${by}#${contents}|${"x".repeat(padding)}`;
  }

  /** What somebody may want an item to be: mostly something new, at times what it has been before. */
  function wantedContent(random: Random, id: string, by: string): Told {
    if (random.chance(0.25)) return undefined;
    const earlier = random.chance(0.12) ? happenings.all.filter((each) => each.id === id) : [];
    return earlier.length > 0 ? random.pick(earlier).content : newContent(random, by);
  }

  function wantedChanges(random: Random, by: string, from: readonly string[]): readonly Wanted[] {
    const count = random.weighted([
      [6, 1],
      [2, 2],
      [1, 3],
      [0.5, 5],
    ] as const);
    return random.some(from, count).map((id) => ({ id, content: wantedContent(random, id, by) }));
  }

  function applicationWrites(slot: Slot, random: Random): void {
    const wanted = wantedChanges(random, slot.name, ids);
    const grouped = FEATURES.groups && wanted.length > 1 && random.chance(0.7);
    trace?.(`  ${slot.name} writes ${wanted.map(showWanted).join(", ")}${grouped ? " as one" : ""}`);
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
    const content = random.chance(0.8) ? newContent(random, `${slot.name}-merged`) : undefined;
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

  function outsiderWrites(random: Random, from: readonly string[], reads: boolean): void {
    const { uid } = server;
    if (uid === undefined) return;
    outsider.read(server.store, uid, reads ? random.some(ids, 3) : from, server.history);
    if (reads) return;
    const wanted = from.map((id) => ({ id, content: newContent(random, "o") }));
    for (const each of wanted) outsider.write(server.store, uid, [each], clock.nowUs);
  }

  function outsiderActs(random: Random): void {
    const { uid } = server;
    if (uid === undefined) return;
    if (random.chance(0.4)) outsider.read(server.store, uid, random.some(ids, 4), server.history);
    const wanted = wantedChanges(random, "o", ids);
    if (random.chance(0.6))
      outsider.read(
        server.store,
        uid,
        wanted.map(({ id }) => id),
        server.history,
      );
    trace?.(`  the outsider wants ${wanted.map(showWanted).join(", ")}`);
    outsider.write(server.store, uid, wanted, clock.nowUs);
  }

  /** There and back: an item is deleted, and is there again as it was. */
  function outsiderReturns(random: Random): void {
    const { uid } = server;
    const id = random.pick(ids);
    const content = server.history.latest(id)?.content;
    if (uid === undefined || content === undefined) return outsiderActs(random);
    for (const wanted of [undefined, content]) {
      outsider.read(server.store, uid, [id], server.history);
      outsider.write(server.store, uid, [{ id, content: wanted }], clock.nowUs);
    }
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
    outsider: outsiderActs,
    "outsider-burst": outsiderReturns,
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

function showWanted({ id, content }: Wanted): string {
  return `"${id}"=${content === undefined ? "nothing" : content.slice(0, content.indexOf("|"))}`;
}
