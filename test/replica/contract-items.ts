import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fingerprintOf } from "../../core/fingerprint.js";
import { compareIds } from "../../core/id.js";
import { ALL, NOW, take, takeText, useReplica } from "./contract-world.js";
import { CONTENTS, del, drive, type Harness, IDS, put, steps } from "./drive.js";
import { hex } from "./model.js";

/** Items and their contents, and what is pending of them, as every replica must keep them. */
export function describeItems(name: string, open: () => Harness): void {
  describe(name, () => {
    const world = useReplica(open);

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
        { numRuns: 100 },
      );
    });

    it("is empty at first and knows whose it is", () => {
      const { collection, replicaId, ...rest } = world.replica.state();
      expect(collection).toBe("c");
      expect(hex(replicaId)).toBe("01".repeat(16));
      expect(rest).toMatchObject({ items: 0, pending: 0, lastSequence: 0, revision: 0, lineage: [] });
      expect(rest.token.length + rest.settings.length + rest.collectionUid.length).toBe(0);
      expect(rest.total).toEqual({ count: 0, sum: expect.anything() });
      expect(hex(rest.total.sum)).toBe("00".repeat(32));
      expect(world.replica.get("a")).toBeUndefined();
    });

    it("gives contents back as they came: text as text, bytes as bytes, NULs and nothing at all included", () => {
      for (const content of CONTENTS) {
        world.replica.write([put("a", content)], NOW);
        world.apply(
          takeText("b", ""),
          take({ id: "b", upsert: { content, fingerprint: fingerprintOf("b", content) } }),
        );
        world.reopen();
        for (const id of ["a", "b"]) {
          // Where only the kind differs, the first one stays: it is the same content.
          const got = world.replica.get(id)?.content;
          expect(Buffer.from(got as string)).toEqual(Buffer.from(content as string));
        }
        expect(typeof world.replica.get("b")?.content).toBe(typeof content);
        world.replica.write([del("a")], NOW);
        expect(world.replica.get("a")).toBeUndefined();
      }
    });

    it("lists in the order of UTF-8 bytes, by prefix, and goes on after an id", () => {
      world.replica.write(
        [...IDS].reverse().map((id) => put(id, "x")),
        NOW,
      );
      const sorted = [...IDS].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      expect(sorted).toEqual([...IDS].sort(compareIds));
      const ids = (prefix: string, after: string, limit: number) =>
        world.replica.list({ prefix, after, limit }).map((item) => item.id);
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
      world.replica.write([put("a", "1"), put("b", "1")], NOW);
      expect([world.replica.get("a")?.modifyTimeUs, world.replica.get("b")?.modifyTimeUs]).toEqual([NOW, NOW]);
      world.replica.write([put("a", "2")], NOW - 5_000_000);
      expect(world.replica.get("a")?.modifyTimeUs).toBe(NOW + 1);
      world.apply(takeText("c", "1", { modifyTimeUs: NOW + 30_000_000 }));
      world.replica.write([put("a", "3")], NOW);
      expect(world.replica.get("a")?.modifyTimeUs).toBe(NOW + 30_000_001);
      // A clock gone wild does not take ours with it, by more than a minute.
      world.apply(takeText("d", "1", { modifyTimeUs: NOW + 1e12 }));
      world.replica.write([put("a", "4")], NOW);
      expect(world.replica.get("a")?.modifyTimeUs).toBe(NOW + 60_000_001);
    });

    it("takes a write that changes nothing for none", () => {
      world.replica.write([put("a", "1")], NOW);
      const before = world.replica.state();
      world.replica.write([put("a", "1"), put("a2", "1"), del("a2x"), del("unknown")], NOW + 5);
      expect(world.replica.state().lastSequence).toBe(before.lastSequence + 1);
      world.replica.write([put("a", Buffer.from("1"))], NOW + 9);
      expect(world.sequenceOf("a")).toBe(1);
      expect(world.replica.get("a")?.content).toBe("1");
    });

    it("forgets a change that returns to its base, unless something of it may still arrive", () => {
      world.apply(takeText("a", "base", { revision: 4 }));
      world.replica.write([put("a", "mine")], NOW);
      world.replica.write([put("a", "base")], NOW);
      expect(world.stateOf("a")).toMatchObject({ sequence: 0, base: { revision: 4 } });
      world.replica.write([put("new", "1")], NOW);
      world.replica.write([del("new")], NOW);
      expect(world.stateOf("new")).toEqual({
        id: "new",
        sequence: 0,
        pending: undefined,
        modifyTimeUs: 0,
        base: undefined,
        sendings: [],
      });
      world.replica.write([put("a", "mine"), put("new", "1")], NOW);
      world.replica.takeOutgoing(ALL);
      world.replica.write([put("a", "base"), del("new")], NOW);
      expect(world.sequenceOf("a")).toBeGreaterThan(0);
      expect(world.stateOf("new")).toMatchObject({ pending: { fingerprint: undefined }, base: undefined });
      expect(world.sendingsOf("new")).toEqual([hex(fingerprintOf("new", "1"))]);
      expect(world.replica.audit()).toBeUndefined();
    });

    it("keeps the base and its content while a change is pending", () => {
      world.apply(takeText("a", "base", { revision: 4 }));
      world.replica.write([put("a", "1")], NOW);
      world.replica.write([put("a", "2")], NOW);
      world.replica.write([del("a")], NOW);
      expect(world.replica.getBaseContent("a")).toBe("base");
      expect(world.replica.getBaseContent("unknown")).toBeUndefined();
      expect(hex(world.stateOf("a").base?.fingerprint)).toBe(hex(fingerprintOf("a", "base")));
      expect(world.replica.state().total.count).toBe(1);
    });

    it("names by an audit what has another content than its fingerprint says, a hundred at most", () => {
      const damage = (id: string) => ({ content: "damaged", fingerprint: fingerprintOf(id, "whole") });
      world.replica.write([put("a", "1"), { id: "b", upsert: damage("b") }], NOW);
      world.apply(take({ id: "c", upsert: damage("c") }), takeText("d", "2"));
      // What is no longer there is no damage.
      world.apply(take({ id: "e", upsert: damage("e") }));
      world.replica.write([del("e")], NOW);
      expect(world.replica.audit()).toEqual({
        damaged: expect.any(Array),
        damagedCount: 2,
        total: undefined,
        ranges: true,
      });
      expect([...(world.replica.audit()?.damaged ?? [])].sort()).toEqual(["b", "c"]);
      const many = Array.from({ length: 150 }, (_, n) => `many-${n}`);
      world.replica.write(
        many.map((id) => ({ id, upsert: damage(id) })),
        NOW,
      );
      expect(world.replica.audit()?.damagedCount).toBe(152);
      expect(new Set(world.replica.audit()?.damaged).size).toBe(100);
    });
  });
}
