import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ReplicaStore } from "../../client/replica/store.js";
import { DEFAULT_LIMITS } from "../../core/limits.js";
import { ErrorReason } from "../../gen/tercet/v1/error.js";
import type { ChangePage, ExchangeRequest, ExchangeResponse, Open, Opened } from "../../gen/tercet/v1/sync.js";
import { decodeToken, encodeToken } from "../../server/protocol/token.js";
import type { MemoryStore } from "../../server/store/memory.js";
import { exchange, type PairOptions, type PairOutcome } from "./pair.js";
import { change, contents, newReplica, newStore, now, nowUs, serverContents, serverState } from "./world.js";

const NOTHING = Buffer.alloc(0);

/** A server and a replica that are equal, and have met twice. */
function together() {
  const store = newStore();
  const replica = newReplica(1);
  change(replica, { x: "old" });
  again(store, replica);
  again(store, replica);
  return { store, replica };
}

function again(store: MemoryStore, replica: ReplicaStore, options: Partial<PairOptions> = {}): PairOutcome {
  const outcome = exchange({ store, replica, ...options });
  expect(outcome.fault).toBeUndefined();
  expect(outcome.report.verified).toBe(true);
  return outcome;
}

function openOf({ requests }: PairOutcome): Open {
  return requests.flatMap(({ message }) => (message?.$case === "open" ? [message.value] : []))[0] as Open;
}

function openedOf({ responses }: PairOutcome): Opened {
  return responses.flatMap(({ message }) => (message?.$case === "opened" ? [message.value] : []))[0] as Opened;
}

function pagesOf({ responses }: PairOutcome): ChangePage[] {
  return responses.flatMap(({ message }) => (message?.$case === "page" ? [message.value] : []));
}

/** The client's first message, changed on its way. */
function opening(changes: Partial<Open>): Pick<PairOptions, "tamperRequest"> {
  return {
    tamperRequest({ message }: ExchangeRequest): ExchangeRequest {
      return { message: message?.$case === "open" ? { ...message, value: { ...message.value, ...changes } } : message };
    },
  };
}

function toldEverything(outcome: PairOutcome, store: MemoryStore): void {
  const { uid } = serverState(store);
  expect(openedOf(outcome)).toMatchObject({ unchanged: false, collectionUid: Buffer.from(uid), skewUs: 60_000_000 });
  expect(openedOf(outcome).tag.length).toBe(8);
  expect(openedOf(outcome).limits).toBeDefined();
  expect(openedOf(outcome).capabilities.length).toBeGreaterThan(0);
  expect(openedOf(outcome).lineage.length).toBeGreaterThan(0);
  for (const { checkpoint } of pagesOf(outcome)) expect(checkpoint?.token.length).toBeGreaterThan(0);
}

describe("what the client keeps", () => {
  test("is not told again, and an exchange without a change is three small messages", () => {
    const { store, replica } = together();
    const before = replica.state();
    const outcome = again(store, replica);
    expect(outcome.requests).toHaveLength(1);
    expect(openOf(outcome)).toMatchObject({ collectionUid: NOTHING, limits: undefined, create: false, done: true });
    expect(openOf(outcome).knownTag.length).toBe(8);
    expect(outcome.responses).toHaveLength(2);
    const untold = {
      collectionUid: NOTHING,
      limits: undefined,
      capabilities: [],
      lineage: [],
      skewUs: 0,
      tag: NOTHING,
    };
    expect(openedOf(outcome)).toMatchObject({ unchanged: true, ...untold, head: before.revision });
    expect(pagesOf(outcome)).toMatchObject([
      { end: true, checkpoint: { token: NOTHING, revision: before.revision }, proof: { count: 1 } },
    ]);
    expect(outcome.requestBytes + outcome.responseBytes).toBeLessThanOrEqual(170);
    expect(outcome.report.roundTrips).toBe(1);
    expect(replica.state()).toEqual(before);
  });

  test("is told where there is a change, but for what is kept", () => {
    const { store, replica } = together();
    const other = newReplica(2);
    again(store, other);
    change(other, { y: "theirs" });
    change(replica, { z: "mine" });
    again(store, other);
    const outcome = again(store, replica);
    expect(openedOf(outcome)).toMatchObject({ unchanged: true, limits: undefined });
    for (const { checkpoint } of pagesOf(outcome)) expect(checkpoint?.token.length).toBeGreaterThan(0);
    expect(contents(replica)).toEqual(serverContents(store));
    expect(contents(replica)).toEqual({ x: "old", y: "theirs", z: "mine" });
    expect(openedOf(again(store, replica)).unchanged).toBe(true);
  });

  test("is told to whoever names nothing, or something else", () => {
    for (const knownTag of [NOTHING, Buffer.alloc(8, 5), Buffer.alloc(7), Buffer.alloc(1000)]) {
      const { store, replica } = together();
      const outcome = again(store, replica, opening({ knownTag }));
      toldEverything(outcome, store);
      expect(openedOf(outcome).lineage).toMatchObject([{ firstRevision: 1 }]);
      expect(openedOf(again(store, replica)).unchanged).toBe(true);
    }
  });

  test("is told where it has changed, and then kept", () => {
    const { store, replica } = together();
    const serverLimits = { ...DEFAULT_LIMITS, eagerBytes: 1000 };
    const outcome = again(store, replica, { serverLimits });
    toldEverything(outcome, store);
    expect(openedOf(outcome).limits).toMatchObject({ eagerBytes: 1000 });
    const next = again(store, replica, { serverLimits });
    expect(openedOf(next).unchanged).toBe(true);
    // It is in force, though it was not told: what is larger is not sent eagerly.
    change(replica, { large: "x".repeat(2000) });
    const large = again(store, replica, { serverLimits });
    expect(openedOf(large).unchanged).toBe(true);
    expect(large.report).toMatchObject({ roundTrips: 2, sent: 1 });
    // Wishes of the client's own are no part of what it keeps.
    const wishes = { clientLimits: { inlineBytes: 10 } };
    toldEverything(again(store, replica, { serverLimits, ...wishes }), store);
    expect(openedOf(again(store, replica, { serverLimits, ...wishes })).unchanged).toBe(true);
    toldEverything(again(store, replica, { serverLimits }), store);
  });

  test("is not kept of an exchange that was cut before its first transaction", () => {
    const { store, replica } = together();
    const serverLimits = { ...DEFAULT_LIMITS, eagerBytes: 1000 };
    const before = replica.state().settings;
    expect(exchange({ store, replica, serverLimits, cutAfter: 2 }).cut).toBe(true);
    expect(replica.state().settings).toEqual(before);
    toldEverything(again(store, replica, { serverLimits }), store);
  });

  test("grows by the epochs that have begun since", () => {
    const { store, replica } = together();
    const restarted = store.clone(Buffer.alloc(8, 2));
    expect(openedOf(again(restarted, replica))).toMatchObject({ unchanged: true, lineage: [] });
    const other = newReplica(2);
    again(restarted, other);
    change(other, { y: "after the restart" });
    again(restarted, other);
    const outcome = again(restarted, replica);
    const second = { id: Buffer.alloc(8, 2), firstRevision: 2 };
    expect(openedOf(outcome)).toMatchObject({ unchanged: true, lineage: [second] });
    expect(replica.state().lineage).toMatchObject([{ firstRevision: 1 }, second]);
    const third = restarted.clone(Buffer.alloc(8, 3));
    change(replica, { z: "1" });
    again(third, replica);
    expect(replica.state().lineage).toMatchObject([{ firstRevision: 1 }, second, { firstRevision: 3 }]);
    expect(openedOf(again(third, replica))).toMatchObject({ unchanged: true, lineage: [] });
  });

  test("is told where the token is refused, and in a recovery", () => {
    const { store, replica } = together();
    const backup = store.clone(Buffer.alloc(8, 2));
    change(replica, { y: "lost" });
    again(store, replica);
    const outcome = again(backup, replica);
    expect(openedOf(outcome).tokenRefused).toBe(ErrorReason.ERROR_REASON_TOKEN_OTHER_HISTORY);
    toldEverything(outcome, backup);
    expect(openedOf(again(backup, replica)).unchanged).toBe(true);
    const verified = exchange({ store: backup, replica, mode: "verify" });
    expect([openOf(verified).knownTag.length, openOf(verified).collectionUid.length]).toEqual([0, 16]);
    toldEverything(verified, backup);
  });

  test("can't be left out by a server that was not asked to", () => {
    const store = newStore();
    const replica = newReplica(1);
    const tamperResponse = ({ message }: ExchangeResponse): ExchangeResponse => {
      if (message?.$case !== "opened") return { message };
      return { message: { ...message, value: { ...message.value, unchanged: true } } };
    };
    expect(exchange({ store, replica, tamperResponse }).fault?.reason).toBe(ErrorReason.ERROR_REASON_OUT_OF_ORDER);
    expect(replica.state().revision).toBe(0);
  });
});

describe("a token", () => {
  test("says which collection it is of", () => {
    const { store, replica } = together();
    const { uid } = serverState(store);
    now(store.deleteCollection(uid));
    now(store.createCollection({ name: "things", uid: Buffer.alloc(16, 8), standard: 0, nowUs: nowUs() }));
    const unnamed = opening({ collectionUid: NOTHING, knownTag: NOTHING });
    const deleted = exchange({ store, replica, ...unnamed });
    expect(deleted.fault?.reason).toBe(ErrorReason.ERROR_REASON_COLLECTION_DELETED);
    const other = newReplica(5);
    again(store, other);
    const foreign = exchange({ store: newStore(), replica: other, ...unnamed });
    expect(foreign.fault?.reason).toBe(ErrorReason.ERROR_REASON_TOKEN_FOREIGN);
  });

  test("is read as it was made, and not where a bit of it is another", () => {
    const revision = fc.maxSafeNat();
    const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
    fc.assert(
      fc.property(bytes(16), bytes(8), revision, revision, fc.nat(), (uid, epoch, at, head, flipped) => {
        const encoded = encodeToken({ uid, epoch, revision: at, pullHead: head });
        expect(decodeToken(encoded)).toEqual({
          uid: Buffer.from(uid),
          epoch: Buffer.from(epoch),
          revision: at,
          pullHead: head,
        });
        const damaged = Buffer.from(encoded);
        const place = flipped % damaged.length;
        damaged[place] = (damaged[place] ?? 0) ^ (1 << (flipped % 8));
        expect(decodeToken(damaged)).toBeUndefined();
        expect(decodeToken(encoded.subarray(0, flipped % encoded.length))).toBeUndefined();
      }),
    );
  });

  test("takes few bytes", () => {
    const uid = Buffer.alloc(16, 1);
    const epoch = Buffer.alloc(8, 2);
    expect(encodeToken({ uid, epoch, revision: 0, pullHead: 0 })).toHaveLength(30);
    expect(encodeToken({ uid, epoch, revision: 1_000_000, pullHead: 0 })).toHaveLength(32);
    expect(encodeToken({ uid, epoch, revision: 1, pullHead: 2 ** 53 - 1 })).toHaveLength(38);
  });
});
