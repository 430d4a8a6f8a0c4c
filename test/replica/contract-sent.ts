import { describe, expect, it } from "vitest";
import type { Action } from "../../client/replica/action.js";
import { fingerprintOf } from "../../core/fingerprint.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import { ALL, NOW, rebase, takeText, useReplica } from "./contract-world.js";
import { del, type Harness, put } from "./drive.js";
import { hex, TOO_LARGE } from "./model.js";

const CLIENT = ChangeStandard.CHANGE_STANDARD_CLIENT;

/** What was sent and what verdicts come on it, as every replica must keep it. */
export function describeSent(name: string, open: () => Harness): void {
  describe(name, () => {
    const world = useReplica(open);

    it("remembers what was sent, and only that", () => {
      world.replica.write([put("a", "1"), put("b", "1"), put("c", "1")], NOW);
      const first = world.replica.takeOutgoing({ ...ALL, maxChanges: 2 });
      expect(first).toMatchObject({ more: true, changes: [{ id: "a" }, { id: "b" }] });
      expect(["a", "b", "c"].map((id) => world.sendingsOf(id).length)).toEqual([1, 1, 0]);
      // By ids, past one that was never taken: that one must not count as sent.
      world.replica.write([put("d", "1")], NOW);
      expect(world.replica.takeOutgoing({ ...ALL, select: { ids: ["d", "nothing"] } }).changes).toHaveLength(1);
      world.reopen();
      expect(["a", "b", "c", "d"].map((id) => world.sendingsOf(id).length)).toEqual([1, 1, 0, 1]);
      world.replica.write([put("a", "2")], NOW);
      expect(world.sendingsOf("a")).toEqual([hex(fingerprintOf("a", "1"))]);
      const again = world.replica.takeOutgoing(ALL);
      expect(again.changes.map(({ id, resent }) => [id, resent])).toEqual([
        ["b", true],
        ["c", false],
        ["d", true],
        ["a", true],
      ]);
      expect(world.sendingsOf("a")).toHaveLength(2);
    });

    it("takes eagerly what was never sent, all of it or nothing", () => {
      world.replica.write([put("a", "1"), put("b", "1")], NOW);
      expect(world.replica.takeOutgoing({ ...ALL, eager: true, maxChanges: 1 })).toEqual({
        changes: [],
        more: true,
        skipped: false,
      });
      expect(world.sendingsOf("a")).toEqual([]);
      expect(world.replica.takeOutgoing({ ...ALL, eager: true })).toMatchObject({ more: false, skipped: false });
      world.replica.write([put("a", "2"), put("c", "1")], NOW);
      const batch = world.replica.takeOutgoing({ ...ALL, eager: true });
      expect(batch.changes.map((change) => change.id)).toEqual(["c"]);
      expect(batch.skipped).toBe(true);
      // A comparison settles what was sent.
      world.apply(rebase({ id: "a", sequence: world.sequenceOf("a"), base: { fingerprint: undefined, revision: 3 } }));
      expect(world.replica.takeOutgoing({ ...ALL, eager: true }).changes.map((change) => change.id)).toEqual(["a"]);
    });

    it("takes eagerly what a verdict or a comparison settled, among much that waits", () => {
      world.replica.write([put("a", "1"), put("b", "1"), put("c", "1"), put("d", "1")], NOW);
      world.replica.takeOutgoing(ALL);
      world.apply(rebase({ id: "b", sequence: 2, base: { fingerprint: undefined, revision: 3 } }));
      world.apply({ kind: "reject", id: "c", sequence: 3, reason: TOO_LARGE, message: "too large", resent: false });
      world.replica.write([put("d", "2"), put("e", "1")], NOW);
      world.replica.takeOutgoing(ALL);
      // Now b and c were sent again, and d in both its versions.
      world.apply(rebase({ id: "b", sequence: 2, base: { fingerprint: undefined, revision: 4 } }));
      world.apply({ kind: "reject", id: "d", sequence: 5, reason: TOO_LARGE, message: "too large", resent: false });
      world.reopen();
      expect(["a", "b", "c", "d", "e"].map((id) => world.sendingsOf(id).length)).toEqual([1, 0, 1, 1, 1]);
      const batch = world.replica.takeOutgoing({ ...ALL, eager: true });
      expect(batch.changes.map((change) => change.id)).toEqual(["b"]);
      expect(batch.skipped).toBe(true);
      expect(world.sendingsOf("b")).toHaveLength(1);
    });

    it("ends a batch by its bytes, but takes one change however large", () => {
      world.replica.write([put("a", "x".repeat(1000)), put("b", "x".repeat(35)), put("c", "")], NOW);
      const ids = (maxBytes: number, eager = false) =>
        world.replica.takeOutgoing({ ...ALL, maxBytes, eager }).changes.map((change) => change.id);
      expect(ids(10)).toEqual(["a"]);
      expect(ids(1065 + 99)).toEqual(["a"]);
      expect(ids(1065 + 100)).toEqual(["a", "b"]);
      expect(ids(1065 + 100 + 65)).toEqual(["a", "b", "c"]);
    });

    it("settles a verdict on what still is pending, and moves the base under what was changed since", () => {
      world.replica.write([put("a", "1"), put("b", "1")], NOW);
      const [a, b] = world.replica.takeOutgoing(ALL).changes;
      world.replica.write([put("b", "2")], NOW);
      const verdict = (of: typeof a, revision: number): Action => {
        if (of === undefined) throw new Error("was not taken");
        return { kind: "settle", id: of.id, sequence: of.sequence, fingerprint: of.upsert?.fingerprint, revision };
      };
      expect(world.apply(verdict(a, 7), verdict(b, 8)).stale).toEqual([]);
      expect(world.stateOf("a")).toMatchObject({ sequence: 0, base: { revision: 7 } });
      expect(world.stateOf("b")).toMatchObject({ base: { revision: 8 }, sendings: [] });
      expect(hex(world.stateOf("b").base?.fingerprint)).toBe(hex(fingerprintOf("b", "1")));
      expect(world.replica.state().total.count).toBe(2);
      const before = world.replica.state();
      world.apply(verdict(a, 9), verdict(b, 8), verdict(b, 2));
      expect(world.replica.state()).toEqual(before);
    });

    it("leaves a sending unsettled that came after the one with the verdict", () => {
      world.replica.write([put("a", "1")], NOW);
      const [first] = world.replica.takeOutgoing(ALL).changes;
      world.replica.write([put("a", "2")], NOW);
      world.replica.takeOutgoing(ALL);
      world.replica.write([put("a", "3")], NOW);
      expect(world.sendingsOf("a")).toHaveLength(2);
      const fingerprint = fingerprintOf("a", "1");
      world.apply({ kind: "settle", id: "a", sequence: first?.sequence ?? 0, fingerprint, revision: 5 });
      expect(world.sendingsOf("a")).toEqual([hex(fingerprintOf("a", "2"))]);
    });

    it("knows a version that was sent twice by when it was sent last", () => {
      const sequences: number[] = [];
      for (const text of ["1", "2", "1", "3"]) {
        world.replica.write([put("a", text)], NOW);
        const [change] = world.replica.takeOutgoing(ALL).changes;
        sequences.push(change?.sequence ?? 0);
      }
      const verdict = { kind: "settle" as const, id: "a", fingerprint: fingerprintOf("a", "2"), revision: 5 };
      world.apply({ ...verdict, sequence: sequences[1] ?? 0 });
      const left = ["1", "3"].map((text) => hex(fingerprintOf("a", text)));
      expect(world.sendingsOf("a").sort()).toEqual(left.sort());
    });

    it("settles many verdicts as it does one", () => {
      const ids = Array.from({ length: 150 }, (_, index) => `item-${index}`);
      world.apply(...ids.slice(0, 50).map((id) => takeText(id, "base", { revision: 5 })));
      world.replica.write(
        [...ids.slice(0, 140).map((id) => put(id, "1")), ...ids.slice(140).map((id) => put(id, "1"))],
        NOW,
      );
      world.replica.write(
        ids.slice(10, 20).map((id) => del(id)),
        NOW,
      );
      const first = world.replica.takeOutgoing(ALL).changes;
      world.replica.write(
        ids.slice(5, 15).map((id) => put(id, "2")),
        NOW,
      );
      world.replica.takeOutgoing(ALL);
      world.apply({
        kind: "reject",
        id: "item-30",
        sequence: world.sequenceOf("item-30"),
        reason: TOO_LARGE,
        message: "no",
        resent: false,
      });
      const settles = first.map(({ id, sequence, upsert }, index): Action => {
        const revision = id === "item-40" ? 4 : 100 + index;
        return { kind: "settle", id, sequence, fingerprint: upsert?.fingerprint, revision };
      });
      expect(world.apply(...settles).stale).toEqual([]);
      // Changed since: still pending; a verdict older than the base: nothing; all others clean.
      expect(world.replica.listPending(0, 200).map((change) => change.id)).toEqual(["item-40", ...ids.slice(5, 15)]);
      expect(world.replica.state()).toMatchObject({ items: 145, pending: 11, rejected: 0 });
      expect(world.stateOf("item-20").base?.revision).toBeGreaterThan(99);
      expect(world.replica.audit()).toBeUndefined();
      const second = world.replica.lookup(ids.slice(5, 15)).map(({ id, sequence }): Action => {
        return { kind: "settle", id, sequence, fingerprint: fingerprintOf(id, "2"), revision: 1000 };
      });
      world.apply(...second);
      expect(world.replica.state()).toMatchObject({ items: 145, pending: 1, total: { count: 145 } });
      expect(world.replica.lookup(ids).flatMap((state) => state.sendings)).toHaveLength(1);
      expect(world.replica.audit()).toBeUndefined();
    });

    it("forgets older sendings with the verdict on a later one, for good", () => {
      const settles: Action[] = [];
      for (const id of ["a", "b"]) {
        world.replica.write([put(id, "1")], NOW);
        world.replica.takeOutgoing(ALL);
        world.replica.write([put(id, "2")], NOW);
        world.replica.takeOutgoing(ALL);
        const fingerprint = fingerprintOf(id, "2");
        settles.push({ kind: "settle", id, sequence: world.sequenceOf(id), fingerprint, revision: 5 });
      }
      world.apply(...settles);
      world.replica.write([put("a", "3")], NOW);
      world.replica.takeOutgoing(ALL);
      world.replica.write([put("a", "4")], NOW);
      expect(world.sendingsOf("a")).toEqual([hex(fingerprintOf("a", "3"))]);
    });

    it("overrides nothing any more once a version of it was made", () => {
      world.replica.write([put("a", "1")], NOW);
      const base = { fingerprint: fingerprintOf("a", "theirs"), revision: 5 };
      world.apply(rebase({ id: "a", sequence: 1, base, overrides: CLIENT }));
      expect(world.replica.takeOutgoing(ALL).changes[0]?.overrides).toBe(CLIENT);
      world.replica.write([put("a", "2")], NOW);
      world.apply({ kind: "settle", id: "a", sequence: 1, fingerprint: fingerprintOf("a", "1"), revision: 6 });
      expect(world.replica.takeOutgoing(ALL).changes[0]?.overrides).toBeUndefined();
      world.replica.write([put("a", "1")], NOW);
      expect(world.sequenceOf("a")).toBeGreaterThan(0);
    });

    it("cleans a change that repeats its base, though the server gives it no new revision", () => {
      world.apply(takeText("a", "base", { revision: 4 }));
      world.replica.write([put("a", "1")], NOW);
      world.replica.takeOutgoing(ALL);
      world.replica.write([put("a", "base")], NOW);
      const sequence = world.sequenceOf("a");
      expect(sequence).toBeGreaterThan(0);
      world.apply({ kind: "settle", id: "a", sequence, fingerprint: fingerprintOf("a", "base"), revision: 4 });
      expect(world.stateOf("a")).toMatchObject({ sequence: 0, base: { revision: 4 }, sendings: [] });
      expect(world.replica.audit()).toBeUndefined();
    });

    it("cleans such a change also where a recovery says that its base is of a later revision", () => {
      world.apply(takeText("a", "base", { revision: 5 }));
      world.replica.write([put("a", "1")], NOW);
      world.replica.takeOutgoing(ALL);
      world.replica.write([put("a", "base")], NOW);
      const recovered = { token: Buffer.from("r"), revision: 9, lineage: [], fork: 3 };
      world.replica.apply({ actions: [], nowUs: NOW, recovered });
      const sequence = world.sequenceOf("a");
      world.apply({ kind: "settle", id: "a", sequence, fingerprint: fingerprintOf("a", "base"), revision: 5 });
      expect(world.stateOf("a")).toMatchObject({ sequence: 0, base: { revision: 9 } });
      expect(world.replica.state().pending).toBe(0);
      expect(world.replica.audit()).toBeUndefined();
    });

    it("marks what was rejected, out of the others' way, until it is written again", () => {
      world.replica.write([put("a", "1"), put("b", "1")], NOW);
      world.replica.takeOutgoing(ALL);
      world.apply({ kind: "reject", id: "a", sequence: 1, reason: TOO_LARGE, message: "too large", resent: false });
      world.apply({
        kind: "reject",
        id: "b",
        sequence: 1,
        reason: TOO_LARGE,
        message: "another change",
        resent: false,
      });
      expect(world.replica.state().rejected).toBe(1);
      const [a, b] = world.replica.listPending(0, 10);
      expect([a?.rejected, b?.rejected]).toEqual([{ reason: TOO_LARGE, message: "too large" }, undefined]);
      expect(world.sendingsOf("a")).toEqual([]);
      world.replica.write([put("a", "2")], NOW);
      expect(world.replica.state().rejected).toBe(0);
      expect(world.replica.listPending(1, 10).map((change) => [change.id, change.sequence])).toEqual([
        ["b", 2],
        ["a", 3],
      ]);
    });

    it("does not take a rejection for the end of an earlier sending of the same version", () => {
      world.apply(takeText("a", "base", { revision: 4 }), takeText("b", "base", { revision: 4 }));
      world.replica.write([put("a", "1"), put("b", "1")], NOW);
      // Of a nothing comes back, the connection is cut; so it is sent once more.
      const all = (ids: string[]) => world.replica.takeOutgoing({ ...ALL, select: { ids } }).changes;
      expect(all(["a"]).map((change) => change.resent)).toEqual([false]);
      const rejections = all(["a", "b"]).map(({ id, sequence, resent }): Action => {
        return { kind: "reject", id, sequence, reason: TOO_LARGE, message: "no", resent };
      });
      expect(rejections).toMatchObject([{ resent: true }, { resent: false }]);
      world.apply(...rejections);
      expect(world.replica.state()).toMatchObject({ pending: 2, rejected: 2 });
      expect([world.sendingsOf("a"), world.sendingsOf("b")]).toEqual([[hex(fingerprintOf("a", "1"))], []]);
      world.reopen();
      const eager = world.replica.takeOutgoing({ ...ALL, eager: true, select: { ids: ["a"] } });
      expect(eager).toEqual({ changes: [], more: false, skipped: true });
      // Back to the base: where the first sending may still arrive, that has to be pushed (as a fence).
      world.replica.write([put("a", "base"), put("b", "base")], NOW);
      expect(world.replica.state()).toMatchObject({ pending: 1, rejected: 0 });
      expect(world.sequenceOf("a")).toBeGreaterThan(0);
      expect(world.sendingsOf("a")).toEqual([hex(fingerprintOf("a", "1"))]);
      expect(world.stateOf("b")).toMatchObject({ sequence: 0, base: { revision: 4 }, sendings: [] });
      expect(all(["a"]).map((change) => change.resent)).toEqual([true]);
      expect(world.replica.audit()).toBeUndefined();
    });

    it("does not bring back by a rejection a sending that was settled meanwhile", () => {
      world.replica.write([put("a", "1")], NOW);
      world.replica.takeOutgoing(ALL);
      world.replica.takeOutgoing(ALL);
      world.apply(rebase({ id: "a", sequence: 1, base: { fingerprint: undefined, revision: 3 } }));
      world.apply({ kind: "reject", id: "a", sequence: 1, reason: TOO_LARGE, message: "no", resent: true });
      expect(world.sendingsOf("a")).toEqual([]);
    });

    it("answers an override and where it stands in what it takes", () => {
      world.apply(takeText("a", "base", { revision: 2 }));
      world.replica.write([put("a", "mine")], NOW);
      const theirs = fingerprintOf("a", "theirs");
      const base = { fingerprint: theirs, revision: 5 };
      world.apply(rebase({ id: "a", sequence: 1, base, content: "theirs", overrides: CLIENT }));
      expect(world.replica.getBaseContent("a")).toBe("theirs");
      world.replica.write([put("a", "mine, later")], NOW + 7);
      const [change] = world.replica.takeOutgoing(ALL).changes;
      expect(change).toMatchObject({ overrides: CLIENT, base: { revision: 5 }, modifyTimeUs: NOW + 7, resent: false });
      expect(change?.upsert).toMatchObject({ content: "mine, later", size: 11 });
      expect(hex(change?.base?.fingerprint)).toBe(hex(theirs));
    });
  });
}
