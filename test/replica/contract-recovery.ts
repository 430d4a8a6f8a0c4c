import { describe, expect, it } from "vitest";
import type { Action } from "../../client/replica/action.js";
import { LOST_REVISION } from "../../client/replica/apply-batch.js";
import { fingerprintOf } from "../../core/fingerprint.js";
import { NOW, useReplica } from "./contract-world.js";
import { type Harness, put, UID } from "./drive.js";
import { hex } from "./model.js";

function takeText(id: string, content: string, part: Partial<Extract<Action, { kind: "take" }>> = {}): Action {
  const upsert = { content, fingerprint: fingerprintOf(id, content) };
  return { kind: "take", id, sequence: 0, upsert, revision: 3, modifyTimeUs: NOW - 9, conflict: undefined, ...part };
}

/** What a recovery stores, as every replica must keep it. */
export function describeRecovery(name: string, open: () => Harness): void {
  describe(name, () => {
    const world = useReplica(open);

    it("stands after a recovery where the server does, unless something must come again", () => {
      world.replica.write([put("p", "1")], NOW);
      const lineage = [{ id: Buffer.alloc(8, 3), firstRevision: 1 }];
      const recovered = { token: Buffer.from("r"), revision: 10, fork: 10, lineage };
      const witness = { token: Buffer.from("w"), revision: 70 };
      const actions = [takeText("a", "1", { revision: 50 }), takeText("b", "1", { revision: 4 })];
      const checkpoint = { token: Buffer.from("t"), revision: 60 };
      world.replica.apply({ actions, nowUs: NOW, checkpoint, witness });
      expect(world.replica.apply({ actions: [takeText("p", "2")], nowUs: NOW, recovered }).stale).toEqual(["p"]);
      expect(world.replica.state()).toMatchObject({ revision: 60, witnessRevision: 70 });
      const { total } = world.replica.apply({ actions: [takeText("c", "1")], nowUs: NOW, recovered });
      world.reopen();
      const { count, sum } = world.replica.state().total;
      expect([count, hex(sum)]).toEqual([total.count, hex(total.sum)]);
      expect(world.replica.state()).toMatchObject({ revision: 10, witnessRevision: 0, lineage, total: { count: 3 } });
      expect(["a", "b"].map((id) => world.stateOf(id).base?.revision)).toEqual([10, 4]);
      expect(world.replica.audit()).toBeUndefined();
    });

    it("stands nowhere from the first that is stored of a recovery to the last, and knows what was lost", () => {
      world.replica.write([put("p", "1")], NOW);
      const checkpoint = { token: Buffer.from("t"), revision: 60 };
      const before = [takeText("a", "1", { revision: 50 }), takeText("b", "1", { revision: 4 })];
      world.replica.apply({ actions: [...before, takeText("c", "1", { revision: 30 })], nowUs: NOW, checkpoint });
      world.replica.write([put("c", "2")], NOW);
      const recovering = { lostAfter: 7, why: "asked" } as const;
      const parted = { fork: 20, ...recovering };
      const witness = { token: Buffer.from("w"), revision: 25 };
      const theirs = [takeText("d", "1", { revision: 24 }), takeText("p", "2")];
      const opened = {
        collectionUid: UID,
        lineage: [{ id: Buffer.alloc(8, 3), firstRevision: 1 }],
        settings: Buffer.of(),
      };
      expect(world.replica.apply({ actions: theirs, nowUs: NOW, opened, parted, witness }).stale).toEqual(["p"]);
      world.reopen();
      const revisions = () => ["a", "b", "c", "d"].map((id) => world.stateOf(id).base?.revision);
      expect(revisions()).toEqual([LOST_REVISION, 4, LOST_REVISION, 24]);
      expect(world.replica.state()).toMatchObject({
        revision: 0,
        recovering,
        witnessRevision: 25,
        lineage: opened.lineage,
      });
      expect(world.replica.state().token).toHaveLength(0);
      // Another one is begun, and another history found: what is lost stays lost.
      world.replica.apply({ actions: [], nowUs: NOW, parted: { ...parted, fork: 23 } });
      expect(revisions()).toEqual([LOST_REVISION, 4, LOST_REVISION, LOST_REVISION]);
      const latest = { ...witness, revision: 41 };
      world.replica.apply({ actions: [takeText("e", "1", { revision: 41 })], nowUs: NOW, witness: latest });
      const recovered = { token: Buffer.from("r"), revision: 40, lineage: opened.lineage };
      world.replica.apply({ actions: [], nowUs: NOW, recovered, witness: latest });
      expect(revisions()).toEqual([40, 4, 40, 40]);
      expect(world.stateOf("e").base?.revision).toBe(41);
      // It heard of more than it stands at, of this history.
      expect(world.replica.state()).toMatchObject({ revision: 40, recovering: undefined, witnessRevision: 41 });
      expect(world.replica.audit()).toBeUndefined();
    });
  });
}
