import { describe, expect, test } from "vitest";
import { fingerprintOf } from "../../core/fingerprint.js";
import { ErrorReason } from "../../gen/tercet/v1/error.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import type { ExchangeResponse } from "../../gen/tercet/v1/sync.js";
import { createMemoryStore } from "../../server/store/memory.js";
import { exchange, type PairOutcome } from "./pair.js";
import { clean, elsewhere, together } from "./together.js";
import { change, contents, newReplica, newStore, now, nowUs, serverContents, serverState } from "./world.js";

const SERVER = ChangeStandard.CHANGE_STANDARD_SERVER;
const CLIENT = ChangeStandard.CHANGE_STANDARD_CLIENT;

/** Cuts after Open and an eager push have arrived, before any answer. */
const ARRIVED = { cutAfter: 2, random: () => 0 };

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
