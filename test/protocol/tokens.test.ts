import { describe, expect, test } from "vitest";
import { ErrorReason } from "../../gen/tercet/v1/error.js";
import { ChangeKind } from "../../gen/tercet/v1/item.js";
import { PushOutcome } from "../../gen/tercet/v1/sync.js";
import { createMemoryStore } from "../../server/store/memory.js";
import { exchange } from "./pair.js";
import { clean, elsewhere, together } from "./together.js";
import { change, contents, newReplica, now, nowUs, serverContents, serverState } from "./world.js";

describe("tokens and collections", () => {
  test("a server that was set back is detected, and nothing is changed", () => {
    const { store, replica } = together();
    const backup = store.clone(Buffer.alloc(8, 2));
    change(replica, { x: "after the backup" });
    clean(exchange({ store, replica }));
    for (const write of [false, true]) {
      if (write) elsewhere(backup, { y: "written since" });
      const outcome = exchange({ store: backup, replica, onHistoryChange: "stop" });
      expect(outcome.fault?.reason).toBe(ErrorReason.ERROR_REASON_TOKEN_OTHER_HISTORY);
    }
    expect(contents(replica)).toEqual({ x: "after the backup" });
  });

  test("so is one that was set back to between the checkpoint and what was acknowledged since", () => {
    const { store, replica } = together({ x: "0", y: "0" });
    change(replica, { x: "acknowledged" });
    const backup = store.clone(Buffer.alloc(8, 2));
    // Somebody else's change keeps the verdict from bringing a checkpoint; the stream is cut behind the verdict.
    let verdicts = 0;
    exchange({
      store,
      replica,
      clientLimits: { eagerBytes: 1 },
      tamperRequest(message) {
        if (message.message?.$case === "push") elsewhere(store, { y: "1" });
        return message;
      },
      tamperResponse(message) {
        if (verdicts > 0) return { message: undefined };
        if (message.message?.$case === "verdicts") verdicts += 1;
        return message;
      },
    });
    expect(verdicts).toBe(1);
    expect(replica.state()).toMatchObject({ pending: 0, revision: 2, witnessRevision: 4 });
    elsewhere(backup, { x: "since" });
    const outcome = exchange({ store: backup, replica, onHistoryChange: "stop" });
    expect(outcome.fault?.reason).toBe(ErrorReason.ERROR_REASON_TOKEN_OTHER_HISTORY);
    expect(contents(replica)).toEqual({ x: "acknowledged", y: "0" });
    clean(exchange({ store, replica }));
    expect(replica.state().witness.length).toBe(0);
  });

  test("a collection is not made for a replica that has a token", () => {
    const { replica } = together();
    const empty = createMemoryStore({ epoch: Buffer.alloc(8, 1) });
    expect(exchange({ store: empty, replica }).fault?.reason).toBe(ErrorReason.ERROR_REASON_COLLECTION_NOT_FOUND);
    expect(now(empty.listCollections("", 10))).toEqual([]);
  });

  test("a restart is not a set-back", () => {
    const { store, replica } = together();
    const restarted = store.clone(Buffer.alloc(8, 2));
    change(replica, { x: "after the restart" });
    clean(exchange({ store: restarted, replica }));
    clean(exchange({ store: restarted.clone(Buffer.alloc(8, 3)), replica }));
    expect(replica.state().lineage.length).toBe(2);
  });

  test("eager changes are not applied where the token is refused", () => {
    const { store, replica } = together();
    const backup = store.clone(Buffer.alloc(8, 2));
    change(replica, { x: "2" });
    clean(exchange({ store, replica }));
    change(replica, { x: "3" });
    const outcome = exchange({ store: backup, replica, onHistoryChange: "stop" });
    const verdicts = outcome.responses.flatMap((r) =>
      r.message?.$case === "verdicts" ? r.message.value.verdicts : [],
    );
    expect(verdicts.every((verdict) => verdict.outcome === PushOutcome.PUSH_OUTCOME_COMPARE_FIRST)).toBe(true);
    expect(serverContents(backup)).toEqual({ x: "old" });
  });

  test("a replica of a deleted collection does not fill the new one of its name", () => {
    const { store, replica } = together();
    now(store.deleteCollection(serverState(store).uid));
    for (const again of [false, true]) {
      if (again) store.createCollection({ name: "things", uid: Buffer.alloc(16, 8), standard: 0, nowUs: nowUs() });
      expect(exchange({ store, replica }).fault?.reason).toBe(ErrorReason.ERROR_REASON_COLLECTION_DELETED);
    }
  });
});

describe("first pull", () => {
  test("a new replica is sent no tombstones from before, and those from after", () => {
    const { store } = together(Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`i${i}`, "x".repeat(500)])));
    elsewhere(store, { i0: null, i1: null });
    const replica = newReplica(5);
    let deleted = false;
    const outcome = clean(
      exchange({
        store,
        replica,
        serverLimits: { messageBytes: 16 * 1024 },
        meanwhile(delivered) {
          if (delivered !== 5 || deleted) return;
          deleted = true;
          elsewhere(store, { i2: null, i199: null });
        },
      }),
    );
    const told = outcome.responses.flatMap((r) => (r.message?.$case === "page" ? r.message.value.changes : []));
    const tombstones = told.filter((info) => info.kind === ChangeKind.CHANGE_KIND_DELETED).map((info) => info.id);
    expect(tombstones.sort()).toEqual(["i199", "i2"]);
    expect(Object.keys(contents(replica)).length).toBe(196);
  });

  test("a cut first pull goes on where it was", () => {
    const items = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`i${i}`, "x".repeat(1000)]));
    const { store } = together(items);
    const replica = newReplica(5);
    exchange({ store, replica, serverLimits: { messageBytes: 16 * 1024 }, cutAfter: 10 });
    const before = Object.keys(contents(replica)).length;
    expect(before).toBeGreaterThan(50);
    const { report } = clean(exchange({ store, replica }));
    expect(report.received).toBe(300 - before);
    expect(contents(replica)).toEqual(items);
  });
});
