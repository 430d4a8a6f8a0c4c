import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Action, OutgoingQuery, ReplicaStore } from "../../client/replica/store.js";
import { fingerprintOf } from "../../core/fingerprint.js";
import { compareIds } from "../../core/id.js";
import { StorageError } from "../../core/storage-error.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import { runs } from "../runs.js";
import { CONTENTS, del, drive, type Harness, IDS, put, steps, UID } from "./drive.js";
import { hex, TOO_LARGE } from "./model.js";

const NOW = 1_700_000_000_000_000;
const SERVER = ChangeStandard.CHANGE_STANDARD_SERVER;
const CLIENT = ChangeStandard.CHANGE_STANDARD_CLIENT;
const ALL: OutgoingQuery = {
  select: { after: 0, through: Number.MAX_SAFE_INTEGER },
  maxBytes: 1 << 20,
  maxChanges: 1000,
  eager: false,
};

const isEmpty = (bytes: Uint8Array) => bytes.length === 0;

type Part<K extends Action["kind"]> = Partial<Extract<Action, { kind: K }>> & { id: string };

function take(part: Part<"take">): Action {
  return { kind: "take", sequence: 0, upsert: undefined, revision: 1, modifyTimeUs: NOW, conflict: undefined, ...part };
}

function takeText(id: string, text: string, part: Partial<Part<"take">> = {}): Action {
  return take({ id, upsert: { content: text, fingerprint: fingerprintOf(id, text) }, ...part });
}

type Base = { fingerprint: Uint8Array | undefined; revision: number };

function rebase({ base, ...part }: Omit<Part<"rebase">, "base"> & { id: string; base: Base }): Action {
  const onto = { modifyTimeUs: NOW, ...base };
  return { kind: "rebase", sequence: 0, content: undefined, overrides: undefined, base: onto, ...part };
}

/** Everything that a replica must keep, whatever it is made of. */
export function describeReplica(name: string, open: () => Harness): void {
  describe(name, () => {
    let harness: Harness;
    let replica: ReplicaStore;
    beforeEach(() => {
      harness = open();
      replica = harness.replica();
    });
    afterEach(() => harness.dispose());

    function apply(...actions: Action[]) {
      return replica.apply({ actions, nowUs: NOW });
    }
    function stateOf(id: string) {
      const [state] = replica.lookup([id]);
      if (state === undefined) throw new Error("no answer");
      return state;
    }
    const sequenceOf = (id: string) => stateOf(id).sequence;
    const sendingsOf = (id: string) => stateOf(id).sendings.map(hex);

    it("does what the model does, whatever comes in whatever order", () => {
      fc.assert(
        fc.property(steps, fc.integer({ min: 1, max: 9 }), (script, reopenEvery) => {
          const one = open();
          try {
            drive(script, [one], reopenEvery);
          } finally {
            one.dispose();
          }
        }),
        { numRuns: runs(100) },
      );
    });

    it("is empty at first and knows whose it is", () => {
      const { collection, replicaId, ...rest } = replica.state();
      expect(collection).toBe("c");
      expect(hex(replicaId)).toBe("01".repeat(16));
      expect(rest).toMatchObject({ items: 0, pending: 0, lastSequence: 0, revision: 0, lineage: [] });
      expect(rest.token.length + rest.settings.length + rest.collectionUid.length).toBe(0);
      expect(rest.total).toEqual({ count: 0, sum: expect.anything() });
      expect(hex(rest.total.sum)).toBe("00".repeat(32));
      expect(replica.get("a")).toBeUndefined();
    });

    it("gives contents back as they came: text as text, bytes as bytes, NULs and nothing at all included", () => {
      for (const content of CONTENTS) {
        replica.write([put("a", content)], NOW);
        apply(takeText("b", ""), take({ id: "b", upsert: { content, fingerprint: fingerprintOf("b", content) } }));
        harness.reopen();
        replica = harness.replica();
        for (const id of ["a", "b"]) {
          // Where only the kind differs, the first one stays: it is the same content.
          const got = replica.get(id)?.content;
          expect(Buffer.from(got as string)).toEqual(Buffer.from(content as string));
        }
        expect(typeof replica.get("b")?.content).toBe(typeof content);
        replica.write([del("a")], NOW);
        expect(replica.get("a")).toBeUndefined();
      }
    });

    it("lists in the order of UTF-8 bytes, by prefix, and goes on after an id", () => {
      replica.write(
        [...IDS].reverse().map((id) => put(id, "x")),
        NOW,
      );
      const sorted = [...IDS].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      expect(sorted).toEqual([...IDS].sort(compareIds));
      const ids = (prefix: string, after: string, limit: number) =>
        replica.list({ prefix, after, limit }).map((item) => item.id);
      expect(ids("", "", 100)).toEqual(sorted);
      expect(ids("a", "", 100)).toEqual(["a", "a/", "a/b", "a\u{ffff}", "a\u{10000}"]);
      expect(ids("a", "a/", 2)).toEqual(["a/b", "a\u{ffff}"]);
      expect(ids("a/", "", 100)).toEqual(["a/", "a/b"]);
      expect(ids("a/", "b", 100)).toEqual([]);
      expect(ids("b", "a", 100)).toEqual(["b"]);
      expect(ids("\u{d7ff}", "", 100)).toEqual(["\u{d7ff}"]);
      expect(ids("c", "", 100)).toEqual([]);
      // After it in bytes, before it in UTF-16.
      expect(ids("\u{e000}", "\u{1f600}", 100)).toEqual([]);
      const paged: string[] = [];
      for (let page = ids("", "", 2); page.length > 0; page = ids("", page.at(-1) ?? "", 2)) paged.push(...page);
      expect(paged).toEqual(sorted);
    });

    it("gives all changes of a write one modify time, later than all before", () => {
      replica.write([put("a", "1"), put("b", "1")], NOW);
      expect([replica.get("a")?.modifyTimeUs, replica.get("b")?.modifyTimeUs]).toEqual([NOW, NOW]);
      replica.write([put("a", "2")], NOW - 5_000_000);
      expect(replica.get("a")?.modifyTimeUs).toBe(NOW + 1);
      apply(takeText("c", "1", { modifyTimeUs: NOW + 30_000_000 }));
      replica.write([put("a", "3")], NOW);
      expect(replica.get("a")?.modifyTimeUs).toBe(NOW + 30_000_001);
      // A clock gone wild does not take ours with it, by more than a minute.
      apply(takeText("d", "1", { modifyTimeUs: NOW + 1e12 }));
      replica.write([put("a", "4")], NOW);
      expect(replica.get("a")?.modifyTimeUs).toBe(NOW + 60_000_001);
    });

    it("takes a write that changes nothing for none", () => {
      replica.write([put("a", "1")], NOW);
      const before = replica.state();
      replica.write([put("a", "1"), put("a2", "1"), del("a2x"), del("unknown")], NOW + 5);
      expect(replica.state().lastSequence).toBe(before.lastSequence + 1);
      replica.write([put("a", Buffer.from("1"))], NOW + 9);
      expect(sequenceOf("a")).toBe(1);
      expect(replica.get("a")?.content).toBe("1");
    });

    it("forgets a change that returns to its base, unless something of it may still arrive", () => {
      apply(takeText("a", "base", { revision: 4 }));
      replica.write([put("a", "mine")], NOW);
      replica.write([put("a", "base")], NOW);
      expect(stateOf("a")).toMatchObject({ sequence: 0, base: { revision: 4 } });
      replica.write([put("new", "1")], NOW);
      replica.write([del("new")], NOW);
      expect(stateOf("new")).toEqual({
        id: "new",
        sequence: 0,
        pending: undefined,
        modifyTimeUs: 0,
        base: undefined,
        sendings: [],
      });
      replica.write([put("a", "mine"), put("new", "1")], NOW);
      replica.takeOutgoing(ALL);
      replica.write([put("a", "base"), del("new")], NOW);
      expect(sequenceOf("a")).toBeGreaterThan(0);
      expect(stateOf("new")).toMatchObject({ pending: { fingerprint: undefined }, base: undefined });
      expect(sendingsOf("new")).toEqual([hex(fingerprintOf("new", "1"))]);
      expect(replica.audit()).toBeUndefined();
    });

    it("remembers what was sent, and only that", () => {
      replica.write([put("a", "1"), put("b", "1"), put("c", "1")], NOW);
      const first = replica.takeOutgoing({ ...ALL, maxChanges: 2 });
      expect(first).toMatchObject({ more: true, changes: [{ id: "a" }, { id: "b" }] });
      expect(["a", "b", "c"].map((id) => sendingsOf(id).length)).toEqual([1, 1, 0]);
      // By ids, past one that was never taken: that one must not count as sent.
      replica.write([put("d", "1")], NOW);
      expect(replica.takeOutgoing({ ...ALL, select: { ids: ["d", "nothing"] } }).changes).toHaveLength(1);
      harness.reopen();
      replica = harness.replica();
      expect(["a", "b", "c", "d"].map((id) => sendingsOf(id).length)).toEqual([1, 1, 0, 1]);
      replica.write([put("a", "2")], NOW);
      expect(sendingsOf("a")).toEqual([hex(fingerprintOf("a", "1"))]);
      const again = replica.takeOutgoing(ALL);
      expect(again.changes.map(({ id, resent }) => [id, resent])).toEqual([
        ["b", true],
        ["c", false],
        ["d", true],
        ["a", true],
      ]);
      expect(sendingsOf("a")).toHaveLength(2);
    });

    it("takes eagerly what was never sent, all of it or nothing", () => {
      replica.write([put("a", "1"), put("b", "1")], NOW);
      expect(replica.takeOutgoing({ ...ALL, eager: true, maxChanges: 1 })).toEqual({
        changes: [],
        more: true,
        skipped: false,
      });
      expect(sendingsOf("a")).toEqual([]);
      expect(replica.takeOutgoing({ ...ALL, eager: true })).toMatchObject({ more: false, skipped: false });
      replica.write([put("a", "2"), put("c", "1")], NOW);
      const batch = replica.takeOutgoing({ ...ALL, eager: true });
      expect(batch.changes.map((change) => change.id)).toEqual(["c"]);
      expect(batch.skipped).toBe(true);
      // A comparison settles what was sent.
      apply(rebase({ id: "a", sequence: sequenceOf("a"), base: { fingerprint: undefined, revision: 3 } }));
      expect(replica.takeOutgoing({ ...ALL, eager: true }).changes.map((change) => change.id)).toEqual(["a"]);
    });

    it("takes eagerly what a verdict or a comparison settled, among much that waits", () => {
      replica.write([put("a", "1"), put("b", "1"), put("c", "1"), put("d", "1")], NOW);
      replica.takeOutgoing(ALL);
      apply(rebase({ id: "b", sequence: 2, base: { fingerprint: undefined, revision: 3 } }));
      apply({ kind: "reject", id: "c", sequence: 3, reason: TOO_LARGE, message: "too large", resent: false });
      replica.write([put("d", "2"), put("e", "1")], NOW);
      replica.takeOutgoing(ALL);
      // Now b and c were sent again, and d in both its versions.
      apply(rebase({ id: "b", sequence: 2, base: { fingerprint: undefined, revision: 4 } }));
      apply({ kind: "reject", id: "d", sequence: 5, reason: TOO_LARGE, message: "too large", resent: false });
      harness.reopen();
      replica = harness.replica();
      expect(["a", "b", "c", "d", "e"].map((id) => sendingsOf(id).length)).toEqual([1, 0, 1, 1, 1]);
      const batch = replica.takeOutgoing({ ...ALL, eager: true });
      expect(batch.changes.map((change) => change.id)).toEqual(["b"]);
      expect(batch.skipped).toBe(true);
      expect(sendingsOf("b")).toHaveLength(1);
    });

    it("ends a batch by its bytes, but takes one change however large", () => {
      replica.write([put("a", "x".repeat(1000)), put("b", "x".repeat(35)), put("c", "")], NOW);
      const ids = (maxBytes: number, eager = false) =>
        replica.takeOutgoing({ ...ALL, maxBytes, eager }).changes.map((change) => change.id);
      expect(ids(10)).toEqual(["a"]);
      expect(ids(1065 + 99)).toEqual(["a"]);
      expect(ids(1065 + 100)).toEqual(["a", "b"]);
      expect(ids(1065 + 100 + 65)).toEqual(["a", "b", "c"]);
    });

    it("keeps the base and its content while a change is pending", () => {
      apply(takeText("a", "base", { revision: 4 }));
      replica.write([put("a", "1")], NOW);
      replica.write([put("a", "2")], NOW);
      replica.write([del("a")], NOW);
      expect(replica.getBaseContent("a")).toBe("base");
      expect(replica.getBaseContent("unknown")).toBeUndefined();
      expect(hex(stateOf("a").base?.fingerprint)).toBe(hex(fingerprintOf("a", "base")));
      expect(replica.state().total.count).toBe(1);
    });

    it("settles a verdict on what still is pending, and moves the base under what was changed since", () => {
      replica.write([put("a", "1"), put("b", "1")], NOW);
      const [a, b] = replica.takeOutgoing(ALL).changes;
      replica.write([put("b", "2")], NOW);
      const verdict = (of: typeof a, revision: number): Action => {
        if (of === undefined) throw new Error("was not taken");
        return { kind: "settle", id: of.id, sequence: of.sequence, fingerprint: of.upsert?.fingerprint, revision };
      };
      expect(apply(verdict(a, 7), verdict(b, 8)).stale).toEqual([]);
      expect(stateOf("a")).toMatchObject({ sequence: 0, base: { revision: 7 } });
      expect(stateOf("b")).toMatchObject({ base: { revision: 8 }, sendings: [] });
      expect(hex(stateOf("b").base?.fingerprint)).toBe(hex(fingerprintOf("b", "1")));
      expect(replica.state().total.count).toBe(2);
      const before = replica.state();
      apply(verdict(a, 9), verdict(b, 8), verdict(b, 2));
      expect(replica.state()).toEqual(before);
    });

    it("leaves a sending unsettled that came after the one with the verdict", () => {
      replica.write([put("a", "1")], NOW);
      const [first] = replica.takeOutgoing(ALL).changes;
      replica.write([put("a", "2")], NOW);
      replica.takeOutgoing(ALL);
      replica.write([put("a", "3")], NOW);
      expect(sendingsOf("a")).toHaveLength(2);
      const fingerprint = fingerprintOf("a", "1");
      apply({ kind: "settle", id: "a", sequence: first?.sequence ?? 0, fingerprint, revision: 5 });
      expect(sendingsOf("a")).toEqual([hex(fingerprintOf("a", "2"))]);
    });

    it("knows a version that was sent twice by when it was sent last", () => {
      const sequences: number[] = [];
      for (const text of ["1", "2", "1", "3"]) {
        replica.write([put("a", text)], NOW);
        const [change] = replica.takeOutgoing(ALL).changes;
        sequences.push(change?.sequence ?? 0);
      }
      const verdict = { kind: "settle" as const, id: "a", fingerprint: fingerprintOf("a", "2"), revision: 5 };
      apply({ ...verdict, sequence: sequences[1] ?? 0 });
      const left = ["1", "3"].map((text) => hex(fingerprintOf("a", text)));
      expect(sendingsOf("a").sort()).toEqual(left.sort());
    });

    it("settles many verdicts as it does one", () => {
      const ids = Array.from({ length: 150 }, (_, index) => `item-${index}`);
      apply(...ids.slice(0, 50).map((id) => takeText(id, "base", { revision: 5 })));
      replica.write([...ids.slice(0, 140).map((id) => put(id, "1")), ...ids.slice(140).map((id) => put(id, "1"))], NOW);
      replica.write(
        ids.slice(10, 20).map((id) => del(id)),
        NOW,
      );
      const first = replica.takeOutgoing(ALL).changes;
      replica.write(
        ids.slice(5, 15).map((id) => put(id, "2")),
        NOW,
      );
      replica.takeOutgoing(ALL);
      apply({
        kind: "reject",
        id: "item-30",
        sequence: sequenceOf("item-30"),
        reason: TOO_LARGE,
        message: "no",
        resent: false,
      });
      const settles = first.map(({ id, sequence, upsert }, index): Action => {
        const revision = id === "item-40" ? 4 : 100 + index;
        return { kind: "settle", id, sequence, fingerprint: upsert?.fingerprint, revision };
      });
      expect(apply(...settles).stale).toEqual([]);
      // Changed since: still pending; a verdict older than the base: nothing; all others clean.
      expect(replica.listPending(0, 200).map((change) => change.id)).toEqual(["item-40", ...ids.slice(5, 15)]);
      expect(replica.state()).toMatchObject({ items: 145, pending: 11, rejected: 0 });
      expect(stateOf("item-20").base?.revision).toBeGreaterThan(99);
      expect(replica.audit()).toBeUndefined();
      const second = replica.lookup(ids.slice(5, 15)).map(({ id, sequence }): Action => {
        return { kind: "settle", id, sequence, fingerprint: fingerprintOf(id, "2"), revision: 1000 };
      });
      apply(...second);
      expect(replica.state()).toMatchObject({ items: 145, pending: 1, total: { count: 145 } });
      expect(replica.lookup(ids).flatMap((state) => state.sendings)).toHaveLength(1);
      expect(replica.audit()).toBeUndefined();
    });

    it("forgets older sendings with the verdict on a later one, for good", () => {
      const settles: Action[] = [];
      for (const id of ["a", "b"]) {
        replica.write([put(id, "1")], NOW);
        replica.takeOutgoing(ALL);
        replica.write([put(id, "2")], NOW);
        replica.takeOutgoing(ALL);
        const fingerprint = fingerprintOf(id, "2");
        settles.push({ kind: "settle", id, sequence: sequenceOf(id), fingerprint, revision: 5 });
      }
      apply(...settles);
      replica.write([put("a", "3")], NOW);
      replica.takeOutgoing(ALL);
      replica.write([put("a", "4")], NOW);
      expect(sendingsOf("a")).toEqual([hex(fingerprintOf("a", "3"))]);
    });

    it("overrides nothing any more once a version of it was made", () => {
      replica.write([put("a", "1")], NOW);
      const base = { fingerprint: fingerprintOf("a", "theirs"), revision: 5 };
      apply(rebase({ id: "a", sequence: 1, base, overrides: CLIENT }));
      expect(replica.takeOutgoing(ALL).changes[0]?.overrides).toBe(CLIENT);
      replica.write([put("a", "2")], NOW);
      apply({ kind: "settle", id: "a", sequence: 1, fingerprint: fingerprintOf("a", "1"), revision: 6 });
      expect(replica.takeOutgoing(ALL).changes[0]?.overrides).toBeUndefined();
      replica.write([put("a", "1")], NOW);
      expect(sequenceOf("a")).toBeGreaterThan(0);
    });

    it("cleans a change that repeats its base, though the server gives it no new revision", () => {
      apply(takeText("a", "base", { revision: 4 }));
      replica.write([put("a", "1")], NOW);
      replica.takeOutgoing(ALL);
      replica.write([put("a", "base")], NOW);
      const sequence = sequenceOf("a");
      expect(sequence).toBeGreaterThan(0);
      apply({ kind: "settle", id: "a", sequence, fingerprint: fingerprintOf("a", "base"), revision: 4 });
      expect(stateOf("a")).toMatchObject({ sequence: 0, base: { revision: 4 }, sendings: [] });
      expect(replica.audit()).toBeUndefined();
    });

    it("marks what was rejected, out of the others' way, until it is written again", () => {
      replica.write([put("a", "1"), put("b", "1")], NOW);
      replica.takeOutgoing(ALL);
      apply({ kind: "reject", id: "a", sequence: 1, reason: TOO_LARGE, message: "too large", resent: false });
      apply({ kind: "reject", id: "b", sequence: 1, reason: TOO_LARGE, message: "another change", resent: false });
      expect(replica.state().rejected).toBe(1);
      const [a, b] = replica.listPending(0, 10);
      expect([a?.rejected, b?.rejected]).toEqual([{ reason: TOO_LARGE, message: "too large" }, undefined]);
      expect(sendingsOf("a")).toEqual([]);
      replica.write([put("a", "2")], NOW);
      expect(replica.state().rejected).toBe(0);
      expect(replica.listPending(1, 10).map((change) => [change.id, change.sequence])).toEqual([
        ["b", 2],
        ["a", 3],
      ]);
    });

    it("does not take a rejection for the end of an earlier sending of the same version", () => {
      apply(takeText("a", "base", { revision: 4 }), takeText("b", "base", { revision: 4 }));
      replica.write([put("a", "1"), put("b", "1")], NOW);
      // Of a nothing comes back, the connection is cut; so it is sent once more.
      const all = (ids: string[]) => replica.takeOutgoing({ ...ALL, select: { ids } }).changes;
      expect(all(["a"]).map((change) => change.resent)).toEqual([false]);
      const rejections = all(["a", "b"]).map(({ id, sequence, resent }): Action => {
        return { kind: "reject", id, sequence, reason: TOO_LARGE, message: "no", resent };
      });
      expect(rejections).toMatchObject([{ resent: true }, { resent: false }]);
      apply(...rejections);
      expect(replica.state()).toMatchObject({ pending: 2, rejected: 2 });
      expect([sendingsOf("a"), sendingsOf("b")]).toEqual([[hex(fingerprintOf("a", "1"))], []]);
      harness.reopen();
      replica = harness.replica();
      const eager = replica.takeOutgoing({ ...ALL, eager: true, select: { ids: ["a"] } });
      expect(eager).toEqual({ changes: [], more: false, skipped: true });
      // Back to the base: where the first sending may still arrive, that has to be pushed (as a fence).
      replica.write([put("a", "base"), put("b", "base")], NOW);
      expect(replica.state()).toMatchObject({ pending: 1, rejected: 0 });
      expect(sequenceOf("a")).toBeGreaterThan(0);
      expect(sendingsOf("a")).toEqual([hex(fingerprintOf("a", "1"))]);
      expect(stateOf("b")).toMatchObject({ sequence: 0, base: { revision: 4 }, sendings: [] });
      expect(all(["a"]).map((change) => change.resent)).toEqual([true]);
      expect(replica.audit()).toBeUndefined();
    });

    it("does not bring back by a rejection a sending that was settled meanwhile", () => {
      replica.write([put("a", "1")], NOW);
      replica.takeOutgoing(ALL);
      replica.takeOutgoing(ALL);
      apply(rebase({ id: "a", sequence: 1, base: { fingerprint: undefined, revision: 3 } }));
      apply({ kind: "reject", id: "a", sequence: 1, reason: TOO_LARGE, message: "no", resent: true });
      expect(sendingsOf("a")).toEqual([]);
    });

    it("keeps what gives way in a record, and brings it back", () => {
      replica.write([put("a", "mine"), put("b", "mine")], NOW);
      apply(takeText("gone", "x"));
      replica.write([del("gone")], NOW + 1);
      const took = apply(
        takeText("a", "theirs", { sequence: sequenceOf("a"), conflict: SERVER }),
        take({ id: "b", sequence: sequenceOf("b"), conflict: SERVER, revision: 2 }),
        takeText("gone", "theirs", { sequence: sequenceOf("gone"), conflict: SERVER }),
        takeText("clean", "x", { conflict: SERVER }),
      );
      expect(took.conflicts).toEqual([1, 2, 3]);
      expect(replica.listConflicts(3, 10).map(({ number, id, size, content }) => [number, id, size, content])).toEqual([
        [2, "b", 4, undefined],
        [1, "a", 4, undefined],
      ]);
      expect(replica.getConflict(1)?.content).toBe("mine");
      expect(replica.getConflict(3)).toMatchObject({ fingerprint: undefined, content: undefined, size: 0 });
      expect(replica.get("a")).toMatchObject({ content: "theirs", pending: false });
      expect(replica.settleConflict(1, true, NOW)).toBe(true);
      expect(replica.get("a")).toMatchObject({ content: "mine", pending: true });
      expect(replica.settleConflict(3, true, NOW)).toBe(true);
      expect(replica.get("gone")).toBeUndefined();
      expect(replica.settleConflict(2, false, NOW)).toBe(true);
      expect(replica.settleConflict(2, true, NOW)).toBe(false);
      expect(replica.state()).toMatchObject({ conflicts: 0, pending: 2 });
      // Numbers are not given out again.
      expect(apply(takeText("a", "x", { sequence: sequenceOf("a"), conflict: SERVER })).conflicts).toEqual([4]);
    });

    it("names by an audit what has another content than its fingerprint says, a hundred at most", () => {
      const damage = (id: string) => ({ content: "damaged", fingerprint: fingerprintOf(id, "whole") });
      replica.write([put("a", "1"), { id: "b", upsert: damage("b") }], NOW);
      apply(take({ id: "c", upsert: damage("c") }), takeText("d", "2"));
      // What is no longer there is no damage.
      apply(take({ id: "e", upsert: damage("e") }));
      replica.write([del("e")], NOW);
      expect(replica.audit()).toEqual({ damaged: expect.any(Array), damagedCount: 2, total: undefined, ranges: true });
      expect([...(replica.audit()?.damaged ?? [])].sort()).toEqual(["b", "c"]);
      const many = Array.from({ length: 150 }, (_, n) => `many-${n}`);
      replica.write(
        many.map((id) => ({ id, upsert: damage(id) })),
        NOW,
      );
      expect(replica.audit()?.damagedCount).toBe(152);
      expect(new Set(replica.audit()?.damaged).size).toBe(100);
    });

    it("keeps a pending change that a restored version replaces in a record of its own, be it a deletion or a content", () => {
      replica.write([put("a", "first"), put("b", "first")], NOW);
      apply(
        takeText("a", "theirs", { sequence: sequenceOf("a"), conflict: SERVER }),
        takeText("b", "theirs", { sequence: sequenceOf("b"), conflict: SERVER }),
      );
      replica.write([put("a", "newer"), del("b")], NOW + 5);
      const restored = (id: string) => hex(fingerprintOf(id, "first"));
      expect(replica.settleConflict(1, true, NOW + 9)).toBe(true);
      expect(replica.settleConflict(2, true, NOW + 9)).toBe(true);
      expect(replica.get("a")?.content).toBe("first");
      expect(replica.get("b")?.content).toBe("first");
      const [newer, deletion] = [replica.getConflict(3), replica.getConflict(4)];
      const times = { modifyTimeUs: NOW + 5, recordTimeUs: NOW + 9, standard: 0 };
      expect(newer).toMatchObject({ id: "a", content: "newer", size: 5, ...times });
      expect(deletion).toMatchObject({ id: "b", content: undefined, fingerprint: undefined, size: 0, ...times });
      expect([newer, deletion].map((record) => hex(record?.prevailed))).toEqual([restored("a"), restored("b")]);
      expect(replica.state()).toMatchObject({ conflicts: 2, pending: 2 });
      // Back again: the versions change places, and none is lost.
      expect(replica.settleConflict(3, true, NOW + 10)).toBe(true);
      expect(replica.get("a")?.content).toBe("newer");
      expect(replica.getConflict(5)?.content).toBe("first");
      expect(replica.audit()).toBeUndefined();
    });

    it("makes no record where the version restored is what is pending, or nothing is", () => {
      replica.write([put("a", "first"), put("b", "first")], NOW);
      apply(
        takeText("a", "theirs", { sequence: sequenceOf("a"), conflict: SERVER }),
        takeText("b", "theirs", { sequence: sequenceOf("b"), conflict: SERVER }),
      );
      replica.write([put("a", "first")], NOW);
      expect(replica.settleConflict(1, true, NOW)).toBe(true);
      expect(replica.settleConflict(2, true, NOW)).toBe(true);
      expect(replica.state()).toMatchObject({ conflicts: 0, pending: 2 });
    });

    it("does nothing with stale actions, and stores no checkpoint then", () => {
      replica.write([put("a", "1")], NOW);
      const checkpoint = { token: Buffer.from("t"), revision: 9 };
      const actions = [takeText("a", "theirs"), takeText("b", "theirs"), takeText("a", "theirs", { sequence: 5 })];
      expect(replica.apply({ actions, nowUs: NOW, checkpoint }).stale).toEqual(["a", "a"]);
      expect(replica.get("a")?.content).toBe("1");
      expect(replica.get("b")?.content).toBe("theirs");
      expect(replica.state().revision).toBe(0);
      replica.apply({ actions: [takeText("a", "theirs", { sequence: 1 })], nowUs: NOW, checkpoint });
      expect(replica.state()).toMatchObject({ revision: 9, pending: 0 });
    });

    it("remembers the latest revision that it heard of, only forward, until a checkpoint reaches it", () => {
      const at = (revision: number, name = "heard") => ({ token: Buffer.from(`${name} ${revision}`), revision });
      const hear = (part: { witness?: ReturnType<typeof at>; checkpoint?: ReturnType<typeof at> }) => {
        expect(replica.apply({ actions: [], nowUs: NOW, ...part }).stale).toEqual([]);
        const { witness, witnessRevision, revision } = replica.state();
        return [Buffer.from(witness).toString(), witnessRevision, revision];
      };
      expect(replica.state()).toMatchObject({ witness: expect.toSatisfy(isEmpty), witnessRevision: 0 });
      expect(hear({ witness: at(5) })).toEqual(["heard 5", 5, 0]);
      expect(hear({ witness: at(4) })).toEqual(["heard 5", 5, 0]);
      expect(hear({ witness: at(5, "again") })).toEqual(["heard 5", 5, 0]);
      expect(hear({ witness: at(8) })).toEqual(["heard 8", 8, 0]);
      expect(hear({ checkpoint: at(7) })).toEqual(["heard 8", 8, 7]);
      replica.flush();
      harness.reopen();
      replica = harness.replica();
      expect(hear({})).toEqual(["heard 8", 8, 7]);
      expect(hear({ checkpoint: at(8) })).toEqual(["", 0, 8]);
      expect(hear({ witness: at(8) })).toEqual(["", 0, 8]);
      expect(hear({ witness: at(3) })).toEqual(["", 0, 8]);
      // Both at once.
      expect(hear({ witness: at(12), checkpoint: at(10) })).toEqual(["heard 12", 12, 10]);
      expect(hear({ witness: at(13), checkpoint: at(14) })).toEqual(["", 0, 14]);
      harness.reopen();
      replica = harness.replica();
      expect(hear({})).toEqual(["", 0, 14]);
    });

    it("keeps what it heard of with a batch whose checkpoint must come again", () => {
      replica.write([put("a", "1")], NOW);
      const witness = { token: Buffer.from("heard"), revision: 7 };
      const checkpoint = { token: Buffer.from("t"), revision: 9 };
      const actions = [takeText("a", "theirs")];
      expect(replica.apply({ actions, nowUs: NOW, checkpoint, witness }).stale).toEqual(["a"]);
      harness.reopen();
      replica = harness.replica();
      expect(replica.state()).toMatchObject({ revision: 0, witnessRevision: 7 });
      expect(hex(replica.state().witness)).toBe(hex(witness.token));
      replica.apply({ actions: [takeText("a", "theirs", { sequence: 1 })], nowUs: NOW, checkpoint });
      expect(replica.state()).toMatchObject({ revision: 9, witnessRevision: 0 });
    });

    it("keeps nothing of what it heard of with a batch that fails", () => {
      const wrong = rebase({ id: "a", base: { fingerprint: fingerprintOf("a", "2"), revision: 8 } });
      const witness = { token: Buffer.from("heard"), revision: 7 };
      expect(() => replica.apply({ actions: [wrong], nowUs: NOW, witness })).toThrow("rebase of the clean item");
      expect(replica.state().witnessRevision).toBe(0);
    });

    it("moves a clean item to a new revision, and knows of nothing where there is no item", () => {
      apply(takeText("a", "1"));
      const fingerprint = fingerprintOf("a", "1");
      const { total } = replica.state();
      apply(rebase({ id: "a", base: { fingerprint, revision: 8 } }));
      apply(rebase({ id: "none", base: { fingerprint: undefined, revision: 8 } }));
      apply({ kind: "agree", id: "none", sequence: 0, revision: 8 });
      expect(stateOf("a").base?.revision).toBe(8);
      expect(stateOf("none").base).toBeUndefined();
      expect(replica.state().total).toEqual(total);
    });

    it("throws for a rebase that would tear a clean item from its content, and stores nothing of the batch", () => {
      replica.write([put("p", "1")], NOW);
      const before = replica.state();
      const wrong = rebase({ id: "a", base: { fingerprint: fingerprintOf("a", "2"), revision: 8 } });
      const first = takeText("p", "theirs", { sequence: 1, conflict: SERVER });
      expect(() => apply(first, takeText("a", "1"), takeText("b", "1"), wrong)).toThrow("rebase of the clean item");
      expect(replica.state()).toEqual(before);
      expect(replica.get("a")).toBeUndefined();
      expect(replica.get("p")).toMatchObject({ content: "1", pending: true });
      expect(replica.listConflicts(10, 10)).toEqual([]);
      expect(replica.audit()).toBeUndefined();
    });

    it("keeps what the server's first message says, and belongs to one collection", () => {
      const lineage = [
        { id: Buffer.alloc(8, 1), firstRevision: 1 },
        { id: Buffer.alloc(8, 2), firstRevision: 2 ** 40 },
      ];
      const opened = { collectionUid: UID, lineage, settings: Buffer.from([8, 1]) };
      replica.apply({ actions: [], nowUs: NOW, opened });
      harness.reopen();
      replica = harness.replica();
      const state = replica.state();
      expect(state.lineage.map((epoch) => [hex(epoch.id), epoch.firstRevision])).toEqual([
        ["01".repeat(8), 1],
        ["02".repeat(8), 2 ** 40],
      ]);
      expect([hex(state.collectionUid), hex(state.settings)]).toEqual([hex(UID), "0801"]);
      const other = { ...opened, collectionUid: Buffer.alloc(16, 8) };
      const foreign = () => replica.apply({ actions: [takeText("a", "1")], nowUs: NOW, opened: other });
      expect(foreign).toThrow(StorageError);
      expect(foreign).toThrow(expect.objectContaining({ kind: "foreign" }));
      expect(replica.get("a")).toBeUndefined();
      replica.apply({ actions: [], nowUs: NOW, opened: { ...opened, lineage: lineage.slice(1) } });
      expect(replica.state().lineage).toHaveLength(1);
    });

    it("keeps to the rules with many items at once as with one", () => {
      const ids = Array.from({ length: 700 }, (_, index) => `item-${index}`);
      replica.write([put("item-3", "mine"), put("item-500", "mine"), put("item-699", "mine")], NOW);
      apply(...ids.slice(0, 5).map((id) => takeText(id, "old")));
      const pulled = ids.map((id, index) => takeText(id, `theirs ${index}`, { revision: index + 10 }));
      const again = [takeText("item-0", "twice", { revision: 900 }), take({ id: "item-1", revision: 901 })];
      expect(apply(...pulled, ...again).stale).toEqual(["item-3", "item-500", "item-699"]);
      expect(replica.state()).toMatchObject({ items: 699, pending: 3, total: { count: 696 } });
      expect(replica.get("item-0")?.content).toBe("twice");
      expect(replica.audit()).toBeUndefined();
      replica.write([...ids.map((id) => put(id, "pushed")), ...ids.map((id) => put(`more-${id}`, "pushed"))], NOW);
      expect(replica.state()).toMatchObject({ items: 1400, pending: 1400 });
      expect(replica.listPending(0, 2000).map((change) => change.id)).toEqual([
        ...ids,
        ...ids.map((id) => `more-${id}`),
      ]);
      const lookup = replica.lookup([...ids].reverse());
      expect(lookup.map((state) => state.id)).toEqual([...ids].reverse());
      expect(lookup.filter((state) => state.base === undefined).map((state) => state.id)).toEqual([
        "item-699",
        "item-500",
        "item-3",
        "item-1",
      ]);
      expect(replica.audit()).toBeUndefined();
    });

    it("answers an override and where it stands in what it takes", () => {
      apply(takeText("a", "base", { revision: 2 }));
      replica.write([put("a", "mine")], NOW);
      const theirs = fingerprintOf("a", "theirs");
      const base = { fingerprint: theirs, revision: 5 };
      apply(rebase({ id: "a", sequence: 1, base, content: "theirs", overrides: CLIENT }));
      expect(replica.getBaseContent("a")).toBe("theirs");
      replica.write([put("a", "mine, later")], NOW + 7);
      const [change] = replica.takeOutgoing(ALL).changes;
      expect(change).toMatchObject({ overrides: CLIENT, base: { revision: 5 }, modifyTimeUs: NOW + 7, resent: false });
      expect(change?.upsert).toMatchObject({ content: "mine, later", size: 11 });
      expect(hex(change?.base?.fingerprint)).toBe(hex(theirs));
    });
  });
}
