import { describe, expect, it } from "vitest";
import { fingerprintOf } from "../../core/fingerprint.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import { NOW, take, takeText, useReplica } from "./contract-world.js";
import { del, type Harness, put } from "./drive.js";
import { hex } from "./model.js";

const SERVER = ChangeStandard.CHANGE_STANDARD_SERVER;

/** Conflict records, as every replica must keep them. */
export function describeRecords(name: string, open: () => Harness): void {
  describe(name, () => {
    const world = useReplica(open);

    it("keeps what gives way in a record, and brings it back", () => {
      world.replica.write([put("a", "mine"), put("b", "mine")], NOW);
      world.apply(takeText("gone", "x"));
      world.replica.write([del("gone")], NOW + 1);
      const took = world.apply(
        takeText("a", "theirs", { sequence: world.sequenceOf("a"), conflict: SERVER }),
        take({ id: "b", sequence: world.sequenceOf("b"), conflict: SERVER, revision: 2 }),
        takeText("gone", "theirs", { sequence: world.sequenceOf("gone"), conflict: SERVER }),
        takeText("clean", "x", { conflict: SERVER }),
      );
      expect(took.conflicts).toEqual([1, 2, 3]);
      expect(
        world.replica.listConflicts(3, 10).map(({ number, id, size, content }) => [number, id, size, content]),
      ).toEqual([
        [2, "b", 4, undefined],
        [1, "a", 4, undefined],
      ]);
      expect(world.replica.getConflict(1)?.content).toBe("mine");
      expect(world.replica.getConflict(3)).toMatchObject({ fingerprint: undefined, content: undefined, size: 0 });
      expect(world.replica.get("a")).toMatchObject({ content: "theirs", pending: false });
      expect(world.replica.settleConflict(1, true, NOW)).toBe(true);
      expect(world.replica.get("a")).toMatchObject({ content: "mine", pending: true });
      expect(world.replica.settleConflict(3, true, NOW)).toBe(true);
      expect(world.replica.get("gone")).toBeUndefined();
      expect(world.replica.settleConflict(2, false, NOW)).toBe(true);
      expect(world.replica.settleConflict(2, true, NOW)).toBe(false);
      expect(world.replica.state()).toMatchObject({ conflicts: 0, pending: 2 });
      // Numbers are not given out again.
      expect(world.apply(takeText("a", "x", { sequence: world.sequenceOf("a"), conflict: SERVER })).conflicts).toEqual([
        4,
      ]);
    });

    it("keeps a pending change that a restored version replaces in a record of its own, be it a deletion or a content", () => {
      world.replica.write([put("a", "first"), put("b", "first")], NOW);
      world.apply(
        takeText("a", "theirs", { sequence: world.sequenceOf("a"), conflict: SERVER }),
        takeText("b", "theirs", { sequence: world.sequenceOf("b"), conflict: SERVER }),
      );
      world.replica.write([put("a", "newer"), del("b")], NOW + 5);
      const restored = (id: string) => hex(fingerprintOf(id, "first"));
      expect(world.replica.settleConflict(1, true, NOW + 9)).toBe(true);
      expect(world.replica.settleConflict(2, true, NOW + 9)).toBe(true);
      expect(world.replica.get("a")?.content).toBe("first");
      expect(world.replica.get("b")?.content).toBe("first");
      const [newer, deletion] = [world.replica.getConflict(3), world.replica.getConflict(4)];
      const times = { modifyTimeUs: NOW + 5, recordTimeUs: NOW + 9, standard: 0 };
      expect(newer).toMatchObject({ id: "a", content: "newer", size: 5, ...times });
      expect(deletion).toMatchObject({ id: "b", content: undefined, fingerprint: undefined, size: 0, ...times });
      expect([newer, deletion].map((record) => hex(record?.prevailed))).toEqual([restored("a"), restored("b")]);
      expect(world.replica.state()).toMatchObject({ conflicts: 2, pending: 2 });
      // Back again: the versions change places, and none is lost.
      expect(world.replica.settleConflict(3, true, NOW + 10)).toBe(true);
      expect(world.replica.get("a")?.content).toBe("newer");
      expect(world.replica.getConflict(5)?.content).toBe("first");
      expect(world.replica.audit()).toBeUndefined();
    });

    it("makes no record where the version restored is what is pending, or nothing is", () => {
      world.replica.write([put("a", "first"), put("b", "first")], NOW);
      world.apply(
        takeText("a", "theirs", { sequence: world.sequenceOf("a"), conflict: SERVER }),
        takeText("b", "theirs", { sequence: world.sequenceOf("b"), conflict: SERVER }),
      );
      world.replica.write([put("a", "first")], NOW);
      expect(world.replica.settleConflict(1, true, NOW)).toBe(true);
      expect(world.replica.settleConflict(2, true, NOW)).toBe(true);
      expect(world.replica.state()).toMatchObject({ conflicts: 0, pending: 2 });
    });
  });
}
