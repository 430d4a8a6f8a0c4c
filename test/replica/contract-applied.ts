import { describe, expect, it } from "vitest";
import { fingerprintOf } from "../../core/fingerprint.js";
import { StorageError } from "../../core/storage-error.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import { NOW, rebase, take, takeText, useReplica } from "./contract-world.js";
import { type Harness, put, UID } from "./drive.js";
import { hex } from "./model.js";

const SERVER = ChangeStandard.CHANGE_STANDARD_SERVER;

const isEmpty = (bytes: Uint8Array) => bytes.length === 0;

/** What an exchange stores, and what it has heard of the server, as every replica must keep it. */
export function describeApplied(name: string, open: () => Harness): void {
  describe(name, () => {
    const world = useReplica(open);

    it("does nothing with stale actions, and stores no checkpoint then", () => {
      world.replica.write([put("a", "1")], NOW);
      const checkpoint = { token: Buffer.from("t"), revision: 9 };
      const actions = [takeText("a", "theirs"), takeText("b", "theirs"), takeText("a", "theirs", { sequence: 5 })];
      expect(world.replica.apply({ actions, nowUs: NOW, checkpoint }).stale).toEqual(["a", "a"]);
      expect(world.replica.get("a")?.content).toBe("1");
      expect(world.replica.get("b")?.content).toBe("theirs");
      expect(world.replica.state().revision).toBe(0);
      world.replica.apply({ actions: [takeText("a", "theirs", { sequence: 1 })], nowUs: NOW, checkpoint });
      expect(world.replica.state()).toMatchObject({ revision: 9, pending: 0 });
    });

    it("remembers the latest revision that it heard of, only forward, until a checkpoint reaches it", () => {
      const at = (revision: number, name = "heard") => ({ token: Buffer.from(`${name} ${revision}`), revision });
      const hear = (part: { witness?: ReturnType<typeof at>; checkpoint?: ReturnType<typeof at> }) => {
        expect(world.replica.apply({ actions: [], nowUs: NOW, ...part }).stale).toEqual([]);
        const { witness, witnessRevision, revision } = world.replica.state();
        return [Buffer.from(witness).toString(), witnessRevision, revision];
      };
      expect(world.replica.state()).toMatchObject({ witness: expect.toSatisfy(isEmpty), witnessRevision: 0 });
      expect(hear({ witness: at(5) })).toEqual(["heard 5", 5, 0]);
      expect(hear({ witness: at(4) })).toEqual(["heard 5", 5, 0]);
      expect(hear({ witness: at(5, "again") })).toEqual(["heard 5", 5, 0]);
      expect(hear({ witness: at(8) })).toEqual(["heard 8", 8, 0]);
      expect(hear({ checkpoint: at(7) })).toEqual(["heard 8", 8, 7]);
      world.replica.flush();
      world.reopen();
      expect(hear({})).toEqual(["heard 8", 8, 7]);
      expect(hear({ checkpoint: at(8) })).toEqual(["", 0, 8]);
      expect(hear({ witness: at(8) })).toEqual(["", 0, 8]);
      expect(hear({ witness: at(3) })).toEqual(["", 0, 8]);
      // Both at once.
      expect(hear({ witness: at(12), checkpoint: at(10) })).toEqual(["heard 12", 12, 10]);
      expect(hear({ witness: at(13), checkpoint: at(14) })).toEqual(["", 0, 14]);
      world.reopen();
      expect(hear({})).toEqual(["", 0, 14]);
    });

    it("keeps what it heard of with a batch whose checkpoint must come again", () => {
      world.replica.write([put("a", "1")], NOW);
      const witness = { token: Buffer.from("heard"), revision: 7 };
      const checkpoint = { token: Buffer.from("t"), revision: 9 };
      const actions = [takeText("a", "theirs")];
      expect(world.replica.apply({ actions, nowUs: NOW, checkpoint, witness }).stale).toEqual(["a"]);
      world.reopen();
      // Some of what the checkpoint speaks of may be stored.
      expect(world.replica.state()).toMatchObject({ revision: 0, witnessRevision: 9 });
      expect(hex(world.replica.state().witness)).toBe(hex(checkpoint.token));
      world.replica.apply({ actions: [takeText("a", "theirs", { sequence: 1 })], nowUs: NOW, checkpoint });
      expect(world.replica.state()).toMatchObject({ revision: 9, witnessRevision: 0 });
    });

    it("keeps nothing of what it heard of with a batch that fails", () => {
      const wrong = rebase({ id: "a", base: { fingerprint: fingerprintOf("a", "2"), revision: 8 } });
      const witness = { token: Buffer.from("heard"), revision: 7 };
      expect(() => world.replica.apply({ actions: [wrong], nowUs: NOW, witness })).toThrow("rebase of the clean item");
      expect(world.replica.state().witnessRevision).toBe(0);
    });

    it("moves a clean item to a new revision, and knows of nothing where there is no item", () => {
      world.apply(takeText("a", "1"));
      const fingerprint = fingerprintOf("a", "1");
      const { total } = world.replica.state();
      world.apply(rebase({ id: "a", base: { fingerprint, revision: 8 } }));
      world.apply(rebase({ id: "none", base: { fingerprint: undefined, revision: 8 } }));
      world.apply({ kind: "agree", id: "none", sequence: 0, revision: 8 });
      expect(world.stateOf("a").base?.revision).toBe(8);
      expect(world.stateOf("none").base).toBeUndefined();
      expect(world.replica.state().total).toEqual(total);
    });

    it("throws for a rebase that would tear a clean item from its content, and stores nothing of the batch", () => {
      world.replica.write([put("p", "1")], NOW);
      const before = world.replica.state();
      const wrong = rebase({ id: "a", base: { fingerprint: fingerprintOf("a", "2"), revision: 8 } });
      const first = takeText("p", "theirs", { sequence: 1, conflict: SERVER });
      expect(() => world.apply(first, takeText("a", "1"), takeText("b", "1"), wrong)).toThrow(
        "rebase of the clean item",
      );
      expect(world.replica.state()).toEqual(before);
      expect(world.replica.get("a")).toBeUndefined();
      expect(world.replica.get("p")).toMatchObject({ content: "1", pending: true });
      expect(world.replica.listConflicts(10, 10)).toEqual([]);
      expect(world.replica.audit()).toBeUndefined();
    });

    it("keeps what the server's first message says, and belongs to one collection", () => {
      const lineage = [
        { id: Buffer.alloc(8, 1), firstRevision: 1 },
        { id: Buffer.alloc(8, 2), firstRevision: 2 ** 40 },
      ];
      const opened = { collectionUid: UID, lineage, settings: Buffer.from([8, 1]) };
      world.replica.apply({ actions: [], nowUs: NOW, opened });
      world.reopen();
      const state = world.replica.state();
      expect(state.lineage.map((epoch) => [hex(epoch.id), epoch.firstRevision])).toEqual([
        ["01".repeat(8), 1],
        ["02".repeat(8), 2 ** 40],
      ]);
      expect([hex(state.collectionUid), hex(state.settings)]).toEqual([hex(UID), "0801"]);
      const other = { ...opened, collectionUid: Buffer.alloc(16, 8) };
      const foreign = () => world.replica.apply({ actions: [takeText("a", "1")], nowUs: NOW, opened: other });
      expect(foreign).toThrow(StorageError);
      expect(foreign).toThrow(expect.objectContaining({ kind: "foreign" }));
      expect(world.replica.get("a")).toBeUndefined();
      world.replica.apply({ actions: [], nowUs: NOW, opened: { ...opened, lineage: lineage.slice(1) } });
      expect(world.replica.state().lineage).toHaveLength(1);
    });

    it("keeps to the rules with many items at once as with one", () => {
      const ids = Array.from({ length: 700 }, (_, index) => `item-${index}`);
      world.replica.write([put("item-3", "mine"), put("item-500", "mine"), put("item-699", "mine")], NOW);
      world.apply(...ids.slice(0, 5).map((id) => takeText(id, "old")));
      const pulled = ids.map((id, index) => takeText(id, `theirs ${index}`, { revision: index + 10 }));
      const again = [takeText("item-0", "twice", { revision: 900 }), take({ id: "item-1", revision: 901 })];
      expect(world.apply(...pulled, ...again).stale).toEqual(["item-3", "item-500", "item-699"]);
      expect(world.replica.state()).toMatchObject({ items: 699, pending: 3, total: { count: 696 } });
      expect(world.replica.get("item-0")?.content).toBe("twice");
      expect(world.replica.audit()).toBeUndefined();
      world.replica.write(
        [...ids.map((id) => put(id, "pushed")), ...ids.map((id) => put(`more-${id}`, "pushed"))],
        NOW,
      );
      expect(world.replica.state()).toMatchObject({ items: 1400, pending: 1400 });
      expect(world.replica.listPending(0, 2000).map((change) => change.id)).toEqual([
        ...ids,
        ...ids.map((id) => `more-${id}`),
      ]);
      const lookup = world.replica.lookup([...ids].reverse());
      expect(lookup.map((state) => state.id)).toEqual([...ids].reverse());
      expect(lookup.filter((state) => state.base === undefined).map((state) => state.id)).toEqual([
        "item-699",
        "item-500",
        "item-3",
        "item-1",
      ]);
      expect(world.replica.audit()).toBeUndefined();
    });
  });
}
