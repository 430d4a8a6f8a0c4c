import { expect, test } from "vitest";
import type { ReplicaStore } from "../../client/replica/store.js";
import type { MemoryStore } from "../../server/store/memory.js";
import { exchange } from "./pair.js";
import { change, contents, newReplica, newStore, serverContents, serverState } from "./world.js";

/** Pages of a few of these items. */
const CONTENT = "x".repeat(4000);
const serverLimits = { messageBytes: 16_384 };

/** Another client makes changes, one a revision, up to this one. */
function advance(store: MemoryStore, other: ReplicaStore, through: number): void {
  exchange({ store, replica: other });
  for (let at = serverState(store).revision + 1; at <= through; at++) change(other, { [`item-${at}`]: CONTENT });
  exchange({ store, replica: other });
  expect(serverState(store).revision).toBe(through);
}

test("an epoch of a history that the server does not have is forgotten, also where the server tells of none", () => {
  const other = newReplica(2);
  const first = newStore();
  advance(first, other, 8);
  const older = first.clone(Buffer.alloc(8, 3));
  advance(first, other, 10);
  const newer = first.clone(Buffer.alloc(8, 4));
  const second = first.clone(Buffer.alloc(8, 2));
  advance(second, other, 12);
  // It hears of the epoch that begins at 11, and is cut off long before it has come there.
  const replica = newReplica(1);
  const pull = { store: second, replica, serverLimits };
  for (let cutAfter = 2; replica.state().revision === 0; cutAfter++) exchange({ ...pull, cutAfter });
  expect(replica.state().revision).toBeLessThan(8);
  expect(replica.state().lineage.map(({ firstRevision }) => firstRevision)).toEqual([1, 11]);
  // A backup from before that epoch takes over, and begins one of its own.
  change(replica, { mine: "1" });
  const { responses } = exchange({ store: older, replica, serverLimits });
  expect(responses[0]?.message).toMatchObject({ $case: "opened", value: { unchanged: true, lineage: [] } });
  expect(serverContents(older)["mine"]).toBe("1");
  expect(replica.state().lineage.map(({ firstRevision }) => firstRevision)).toEqual([1, 9]);
  // A later backup, with more of the first epoch, takes its place: it has lost what was agreed on since revision 8.
  const { report } = exchange({ store: newer, replica });
  expect(report).toMatchObject({ verified: true, recovery: { forkRevision: 8, offered: ["mine"] } });
  expect(contents(replica)).toMatchObject({ mine: "1", "item-10": CONTENT });
  expect(serverContents(newer)).toEqual(contents(replica));
});
