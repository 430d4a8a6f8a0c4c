import { describe, expect, it } from "vitest";
import type { Action } from "../../client/replica/action.js";
import { GroupTooLarge, type LocalWrite } from "../../client/replica/local-items.js";
import type { OutgoingQuery } from "../../client/replica/outgoing-batch.js";
import { fingerprintOf } from "../../core/fingerprint.js";
import { compareIds } from "../../core/id.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import { NOW, useReplica } from "./contract-world.js";
import { checkSplit, del, type Harness, put, UID } from "./drive.js";
import { hex, sumOf } from "./model.js";

const CLIENT = ChangeStandard.CHANGE_STANDARD_CLIENT;
const MANUAL = ChangeStandard.CHANGE_STANDARD_MANUAL;
const LIMITS = { items: 4, bytes: 1000 };
const ALL: OutgoingQuery = {
  select: { after: 0, through: Number.MAX_SAFE_INTEGER },
  maxBytes: 1 << 20,
  maxChanges: 5000,
  eager: false,
};

function upsertOf(id: string, content: string) {
  return { content, fingerprint: fingerprintOf(id, content) };
}

function takeText(id: string, content: string, part: Partial<Extract<Action, { kind: "take" }>> = {}): Action {
  const upsert = upsertOf(id, content);
  return { kind: "take", id, sequence: 0, upsert, revision: 3, modifyTimeUs: NOW - 9, conflict: undefined, ...part };
}

/** Atomic groups, held conflicts, recovery and range sums, as every replica must keep them. */
export function describeExchange(name: string, open: () => Harness): void {
  describe(name, () => {
    const world = useReplica(open);

    const write = (...ids: string[]) =>
      world.replica.write(
        ids.map((id) => put(id, `mine ${id}`)),
        NOW,
        LIMITS,
      ).sequences;
    const groupOf = (id: string) => world.stateOf(id).pending?.group?.ids;
    const taken = (query: Partial<OutgoingQuery> = {}) =>
      world.replica.takeOutgoing({ ...ALL, ...query }).changes.map((change) => change.id);
    function hold(id: string, unit = 0): Action {
      const base = { fingerprint: fingerprintOf(id, "theirs"), revision: 8, modifyTimeUs: NOW + 5 };
      const { sequence } = world.stateOf(id);
      return { kind: "rebase", id, sequence, unit, base, content: "theirs", overrides: undefined, held: true };
    }
    it("remembers a change as sent when it is written, and takes it as one that was not sent before", () => {
      const writeAtOnce = (...changes: LocalWrite[]) => world.replica.write(changes, NOW, LIMITS, true).sequences;
      const resent = () => world.replica.takeOutgoing(ALL).changes.map((change) => [change.id, change.resent]);
      const sendings = (id: string) => world.stateOf(id).sendings;
      expect(writeAtOnce(put("a", "1"))).toEqual([1]);
      expect(sendings("a")).toEqual([fingerprintOf("a", "1")]);
      expect(resent()).toEqual([["a", false]]);
      expect(resent()).toEqual([["a", true]]);
      // It may arrive: a later version is not remembered before it is taken.
      expect(writeAtOnce(put("a", "2"))).toEqual([2]);
      expect(sendings("a")).toEqual([fingerprintOf("a", "1")]);
      world.apply({ kind: "settle", id: "a", sequence: 1, fingerprint: fingerprintOf("a", "1"), revision: 1 });
      expect(writeAtOnce(put("a", "3"))).toEqual([3]);
      expect(writeAtOnce(del("a"))).toEqual([4]);
      expect(sendings("a")).toEqual([fingerprintOf("a", "3")]);
      // Neither what is of a group nor what is held nor what changes nothing.
      expect(writeAtOnce(put("b", "1"), put("c", "1"))).toEqual([5, 6]);
      expect(writeAtOnce(put("c", "2"))).toHaveLength(1);
      world.apply(hold("b", 1), hold("c", 1));
      expect(writeAtOnce(put("b", "2"))).toHaveLength(1);
      expect(writeAtOnce(del("unknown"))).toEqual([0]);
      for (const id of ["b", "c", "unknown"]) expect(sendings(id)).toEqual([]);
    });
    it("takes what was just written to be sent as it would take it from what is kept", () => {
      const query = (from: number, through: number) => ({ ...ALL, select: { after: from, through } });
      world.replica.write([put("z", "1")], NOW, LIMITS);
      world.replica.takeOutgoing(ALL);
      const write = (content: string) => world.replica.write([put("a", content)], NOW, LIMITS, true).sequences[0] ?? 0;
      const first = write("1");
      const taken = world.replica.takeOutgoing(query(first - 1, first));
      expect(taken).toMatchObject({ more: false, skipped: false });
      expect(taken.changes).toMatchObject([{ id: "a", sequence: first, resent: false, upsert: { content: "1" } }]);
      expect(world.replica.takeOutgoing(query(first - 1, first)).changes).toMatchObject([{ id: "a", resent: true }]);
      world.apply({ kind: "settle", id: "a", sequence: first, fingerprint: fingerprintOf("a", "1"), revision: 1 });
      // What has happened since is seen.
      const second = write("2");
      world.apply({ kind: "agree", id: "a", sequence: second, revision: 2 });
      expect(world.replica.takeOutgoing(query(second - 1, second)).changes).toEqual([]);
      const third = write("3");
      world.replica.write([put("a", "4")], NOW, LIMITS);
      expect(world.replica.takeOutgoing(query(third - 1, third)).changes).toEqual([]);
      expect(world.replica.takeOutgoing(query(third, third + 1)).changes).toMatchObject([{ id: "a", resent: true }]);
    });
    it("takes what was remembered as sent for sent once another exchange has begun, also in the file", () => {
      world.replica.write([put("a", "1")], NOW, LIMITS, true);
      world.reopen();
      world.replica.begin();
      expect(world.replica.takeOutgoing({ ...ALL, eager: true })).toEqual({ changes: [], more: false, skipped: true });
      expect(world.replica.takeOutgoing(ALL).changes).toMatchObject([{ id: "a", resent: true }]);
    });
    it("leaves a change that could not be written as it was, though it was to be sent", () => {
      const [sequence] = world.replica.write([put("a", "1")], NOW, LIMITS, true).sequences;
      world.replica.takeOutgoing(ALL);
      world.replica.write([put("b", "1"), put("c", "1")], NOW, LIMITS);
      expect(() => world.replica.write([put("b", "x".repeat(3000))], NOW, { items: 1, bytes: 10 }, true)).toThrow(
        GroupTooLarge,
      );
      expect(world.replica.write([put("a", "2")], NOW, LIMITS).sequences).toEqual([(sequence ?? 0) + 3]);
      expect(world.replica.takeOutgoing({ ...ALL, select: { ids: ["a"] } }).changes).toMatchObject([{ resent: true }]);
    });
    it("takes what is new in many at once, and leaves what is known", () => {
      const ids = Array.from({ length: 700 }, (_, at) => `id ${(at * 7919) % 700}`);
      const known = ids.filter((_, at) => at % 7 === 3);
      const mine = ids.filter((_, at) => at % 31 === 5);
      const gone = ids.slice(50, 51);
      world.apply(...[...known, ...gone].map((id) => takeText(id, "known")));
      world.replica.write([...mine.map((id) => put(id, "mine")), ...gone.map(del)], NOW);
      const before = world.replica.state().items;
      const { stale, total } = world.apply(...ids.map((id) => takeText(id, "theirs", { onlyNew: true })));
      const others = new Set([...known, ...mine, ...gone]);
      expect([...stale].sort()).toEqual([...others].sort());
      expect(world.replica.state().items).toBe(before + ids.length - others.size);
      for (const id of ids) {
        const kept = mine.includes(id) ? "mine" : known.includes(id) ? "known" : "theirs";
        expect(world.replica.get(id)?.content).toBe(gone.includes(id) ? undefined : kept);
      }
      expect(hex(total.sum)).toBe(hex(world.replica.sumRanges([{ from: "", to: undefined }])[0]?.sum));
      expect(world.replica.audit()).toBeUndefined();
    });

    it("makes one transaction a group, and groups that share an item one", () => {
      expect(write("a", "b")).toEqual([1, 2]);
      expect(write("c")).toEqual([3]);
      expect([groupOf("a"), groupOf("c")]).toEqual([["a", "b"], undefined]);
      expect(world.replica.write([put("b", "2"), put("d", "1"), del("unknown")], NOW, LIMITS).sequences).toEqual([
        7, 8, 0,
      ]);
      world.reopen();
      expect(groupOf("d")).toEqual(["a", "b", "d"]);
      expect(world.replica.listPending(0, 9).map(({ id, sequence }) => [id, sequence])).toEqual([
        ["c", 3],
        ["a", 6],
        ["b", 7],
        ["d", 8],
      ]);
      // A plain write of a member brings its group along.
      expect(world.replica.write([put("a", "3")], NOW).sequences).toEqual([12]);
      expect(world.replica.listPending(0, 9).map(({ id }) => id)).toEqual(["c", "b", "d", "a"]);
      expect(world.stateOf("b").pending?.group?.latestUs).toBe(world.stateOf("a").pending?.modifyTimeUs);
      // What returns to its base leaves, but ties what was written with it.
      world.replica.write([del("a"), put("e", "1")], NOW, LIMITS);
      expect(groupOf("e")).toEqual(["b", "d", "e"]);
      expect(world.replica.audit()).toBeUndefined();
    });

    it("refuses a group that is too large, and nothing of it is there", () => {
      write("a", "b", "c");
      const before = [world.replica.state(), world.replica.listPending(0, 9)];
      expect(() => world.replica.write([put("a", "2"), put("e", "1"), put("f", "1")], NOW, LIMITS)).toThrow(
        GroupTooLarge,
      );
      expect(() => world.replica.write([put("x", "y".repeat(900)), put("z", "1")], NOW, LIMITS)).toThrow(GroupTooLarge);
      expect(world.replica.get("x")).toBeUndefined();
      expect([world.replica.state(), world.replica.listPending(0, 9)]).toEqual(before);
      world.reopen();
      expect(world.replica.audit()).toBeUndefined();
      // One item is no group, however large.
      expect(world.replica.write([put("x", "y".repeat(2000))], NOW, LIMITS).sequences).toEqual([4]);
    });

    it("lets what is left of a group become larger than a group may be", () => {
      write("a", "b");
      world.replica.write([del("b")], NOW, LIMITS);
      world.replica.write([put("a", "y".repeat(2000))], NOW, LIMITS);
      world.reopen();
      expect([groupOf("a"), taken()]).toEqual([undefined, ["a"]]);
      expect(world.replica.audit()).toBeUndefined();
    });

    it("refuses to resolve with what makes a group too large", () => {
      world.apply(takeText("a", "base"), takeText("b", "base"));
      world.replica.write([put("a", "mine"), put("b", "mine")], NOW, LIMITS);
      world.apply(hold("a", 1), hold("b", 1));
      const before = [world.replica.state(), world.replica.listPending(0, 9)];
      const large = { merged: upsertOf("a", "y".repeat(900)) };
      expect(() => world.replica.resolveHeld("a", large, NOW, LIMITS)).toThrow(GroupTooLarge);
      expect([world.replica.state(), world.replica.listPending(0, 9)]).toEqual(before);
      world.reopen();
      expect(world.replica.audit()).toBeUndefined();
      expect(world.replica.resolveHeld("a", { merged: upsertOf("a", "y".repeat(700)) }, NOW, LIMITS)).toBe(true);
    });

    it("takes a group whole or not at all", () => {
      write("a", "b", "c");
      write("d");
      expect(taken({ maxChanges: 2 })).toEqual(["a", "b", "c"]);
      expect(taken({ maxChanges: 2, eager: true })).toEqual(["d"]);
      write("e", "f");
      expect(taken({ select: { ids: ["f", "d"] } })).toEqual(["e", "f", "d"]);
      const keys = world.replica.takeOutgoing(ALL).changes.map((change) => change.group);
      expect(keys).toEqual([3, 3, 3, 0, 6, 6]);
      // A member that was sent keeps its group out of what is eager.
      world.replica.write([put("g", "1"), put("a", "2")], NOW, LIMITS);
      const eager = world.replica.takeOutgoing({ ...ALL, eager: true });
      expect(eager).toMatchObject({ changes: [], more: false, skipped: true });
      expect(world.stateOf("b").sendings.map(hex)).toEqual([hex(fingerprintOf("b", "mine b"))]);
      expect(world.replica.listUnsettledCreations(0, 3).map((state) => state.id)).toEqual(["d", "e", "f"]);
    });

    it("holds what is in conflict: neither sent, nor in the way", () => {
      world.apply(takeText("a", "base"));
      expect(world.stateOf("a")).toMatchObject({ modifyTimeUs: NOW - 9, base: { modifyTimeUs: NOW - 9 } });
      write("a", "b");
      write("c");
      world.apply(hold("a"));
      world.reopen();
      expect(world.replica.state()).toMatchObject({ pending: 3, held: 1 });
      expect(world.replica.takeOutgoing(ALL)).toMatchObject({ changes: [{ id: "c" }], more: false, skipped: false });
      expect(world.replica.takeOutgoing({ ...ALL, eager: true, select: { ids: ["b"] } }).skipped).toBe(false);
      world.replica.write([put("a", "mine, later")], NOW + 7);
      const theirs = { theirsRevision: 8, theirsTimeUs: NOW + 5, mineTimeUs: NOW + 7 };
      expect(world.replica.listHeld("", 9)).toMatchObject([{ id: "a", ...theirs }]);
      expect(world.replica.getBaseContent("a")).toBe("theirs");
      expect(world.replica.listHeld("a", 9)).toEqual([]);
      // Both sides are the same then.
      world.replica.write([put("a", "theirs")], NOW + 8);
      expect(world.replica.get("a")).toMatchObject({ pending: false, modifyTimeUs: NOW + 5 });
      expect(world.replica.state()).toMatchObject({ pending: 2, held: 0 });
      expect(taken()).toEqual(["c", "b"]);
    });

    it("resolves what is held, with its group", () => {
      world.apply(takeText("a", "base"), takeText("b", "base"));
      for (const how of ["mine", "theirs", { merged: upsertOf("a", "both") }] as const) {
        world.replica.write([put("a", "mine"), put("b", "mine")], NOW, LIMITS);
        world.apply(hold("a", 1), hold("b", 1));
        expect(world.replica.resolveHeld("nothing", how, NOW)).toBe(false);
        expect(world.replica.resolveHeld("a", how, NOW)).toBe(true);
        expect(world.replica.resolveHeld("b", how, NOW)).toBe(false);
        world.reopen();
        const changes = world.replica.takeOutgoing(ALL).changes.map(({ id, upsert, overrides }) => {
          return [id, upsert?.content, overrides];
        });
        const mine = [["a", how === "mine" ? "mine" : "both", MANUAL] as const, ["b", "mine", MANUAL] as const];
        expect(changes).toEqual(how === "theirs" ? [] : mine);
        expect(world.replica.get("b")?.content).toBe(how === "theirs" ? "theirs" : "mine");
        for (const id of ["a", "b"]) {
          const { sequence } = world.stateOf(id);
          world.apply(takeText(id, "base", { sequence, revision: 20 }));
        }
      }
      const records = world.replica.listConflicts(99, 99).map(({ id, standard }) => [id, standard]);
      expect(records).toEqual([
        ["a", MANUAL],
        ["b", MANUAL],
        ["a", MANUAL],
      ]);
      expect(world.replica.pruneConflicts(NOW)).toBe(0);
      expect(world.replica.pruneConflicts(NOW + 1)).toBe(3);
      expect(world.replica.state()).toMatchObject({ conflicts: 0, held: 0, pending: 0 });
    });

    it("makes all of a unit or nothing, whatever stands between", () => {
      write("a", "b");
      const take = (id: string, sequence: number) => takeText(id, "theirs", { sequence, unit: 1 });
      const fresh = Array.from({ length: 5 }, (_, n) => takeText(`new-${n}`, "1"));
      expect(world.apply(take("a", 1), ...fresh, take("b", 9)).stale).toEqual(["a", "b"]);
      expect(world.replica.state()).toMatchObject({ items: 7, pending: 2 });
      expect(world.apply(take("a", 1), takeText("x", "1"), take("b", 2)).stale).toEqual([]);
      expect(world.replica.state()).toMatchObject({ items: 8, pending: 0 });
    });

    it("merges a conflict into a change of its own, which stays in its group", () => {
      write("a", "b");
      world.replica.takeOutgoing(ALL);
      const base = { fingerprint: fingerprintOf("a", "theirs"), revision: 9, modifyTimeUs: NOW };
      const onto = { base, content: "theirs", overrides: CLIENT, modifyTimeUs: NOW + 3 };
      const merge: Action = { kind: "merge", id: "a", sequence: 1, upsert: upsertOf("a", "both"), ...onto };
      expect(world.apply(merge).conflicts).toEqual([1]);
      expect(world.replica.getConflict(1)).toMatchObject({ content: "mine a", standard: CLIENT });
      const [a, b] = world.replica.takeOutgoing(ALL).changes;
      expect(a).toMatchObject({ id: "a", overrides: CLIENT, resent: false, modifyTimeUs: NOW + 3, group: b?.group });
      expect(b).toMatchObject({ id: "b", resent: true });
      expect(() => world.apply({ ...merge, id: "clean", sequence: 0 })).toThrow("merge of the clean item");
    });

    it("offers back what the server lost, and keeps in a record what a clean item was", () => {
      world.apply(takeText("a", "1", { revision: 50 }), takeText("b", "1", { revision: 40 }), takeText("c", "1"));
      const none = { sequence: 0, base: undefined, content: undefined, overrides: undefined };
      const { conflicts } = world.apply(
        { kind: "offer", id: "a", ...none },
        { kind: "offer", id: "unknown", ...none },
        takeText("b", "2", { revision: 12, conflict: CLIENT }),
        takeText("c", "1", { revision: 12, conflict: CLIENT }),
      );
      expect(conflicts.map((number) => world.replica.getConflict(number)?.content)).toEqual(["1"]);
      expect(world.replica.state()).toMatchObject({ pending: 1, total: { count: 2 } });
      expect(taken()).toEqual(["a"]);
      expect(world.apply({ kind: "offer", id: "a", ...none }).stale).toEqual(["a"]);
    });

    it("goes over to another collection only where that is wanted", () => {
      const opened = { collectionUid: UID, lineage: [], settings: Buffer.alloc(0) };
      world.replica.apply({ actions: [], nowUs: NOW, opened });
      const other = { ...opened, collectionUid: Buffer.alloc(16, 8) };
      expect(() => world.replica.apply({ actions: [], nowUs: NOW, opened: other })).toThrow("belongs to collection");
      world.replica.apply({ actions: [], nowUs: NOW, opened: { ...other, rebind: true } });
      expect(hex(world.replica.state().collectionUid)).toBe("08".repeat(16));
    });

    it("knows what any range of bases comes to, among many that are pending", () => {
      const ids = Array.from({ length: 3000 }, (_, n) => `item-${(n * 7919) % 3000}`);
      world.apply(...ids.slice(0, 1200).map((id) => takeText(id, "1")));
      world.replica.write(
        ids.slice(800).map((id) => put(id, "2")),
        NOW,
      );
      const settles = world.replica
        .takeOutgoing({ ...ALL, maxChanges: 700 })
        .changes.map(({ id, sequence, upsert }) => {
          return { kind: "settle" as const, id, sequence, fingerprint: upsert?.fingerprint, revision: 60 };
        });
      world.apply(...settles);
      world.apply(...ids.slice(0, 300).map((id) => ({ ...takeText(id, "1"), upsert: undefined }) as Action));
      world.reopen();
      const states = [...world.replica.lookup(ids)].sort((a, b) => compareIds(a.id, b.id));
      const bases = states.flatMap(({ id, base }) =>
        base?.fingerprint === undefined ? [] : [[id, base.fingerprint] as const],
      );
      expect(bases).toHaveLength(1200);
      for (const [from, to] of [
        ["", undefined],
        ["item-2", "item-25"],
        ["item-1000", "item-11"],
        ["x", undefined],
      ] as const) {
        const inside = bases.filter(
          ([id]) => compareIds(id, from) >= 0 && (to === undefined || compareIds(id, to) < 0),
        );
        const [total] = world.replica.sumRanges([{ from, to }]);
        expect([total?.count, hex(total?.sum)]).toEqual([
          inside.length,
          sumOf(inside.map(([, print]) => hex(print) ?? "")),
        ]);
        const listed = world.replica.listBases({ from, to }, 5).map(({ id, fingerprint }) => [id, hex(fingerprint)]);
        expect(listed).toEqual(inside.slice(0, 5).map(([id, print]) => [id, hex(print)]));
        for (const parts of [2, 4, 16]) checkSplit(world.replica, { from, to }, parts);
      }
      expect(world.replica.audit()).toBeUndefined();
    });
  });
}
