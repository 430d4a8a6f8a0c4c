import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { MemoryReplica } from "../../client/replica/memory.js";
import type { ReplicaStore } from "../../client/replica/store.js";
import { fingerprintOf } from "../../core/fingerprint.js";
import { ErrorReason } from "../../gen/tercet/v1/error.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import type { MemoryStore } from "../../server/store/memory.js";
import { runs } from "../runs.js";
import { exchange, type PairOptions } from "./pair.js";
import { clean, elsewhere } from "./together.js";
import { change, contents, newReplica, newStore, now, nowUs, serverContents, serverState } from "./world.js";

const SERVER = ChangeStandard.CHANGE_STANDARD_SERVER;
const CLIENT = ChangeStandard.CHANGE_STANDARD_CLIENT;
const NEWEST = ChangeStandard.CHANGE_STANDARD_NEWEST;
const MANUAL = ChangeStandard.CHANGE_STANDARD_MANUAL;
const LIMITS = { items: 1000, bytes: 1024 * 1024 };

/** One transaction of the application. */
function together(replica: ReplicaStore, changes: Readonly<Record<string, string | null>>): void {
  const writes = Object.entries(changes).map(([id, content]) => {
    return { id, upsert: content === null ? undefined : { content, fingerprint: fingerprintOf(id, content) } };
  });
  replica.write(writes, nowUs(), LIMITS);
}

function world(items: Record<string, string>) {
  const store = newStore();
  const replica = newReplica(1);
  change(replica, items);
  clean(exchange({ store, replica }));
  return { store, replica };
}

function revisionsOf(store: MemoryStore, ids: readonly string[]): (number | undefined)[] {
  const read = now(store.readItems({ uid: serverState(store).uid, ids, maxBytes: 1e6 }));
  return read?.items.map((item) => item?.revision) ?? [];
}

const before = { a: "1", b: "1", c: "1" };
const SIZES: readonly PairOptions["clientLimits"][] = [{}, { eagerBytes: 1 }, { inlineBytes: 1, eagerBytes: 1 }];

describe("a group", () => {
  test("is one commit with one revision, also in a new replica's first exchange", () => {
    for (const clientLimits of SIZES) {
      const { store, replica } = world(before);
      change(replica, { alone: "1" });
      together(replica, { a: "2", b: null, d: "2" });
      clean(exchange({ store, replica, ...(clientLimits === undefined ? {} : { clientLimits }) }));
      const [a, d, alone] = revisionsOf(store, ["a", "d", "alone"]);
      expect(a).toBe(d);
      expect(alone).not.toBe(a);
      expect(serverContents(store)).toEqual({ a: "2", c: "1", d: "2", alone: "1" });
      expect(replica.state().pending).toBe(0);
    }
  });

  test("prevails or gives way whole", () => {
    for (const clientLimits of SIZES) {
      for (const standard of [SERVER, CLIENT]) {
        const { store, replica } = world(before);
        elsewhere(store, { b: "theirs" });
        together(replica, { a: "2", b: "2", new: "2" });
        const { report } = clean(
          exchange({ store, replica, standard, ...(clientLimits === undefined ? {} : { clientLimits }) }),
        );
        expect(report.conflicts.map(({ id }) => id)).toEqual(["b"]);
        const mine = { a: "2", b: "2", c: "1", new: "2" };
        expect(serverContents(store)).toEqual(standard === CLIENT ? mine : { ...before, b: "theirs" });
        expect(contents(replica)).toEqual(serverContents(store));
        expect(replica.state().pending).toBe(0);
        const kept = replica.listConflicts(1e9, 10).map(({ id }) => id);
        expect(kept.sort()).toEqual(standard === CLIENT ? [] : ["a", "b", "new"]);
      }
    }
  });

  test("is judged by its latest time", () => {
    for (const [later, end] of [
      [true, "2"],
      [false, "theirs"],
    ] as const) {
      const { store, replica } = world(before);
      if (!later) together(replica, { a: "2", b: "2" });
      else change(replica, { a: "0" });
      elsewhere(store, { a: "theirs" });
      // The other member is changed after the server's change: the group is newer then.
      if (later) together(replica, { a: "2", b: "2" });
      clean(exchange({ store, replica, standard: NEWEST }));
      expect(serverContents(store)).toEqual({ a: end, b: later ? "2" : "1", c: "1" });
      expect(contents(replica)).toEqual(serverContents(store));
    }
  });

  test("is held whole, and resolved whole", () => {
    for (const how of ["mine", "theirs"] as const) {
      const { store, replica } = world(before);
      elsewhere(store, { b: "theirs" });
      together(replica, { a: "2", b: "2" });
      clean(exchange({ store, replica, standard: MANUAL }));
      expect(replica.state()).toMatchObject({ held: 2, pending: 2 });
      expect(serverContents(store)).toEqual({ ...before, b: "theirs" });
      expect(replica.resolveHeld("a", how, nowUs())).toBe(true);
      clean(exchange({ store, replica, standard: MANUAL }));
      expect(serverContents(store)).toEqual(
        how === "mine" ? { ...before, a: "2", b: "2" } : { ...before, b: "theirs" },
      );
      expect(contents(replica)).toEqual(serverContents(store));
      expect(replica.state()).toMatchObject({ held: 0, pending: 0 });
    }
  });

  test("is rejected whole, and does not hold up others", () => {
    const { store, replica } = world(before);
    together(replica, { a: "2", big: "x".repeat(2000) });
    change(replica, { c: "2" });
    const { report } = clean(
      exchange({ store, replica, serverLimits: { itemBytes: 1000 }, clientLimits: { itemBytes: 5000 } }),
    );
    expect(report.rejected.map(({ id, reason }) => [id, reason]).sort()).toEqual([
      ["a", ErrorReason.ERROR_REASON_GROUP_INVALID],
      ["big", ErrorReason.ERROR_REASON_ITEM_TOO_LARGE],
    ]);
    expect(serverContents(store)).toEqual({ ...before, c: "2" });
    expect(replica.state()).toMatchObject({ pending: 2, rejected: 2 });
  });

  test("goes whole where a member is found to be there already", () => {
    const { store, replica } = world(before);
    together(replica, { a: "2", b: "2" });
    elsewhere(store, { a: "2" });
    const { report } = clean(exchange({ store, replica, standard: SERVER }));
    expect(report.conflictCount).toBe(0);
    expect(serverContents(store)).toEqual({ ...before, a: "2", b: "2" });
    expect(replica.state().pending).toBe(0);
  });

  test("whose member the application changes meanwhile is judged anew", () => {
    const { store, replica } = world(before);
    elsewhere(store, { b: "theirs" });
    together(replica, { a: "2", b: "2" });
    let wrote = false;
    clean(
      exchange({
        store,
        replica,
        standard: SERVER,
        clientLimits: { eagerBytes: 1 },
        beforeClientOperation(kind) {
          if (kind !== "apply" || wrote) return;
          wrote = true;
          change(replica, { a: "3" });
        },
      }),
    );
    expect(contents(replica)).toEqual(serverContents(store));
    const kept = replica.listConflicts(1e9, 10).map(({ number }) => replica.getConflict(number)?.content);
    expect(kept.sort()).toEqual(["2", "3"]);
  });
});

test("a member of a group that gives way falls back to what was just made of it, whenever the group is written", () => {
  let writes = 0;
  for (let round = 0; round < 8 * 12; round++) {
    const { store, replica } = world({ a: "1", x: "1" });
    change(replica, { a: "3" });
    change(replica, { x: "3" });
    // Somebody deletes a: this side's change is in conflict, the one of x is made. Meanwhile both change again, as one.
    const meanwhile = (delivered: number): void => {
      if (delivered === round % 8) elsewhere(store, { a: null });
      if (delivered !== Math.floor(round / 8)) return;
      writes += 1;
      together(replica, { a: "4", x: "4" });
    };
    expect(exchange({ store, replica, meanwhile }).report).toMatchObject({ verified: true, recovery: undefined });
    clean(exchange({ store, replica }));
    expect(contents(replica)).toEqual(serverContents(store));
    expect(replica.audit()).toBeUndefined();
  }
  expect(writes).toBeGreaterThan(30);
});

test("groups stay whole in any history", () => {
  const ids = ["a", "b", "c", "d", "e"];
  const group = fc.uniqueArray(fc.constantFrom(...ids), { minLength: 2, maxLength: 4 });
  const step = fc.record({
    replica: fc.nat(1),
    group,
    standard: fc.constantFrom(SERVER, CLIENT, NEWEST, MANUAL),
    cutAfter: fc.option(fc.nat(10), { nil: undefined }),
    eagerBytes: fc.constantFrom(1, 100_000),
    syncs: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
      const store = newStore();
      const replicas: MemoryReplica[] = [newReplica(1), newReplica(2)];
      /** Revision with which a version of an item first came; another one that prevails again later may bring it once more. */
      const first = new Map<string, number>();
      steps.forEach(({ replica: which, group: members, standard, cutAfter, eagerBytes, syncs }, at) => {
        const replica = replicas[which] as MemoryReplica;
        together(replica, Object.fromEntries(members.map((id) => [id, `${at}`])));
        if (!syncs) return;
        const cut = cutAfter === undefined ? {} : { cutAfter };
        exchange({ store, replica, standard, clientLimits: { eagerBytes }, ...cut });
        // What one transaction wrote has one revision at the server, or is not there.
        const { changes } = now(
          store.readChanges({
            uid: serverState(store).uid,
            after: 0,
            tombstonesAfter: 0,
            maxBytes: 1e9,
            maxChanges: 1e6,
            inlineBytes: 1e6,
          }),
        ) ?? { changes: [] };
        const revisions = new Map<unknown, Set<number>>();
        for (const { id, content, revision } of changes) {
          const version = `${id}=${content}`;
          if (!first.has(version)) first.set(version, revision);
          revisions.set(content, (revisions.get(content) ?? new Set()).add(first.get(version) as number));
        }
        for (const each of revisions.values()) expect(each.size).toBe(1);
      });
      for (let round = 0; round < 2; round++) {
        for (const replica of replicas) clean(exchange({ store, replica, standard: SERVER }));
      }
      for (const replica of replicas) expect(contents(replica)).toEqual(serverContents(store));
    }),
    { numRuns: runs(300) },
  );
});
