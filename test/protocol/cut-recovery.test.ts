import { expect, test } from "vitest";
import { ErrorReason } from "../../gen/tercet/v1/error.js";
import { createMemoryStore, type MemoryStore } from "../../server/store/memory.js";
import { exchange, type PairOptions, reasonOf } from "./pair.js";
import { clean, elsewhere } from "./together.js";
import { COLLECTION, change, contents, newReplica, newStore, now, serverContents, serverState } from "./world.js";

function many(count: number, content: string): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, at) => [`item-${String(at).padStart(4, "0")}`, content]));
}

function compact(store: MemoryStore): void {
  const { uid, revision } = serverState(store);
  now(store.compact({ uid, through: revision }));
}

/** So that a recovery takes several messages, and stores between them. */
const LIMITS = { inlineBytes: 200, messageBytes: 16_384, windowItems: 64 };
const CUTS = [3, 4, 5, 6, 7, 8, 9];

/** A server with items, x among them, and its backup. */
function backedUp() {
  const original = newStore();
  elsewhere(original, { ...many(600, "v"), x: "x1" });
  return { original, backup: original.clone(Buffer.alloc(8, 2)) };
}

/** Runs an exchange that is cut, then another one. */
function twice(options: PairOptions, cutAfter: number) {
  const first = exchange({ ...options, serverLimits: LIMITS, cutAfter });
  const begun = options.replica.state().recovering !== undefined;
  return { first, begun, second: exchange({ ...options, serverLimits: LIMITS }) };
}

test("a recovery that was cut hears of what was deleted since the fork, though the server has more of that epoch", () => {
  let begun = 0;
  for (const cutAfter of CUTS) {
    const { original, backup } = backedUp();
    const replica = newReplica();
    exchange({ store: original, replica });
    elsewhere(original, { x: null });
    elsewhere(original, many(200, "w"));
    elsewhere(backup, { x: "x2" });
    exchange({ store: backup, replica });
    expect(contents(replica)).toMatchObject({ x: "x2" });
    // The original comes back: there x was deleted after the fork.
    const tries = twice({ store: original.clone(Buffer.alloc(8, 3)), replica }, cutAfter);
    begun += Number(tries.begun);
    clean(tries.second);
    expect(contents(replica)).not.toHaveProperty("x");
    expect(replica.listConflicts(1e9, 10).map(({ number }) => replica.getConflict(number)?.content)).toEqual(["x2"]);
  }
  expect(begun).toBeGreaterThan(0);
});

test("a recovery that was cut is reported for what it was, with what returned", () => {
  let begun = 0;
  for (const cutAfter of CUTS) {
    const { original, backup } = backedUp();
    elsewhere(original, { x: null });
    const replica = newReplica();
    exchange({ store: original, replica });
    elsewhere(backup, many(200, "w"));
    const tries = twice({ store: backup, replica }, cutAfter);
    if (!tries.begun) continue;
    begun += 1;
    expect(tries.second.report.recovery).toMatchObject({ why: "history", forkRevision: 601, returned: ["x"] });
  }
  expect(begun).toBeGreaterThan(0);
});

test("who wants to stop where the history changes, is stopped also after a recovery that was cut", () => {
  for (const onHistoryChange of ["stop", "offer"] as const) {
    let stopped = 0;
    for (const cutAfter of CUTS) {
      const store = newStore();
      elsewhere(store, many(600, "v"));
      const replica = newReplica();
      exchange({ store, replica });
      elsewhere(store, { ...many(200, "w"), x: "x1" });
      const backup = store.clone(Buffer.alloc(8, 2));
      elsewhere(store, { x: null });
      compact(store);
      const first = exchange({ store, replica, serverLimits: LIMITS, cutAfter, onHistoryChange });
      const before = contents(replica);
      // Until it has stored anything of the history that is lost, none has changed.
      if (!first.cut || !Object.values(before).includes("w")) continue;
      const restored = backup.clone(Buffer.alloc(8, 3));
      elsewhere(restored, { z: "z1" });
      const second = exchange({ store: restored, replica, serverLimits: LIMITS, onHistoryChange: "stop" });
      expect(second.fault?.reason).toBe(ErrorReason.ERROR_REASON_TOKEN_OTHER_HISTORY);
      expect(contents(replica)).toEqual(before);
      stopped += 1;
    }
    expect(stopped).toBeGreaterThan(0);
  }
});

test("a push that is under way for long comes too late for the change that replaced it, also after a recovery", () => {
  const store = newStore();
  elsewhere(store, { ...many(300, "v"), x: "A" });
  const replica = newReplica();
  exchange({ store, replica });
  elsewhere(store, { x: "B" });
  elsewhere(store, { x: "A" });
  elsewhere(store, { "item-0100": "w", "item-0101": null });
  compact(store);
  expect(exchange({ store, replica }).report).toMatchObject({ verified: true, recovery: { why: "compacted" } });
  change(replica, { x: "C" });
  const late = exchange({ store, replica, cutAfter: 0 }).requests;
  expect(late.map(({ message }) => message?.$case)).toContain("push");
  // The application goes back to what it was.
  change(replica, { x: "A" });
  clean(exchange({ store, replica }));
  let at = 0;
  exchange({ store, replica: newReplica(4), cutAfter: 60, tamperRequest: (request) => late[at++] ?? request });
  clean(exchange({ store, replica }));
  expect([serverContents(store)["x"], contents(replica)["x"]]).toEqual(["A", "A"]);
});

test("a replica that has met its collection makes none of that name anew, also where its checkpoint is lost", () => {
  const store = newStore();
  elsewhere(store, { x: "1" });
  const replica = newReplica();
  clean(exchange({ store, replica }));
  const { collectionUid, lineage, settings } = replica.state();
  const parted = { fork: 0, lostAfter: 0, why: "history" } as const;
  replica.apply({ actions: [], nowUs: 1, opened: { collectionUid, lineage, settings }, parted });
  expect(replica.state().token).toHaveLength(0);
  const empty = createMemoryStore({ epoch: Buffer.alloc(8, 7) });
  const outcome = exchange({ store: empty, replica, create: true });
  expect(reasonOf(outcome)).toBe(ErrorReason.ERROR_REASON_COLLECTION_NOT_FOUND);
  expect(now(empty.getCollection(COLLECTION))).toBeUndefined();
  expect(contents(replica)).toEqual({ x: "1" });
});
