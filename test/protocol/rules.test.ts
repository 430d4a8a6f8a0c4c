import { describe, expect, test } from "vitest";
import { fingerprintOf } from "../../core/fingerprint.js";
import { ErrorReason } from "../../gen/tercet/v1/error.js";
import { ChangeKind, ChangeStandard } from "../../gen/tercet/v1/item.js";
import type { ExchangeRequest, ExchangeResponse } from "../../gen/tercet/v1/sync.js";
import { PushOutcome } from "../../gen/tercet/v1/sync.js";
import { createMemoryStore } from "../../server/store/memory.js";
import { exchange, type PairOutcome } from "./pair.js";
import { change, contents, newReplica, newStore, now, nowUs, serverContents, serverState } from "./world.js";

const SERVER = ChangeStandard.CHANGE_STANDARD_SERVER;
const CLIENT = ChangeStandard.CHANGE_STANDARD_CLIENT;

function clean(outcome: PairOutcome): PairOutcome {
  expect(outcome.fault).toBeUndefined();
  expect(outcome.report.verified).toBe(true);
  return outcome;
}

/** A server with one item, and a replica that has it. */
function together(items: Record<string, string> = { x: "old" }) {
  const store = newStore();
  const replica = newReplica(1);
  change(replica, items);
  clean(exchange({ store, replica }));
  return { store, replica };
}

/** Changes the server behind the replica's back. */
function elsewhere(store: ReturnType<typeof newStore>, changes: Record<string, string | null>): void {
  const other = newReplica(99);
  clean(exchange({ store, replica: other }));
  change(other, changes);
  clean(exchange({ store, replica: other, standard: CLIENT }));
}

function flip(bytes: Uint8Array): Buffer {
  const flipped = Buffer.from(bytes);
  flipped[0] = (flipped[0] ?? 0) ^ 1;
  return flipped;
}

describe("R2 compare-and-set", () => {
  test("a there-and-back change is noticed, though the fingerprint is the old one", () => {
    const { store, replica } = together();
    change(replica, { x: "mine" });
    elsewhere(store, { x: "away" });
    elsewhere(store, { x: "old" });
    const { report } = clean(exchange({ store, replica, standard: SERVER }));
    expect(report.conflicts).toEqual([{ id: "x", standard: SERVER, prevailed: "theirs" }]);
    expect(contents(replica)).toEqual({ x: "old" });
  });

  test("deleted and created anew is noticed", () => {
    const { store, replica } = together();
    change(replica, { x: null });
    elsewhere(store, { x: null });
    elsewhere(store, { x: "old" });
    const { report } = clean(exchange({ store, replica, standard: SERVER }));
    expect(report.conflictCount).toBe(1);
    expect(contents(replica)).toEqual({ x: "old" });
  });

  test("the race against a faster client is run again, and after five lost races the item stays pending", () => {
    const { store, replica } = together();
    change(replica, { x: "mine" });
    let races = 0;
    let at = 0;
    const outcome = exchange({
      store,
      replica,
      standard: CLIENT,
      // Somebody else changes the item whenever a push of it is about to arrive.
      tamperRequest(message) {
        if (message.message?.$case === "push") {
          races += 1;
          elsewhere(store, { x: `faster ${++at}` });
        }
        return message;
      },
    });
    expect(outcome.fault).toBeUndefined();
    expect(races).toBe(6);
    expect(outcome.report.contended).toEqual(["x"]);
    expect(outcome.report.conflictCount).toBe(0);
    expect(replica.state().pending).toBe(1);
    expect(contents(replica)).toEqual({ x: "mine" });
    clean(exchange({ store, replica, standard: CLIENT }));
    expect(serverContents(store)).toEqual({ x: "mine" });
  });
});

describe("R4 verified content", () => {
  test("a content that is damaged on the way up is rejected by itself and stays pending, marked", () => {
    const store = newStore();
    const replica = newReplica(1);
    change(replica, { good: "good", bad: "bad" });
    const tamperRequest = (message: ExchangeRequest): ExchangeRequest => {
      if (message.message?.$case !== "push") return message;
      for (const push of message.message.value.pushes) {
        push.fingerprint = { algorithm: 1, value: fingerprintOf(push.id, push.content?.value ?? "") };
        if (push.id === "bad") push.content = { $case: "text", value: "damaged" };
      }
      return message;
    };
    const { report, fault } = exchange({ store, replica, tamperRequest });
    expect(fault).toBeUndefined();
    expect(report).toMatchObject({ sent: 1, verified: true });
    expect(report.rejected).toMatchObject([{ id: "bad", reason: ErrorReason.ERROR_REASON_FINGERPRINT_MISMATCH }]);
    expect(serverContents(store)).toEqual({ good: "good" });
    expect(replica.listPending(0, 10)).toMatchObject([{ id: "bad", rejected: { reason: report.rejected[0]?.reason } }]);
    clean(exchange({ store, replica }));
    expect(serverContents(store)).toEqual({ good: "good", bad: "bad" });
    expect(replica.state().rejected).toBe(0);
  });

  test("a batch whose range fingerprint does not agree stores nothing of what it covers", () => {
    const store = newStore();
    const replica = newReplica(1);
    change(replica, { a: "1", b: "2" });
    const tamperRequest = (message: ExchangeRequest): ExchangeRequest => {
      const push = message.message?.$case === "push" ? message.message.value.pushes[0] : undefined;
      if (push !== undefined) push.content = { $case: "text", value: "damaged" };
      return message;
    };
    const { report } = exchange({ store, replica, tamperRequest });
    expect(report.rejectedCount).toBe(2);
    expect(serverContents(store)).toEqual({});
  });

  test("a page that is damaged on the way down is fetched once more", () => {
    const { store } = together({ x: "1", y: "2" });
    const replica = newReplica(2);
    const tamperResponse = (message: ExchangeResponse): ExchangeResponse => {
      const info = message.message?.$case === "page" ? message.message.value.changes[0] : undefined;
      if (info !== undefined) info.content = { $case: "text", value: "damaged" };
      return message;
    };
    clean(exchange({ store, replica, tamperResponse }));
    expect(contents(replica)).toEqual({ x: "1", y: "2" });
  });

  test("a content that stays wrong fails the exchange, names the item, and leaves what was checkpointed", () => {
    const { store, replica } = together({ x: "1" });
    elsewhere(store, { bad: "two" });
    const tamperResponse = (message: ExchangeResponse): ExchangeResponse => {
      if (message.message?.$case !== "contents") return message;
      for (const item of message.message.value.items) item.content = { $case: "text", value: "damaged" };
      return message;
    };
    const outcome = exchange({ store, replica, tamperResponse, clientLimits: { inlineBytes: 1 } });
    expect(outcome.fault).toMatchObject({ reason: ErrorReason.ERROR_REASON_UNVERIFIED, metadata: { id: "bad" } });
    expect(contents(replica)).toEqual({ x: "1" });
    clean(exchange({ store, replica }));
    expect(contents(replica)).toEqual({ x: "1", bad: "two" });
  });
});

describe("R4 for contents that come with a fingerprint", () => {
  test("the content of a conflict's verdict is checked, and fetched once more", () => {
    const { store, replica } = together();
    change(replica, { x: "mine" });
    let wrote = false;
    const outcome = exchange({
      store,
      replica,
      standard: SERVER,
      clientLimits: { eagerBytes: 1 },
      // Another client is faster than the push, and the feed passes it before the push comes.
      tamperRequest(message) {
        if (message.message?.$case === "push" && !wrote) {
          wrote = true;
          elsewhere(store, { x: "theirs" });
        }
        return message;
      },
      tamperResponse(message) {
        const verdicts = message.message?.$case === "verdicts" ? message.message.value.verdicts : [];
        for (const { current } of verdicts)
          if (current !== undefined) current.content = { $case: "text", value: "damaged" };
        return message;
      },
    });
    clean(outcome);
    expect(contents(replica)).toEqual({ x: "theirs" });
  });

  test("a page's content with a fingerprint of its own likewise", () => {
    const { store } = together({ x: "1", y: "2" });
    const replica = newReplica(2);
    const tamperResponse = (message: ExchangeResponse): ExchangeResponse => {
      if (message.message?.$case !== "page") return message;
      for (const info of message.message.value.changes) {
        info.fingerprint = { algorithm: 1, value: fingerprintOf(info.id, info.content?.value ?? "") };
        if (info.id === "x") info.content = { $case: "text", value: "damaged" };
      }
      message.message.value.fingerprint = undefined;
      return message;
    };
    clean(exchange({ store, replica, tamperResponse }));
    expect(contents(replica)).toEqual({ x: "1", y: "2" });
  });
});

/** Cuts after Open and an eager push have arrived, before any answer. */
const ARRIVED = { cutAfter: 2, random: () => 0 };

describe("R5 idempotent", () => {
  test("what arrived before the cut and was changed here again is the base, not somebody else's change", () => {
    const { store, replica } = together();
    change(replica, { x: "first" });
    // Cut after the push has arrived and before any answer.
    exchange({ store, replica, standard: SERVER, ...ARRIVED });
    expect(serverContents(store)).toEqual({ x: "first" });
    change(replica, { x: "second" });
    const { report } = clean(exchange({ store, replica, standard: SERVER }));
    expect(report.conflictCount).toBe(0);
    expect(serverContents(store)).toEqual({ x: "second" });
    expect(contents(replica)).toEqual({ x: "second" });
  });

  test("a creation that arrived before the cut and was deleted here since is deleted there", () => {
    const { store, replica } = together({});
    change(replica, { x: "first" });
    exchange({ store, replica, ...ARRIVED });
    expect(serverContents(store)).toEqual({ x: "first" });
    change(replica, { x: null });
    const { report } = clean(exchange({ store, replica, standard: SERVER }));
    expect(report).toMatchObject({ conflictCount: 0, sentDeletions: 1 });
    expect(serverContents(store)).toEqual({});
  });

  test("a push that arrives late, after the item was deleted here and there, does not bring it back", () => {
    const { store, replica } = together({});
    change(replica, { x: "first" });
    const late = exchange({ store, replica, cutAfter: 0 });
    change(replica, { x: null });
    clean(exchange({ store, replica }));
    replay(store, late);
    expect(serverContents(store)).toEqual({});
  });

  test("a push that arrives late does not undo a return to the old content", () => {
    const { store, replica } = together();
    change(replica, { x: "away" });
    const late = exchange({ store, replica, cutAfter: 0 });
    change(replica, { x: "old" });
    clean(exchange({ store, replica }));
    replay(store, late);
    expect(serverContents(store)).toEqual({ x: "old" });
  });

  test("a first exchange that arrives late does not bring back what was deleted since", () => {
    const store = newStore();
    const replica = newReplica(1);
    change(replica, { x: "first" });
    const late = exchange({ store, replica, cutAfter: 5 });
    expect(late.requests.some((request) => request.message?.$case === "push")).toBe(true);
    change(replica, { x: null });
    clean(exchange({ store, replica }));
    replay(store, late);
    expect(serverContents(store)).toEqual({});
  });

  test("an exchange that is replayed whole changes nothing", () => {
    const store = newStore();
    const replica = newReplica(1);
    change(replica, { x: "1", y: "2" });
    const first = clean(exchange({ store, replica }));
    const { revision } = serverState(store);
    replay(store, first);
    expect(serverState(store).revision).toBe(revision);
  });

  /** Sends a client's messages once more, to a new stream. */
  function replay(store: ReturnType<typeof newStore>, outcome: PairOutcome): void {
    let next = 0;
    const replayed = exchange({
      store,
      replica: newReplica(50),
      tamperRequest: (message) => outcome.requests[next++] ?? message,
    });
    expect(replayed.requests.length).toBeGreaterThan(0);
  }
});

describe("R6 proof", () => {
  test("a side that does not hold what it should is found out", () => {
    const { store, replica } = together();
    const tamperResponse = (message: ExchangeResponse): ExchangeResponse => {
      const proof = message.message?.$case === "page" ? message.message.value.proof : undefined;
      if (proof !== undefined) proof.sum = flip(proof.sum);
      return message;
    };
    const outcome = exchange({ store, replica, tamperResponse });
    expect(outcome.fault?.reason).toBe(ErrorReason.ERROR_REASON_UNVERIFIED);
    expect(outcome.report.verified).toBe(false);
  });

  test("pending, rejected and contended changes do not disturb it", () => {
    const { store, replica } = together();
    change(replica, { x: "new", big: "x".repeat(1000) });
    const outcome = exchange({ store, replica, serverLimits: { itemBytes: 100 }, clientLimits: { itemBytes: 5000 } });
    expect(outcome.report).toMatchObject({ verified: true, rejectedCount: 1, sent: 1 });
  });
});

describe("R8 local writes go on", () => {
  test("what the application writes between the comparison and its storing is compared again", () => {
    const { store, replica } = together();
    elsewhere(store, { x: "theirs", y: "new" });
    let wrote = false;
    const outcome = exchange({
      store,
      replica,
      standard: SERVER,
      beforeClientOperation(kind) {
        if (kind !== "apply" || wrote) return;
        wrote = true;
        change(replica, { x: "mine" });
      },
    });
    clean(outcome);
    expect(outcome.report.conflicts).toEqual([{ id: "x", standard: SERVER, prevailed: "theirs" }]);
    expect(contents(replica)).toEqual({ x: "theirs", y: "new" });
    expect(replica.getConflict(1)?.content).toBe("mine");
  });

  test("a verdict on what was changed meanwhile moves the base and leaves the change pending", () => {
    const { store, replica } = together();
    change(replica, { x: "sent" });
    let wrote = false;
    const meanwhile = (delivered: number): void => {
      if (delivered < 2 || wrote) return;
      wrote = true;
      change(replica, { x: "later" });
    };
    clean(exchange({ store, replica, standard: SERVER, meanwhile }));
    expect(serverContents(store)).toEqual({ x: "sent" });
    expect(replica.state().pending).toBe(1);
    const { report } = clean(exchange({ store, replica, standard: SERVER }));
    expect(report.conflictCount).toBe(0);
    expect(serverContents(store)).toEqual({ x: "later" });
  });
});

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

describe("limits", () => {
  test("what is larger than the server takes is marked and not sent, and does not hold up the others", () => {
    const store = newStore();
    const replica = newReplica(1);
    change(replica, { big: "x".repeat(5000), small: "1" });
    const outcome = exchange({ store, replica, serverLimits: { itemBytes: 1000 } });
    expect(outcome.report).toMatchObject({ verified: true, sent: 1, rejected: [{ id: "big" }] });
    expect(outcome.requestBytes).toBeLessThan(1000);
    expect(replica.listPending(0, 10)).toMatchObject([
      { id: "big", rejected: { reason: ErrorReason.ERROR_REASON_ITEM_TOO_LARGE } },
    ]);
    // Tried again with every exchange: the server may take more by now.
    expect(exchange({ store, replica }).report).toMatchObject({ sent: 1, rejectedCount: 0 });
  });

  test("no message is over its size, whatever the data", () => {
    const { store, replica } = together({});
    change(replica, Object.fromEntries(Array.from({ length: 400 }, (_, i) => [`i${i}`, "x".repeat(i * 40)])));
    const limits = { messageBytes: 32 * 1024, windowBytes: 64 * 1024, eagerBytes: 1000 };
    const up = clean(exchange({ store, replica, serverLimits: limits }));
    const down = clean(exchange({ store, replica: newReplica(2), serverLimits: limits }));
    for (const request of up.requests) expect(JSON.stringify(request).length).toBeLessThan(64 * 1024);
    expect(up.requests.length).toBeGreaterThan(50);
    expect(down.responses.length).toBeGreaterThan(50);
    const perMessage = down.responseBytes / down.responses.length;
    expect(perMessage).toBeLessThan(40 * 1024);
  });

  test("large contents are fetched within the window, a wait for each", () => {
    const { store } = together(
      Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`i${i}`, `${i}`.repeat(2000)])),
    );
    const replica = newReplica(2);
    const serverLimits = { inlineBytes: 100, windowBytes: 20_000, messageBytes: 16 * 1024 };
    const outcome = clean(exchange({ store, replica, serverLimits, lockstep: true }));
    const fetches = outcome.requests.flatMap((r) =>
      r.message?.$case === "fetch" ? [r.message.value.items.length] : [],
    );
    expect(fetches.length).toBeGreaterThan(5);
    expect(Math.max(...fetches)).toBeLessThanOrEqual(serverLimits.windowBytes / 2000);
    expect(outcome.report).toMatchObject({ received: 60, roundTrips: outcome.trips });
  });

  test("pages wait where contents have to be fetched, so that the client need not hold them", () => {
    const items = Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`i${i}`, "x".repeat(100 + (i % 50))]));
    const { store } = together(items);
    const replica = newReplica(2);
    let ahead = 0;
    let most = 0;
    const outcome = clean(
      exchange({
        store,
        replica,
        serverLimits: { inlineBytes: 1, messageBytes: 16 * 1024, windowBytes: 64 * 1024 },
        lockstep: true,
        tamperResponse(message) {
          if (message.message?.$case === "page") ahead += message.message.value.changes.length;
          most = Math.max(most, ahead);
          return message;
        },
        tamperRequest(message) {
          if (message.message?.$case === "taken") ahead = 0;
          return message;
        },
      }),
    );
    expect(outcome.report.received).toBe(3000);
    // A window of ids and contents, and the page that goes beyond it.
    expect(most).toBeLessThan((64 * 1024) / 164 + 300);
    expect(contents(replica)).toEqual(items);
  });

  test("what may be without a verdict is bounded by items, too", () => {
    const { store, replica } = together({});
    change(replica, Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`i${i}`, "1"])));
    let under = 0;
    let most = 0;
    const outcome = exchange({
      store,
      replica,
      serverLimits: { windowItems: 40 },
      clientLimits: { eagerBytes: 1 },
      tamperRequest(message) {
        if (message.message?.$case === "push") under += message.message.value.pushes.length;
        most = Math.max(most, under);
        return message;
      },
      tamperResponse(message) {
        const verdicts = message.message?.$case === "verdicts" ? message.message.value.verdicts : [];
        for (const verdict of verdicts) under -= verdict.count;
        return message;
      },
    });
    expect(clean(outcome).report.sent).toBe(500);
    expect(most).toBeLessThanOrEqual(40);
  });
});

describe("standards", () => {
  test("one that the collection binds is in force whatever the client asks for", () => {
    const { store, replica } = boundTo(CLIENT);
    change(replica, { x: "mine" });
    const { report } = clean(exchange({ store, replica, standard: SERVER }));
    expect(report.standard).toBe(CLIENT);
    expect(serverContents(store)).toEqual({ x: "mine" });
  });

  test("one that this client can't judge by ends the exchange before anything is stored", () => {
    const { store, replica } = boundTo(9 as 1);
    change(replica, { x: "mine" });
    expect(exchange({ store, replica }).fault?.reason).toBe(ErrorReason.ERROR_REASON_UNSUPPORTED);
    expect(replica.state().revision).toBe(0);
    expect(contents(replica)).toEqual({ x: "mine" });
  });

  function boundTo(standard: ChangeStandard) {
    const store = createMemoryStore({ epoch: Buffer.alloc(8, 1) });
    store.createCollection({ name: "things", uid: Buffer.alloc(16, 9), standard, nowUs: nowUs() });
    const fingerprint = fingerprintOf("x", "theirs");
    const upsert = { content: "theirs", fingerprint, size: 6 };
    const write = { id: "x", upsert, modifyTimeUs: 1, expected: undefined, seen: 0, fence: false, group: 0 };
    now(store.write([{ uid: Buffer.alloc(16, 9), writes: [{ ...write, overrides: undefined }], nowUs: nowUs() }]));
    return { store, replica: newReplica(1) };
  }
});

describe("creations", () => {
  test("of an item that others made and deleted meanwhile are new, in an incremental exchange as in a first pull", () => {
    for (const limits of [{}, { eagerBytes: 1 }]) {
      const { store, replica } = together({});
      elsewhere(store, { x: "theirs" });
      elsewhere(store, { x: null });
      change(replica, { x: "mine" });
      const { report } = clean(exchange({ store, replica, standard: SERVER, clientLimits: limits }));
      expect(report.conflictCount).toBe(0);
      expect(contents(replica)).toEqual({ x: "mine" });
      expect(serverContents(store)).toEqual({ x: "mine" });
    }
  });

  test("that may have arrived, and may be what was deleted, are conflicts", () => {
    const { store, replica } = together({});
    change(replica, { x: "mine" });
    exchange({ store, replica, ...ARRIVED });
    elsewhere(store, { x: null });
    const { report } = clean(exchange({ store, replica, standard: SERVER }));
    expect(report.conflictCount).toBe(1);
    expect(contents(replica)).toEqual({});
    expect(replica.getConflict(1)?.content).toBe("mine");
  });
});

describe("progress", () => {
  test("a long push among other writers still gets checkpoints, and is not echoed after a cut", () => {
    const { store, replica } = together({});
    change(replica, Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`i${i}`, "x".repeat(400)])));
    let pushes = 0;
    const limits = { serverLimits: { windowBytes: 64 * 1024, messageBytes: 16 * 1024 } };
    exchange({
      store,
      replica,
      ...limits,
      tamperRequest(message) {
        if (message.message?.$case === "push" && ++pushes === 2) elsewhere(store, { other: "1" });
        return message;
      },
      cutAfter: 120,
    });
    const { pending, revision } = replica.state();
    expect(pending).toBeLessThan(1500);
    expect(revision).toBeGreaterThan(300);
    const again = clean(exchange({ store, replica, ...limits }));
    const told = again.responses.flatMap((r) => (r.message?.$case === "page" ? r.message.value.changes : []));
    expect(told.length).toBeLessThan(200);
  });

  test("an exchange whose last change turns out to be too large for the server ends all the same", () => {
    const { store, replica } = together();
    let wrote = false;
    const outcome = exchange({
      store,
      replica,
      standard: CLIENT,
      serverLimits: { itemBytes: 1000 },
      beforeClientOperation(kind) {
        if (kind !== "lookup" || wrote) return;
        wrote = true;
        change(replica, { x: "x".repeat(2000) });
      },
      meanwhile(delivered) {
        if (delivered === 0) elsewhere(store, { x: "theirs" });
      },
    });
    expect(outcome.cut).toBe(false);
    expect(outcome.report).toMatchObject({ verified: true, rejected: [{ id: "x" }] });
  });
});
