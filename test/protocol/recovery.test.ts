import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { MemoryReplica } from "../../client/replica/memory.js";
import { createRangeSum } from "../../core/range-sum.js";
import { ErrorReason } from "../../gen/tercet/v1/error.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import type { MemoryStore } from "../../server/store/memory.js";
import { runs } from "../runs.js";
import { exchange, type PairOptions } from "./pair.js";
import { clean, elsewhere, together } from "./together.js";
import { change, contents, now, nowUs, serverContents, serverState } from "./world.js";

const SERVER = ChangeStandard.CHANGE_STANDARD_SERVER;
const CLIENT = ChangeStandard.CHANGE_STANDARD_CLIENT;

function many(count: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, at) => [`item-${String(at).padStart(6, "0")}`, `${at}`]));
}

function compact(store: MemoryStore): void {
  const { uid, revision } = serverState(store);
  now(store.compact({ uid, through: revision }));
}

/** A server that was set back: what `since` does to the store comes after the backup. */
function setBack(
  items: Record<string, string>,
  since: (world: { store: MemoryStore; replica: MemoryReplica }) => void,
) {
  const { store, replica } = together(items);
  const backup = store.clone(Buffer.alloc(8, 2));
  since({ store, replica });
  return { backup, replica };
}

function equal(store: MemoryStore, replica: MemoryReplica): void {
  expect(contents(replica)).toEqual(serverContents(store));
  expect(replica.state().total).toEqual(serverState(store).total);
  expect(replica.audit()).toBeUndefined();
  const again = clean(exchange({ store, replica }));
  expect(again.report).toMatchObject({ roundTrips: 1, recovery: undefined, sent: 0, received: 0, conflictCount: 0 });
}

describe("a compacted token", () => {
  test("is recovered from: what was deleted goes, what was changed comes, what is pending is sent", () => {
    const { store, replica } = together(many(300));
    elsewhere(store, { "item-000007": null, "item-000100": "new", "item-000301": "more" });
    compact(store);
    change(replica, { "item-000200": "mine", "item-000400": "own" });
    const { report } = clean(exchange({ store, replica }));
    expect(report).toMatchObject({ received: 2, deleted: 1, sent: 2, conflictCount: 0 });
    expect(report.recovery).toMatchObject({ why: "compacted", differences: 3, offeredCount: 0 });
    expect(serverContents(store)["item-000007"]).toBeUndefined();
    equal(store, replica);
  });

  test("an item deleted there and changed here is a conflict, also without its tombstone", () => {
    for (const [standard, end] of [
      [SERVER, undefined],
      [CLIENT, "mine"],
    ] as const) {
      const { store, replica } = together({ x: "old", y: "kept" });
      elsewhere(store, { x: null });
      compact(store);
      change(replica, { x: "mine" });
      const { report } = clean(exchange({ store, replica, standard }));
      expect(report.conflicts.map(({ id }) => id)).toEqual(["x"]);
      expect(contents(replica)["x"]).toBe(end);
      equal(store, replica);
    }
  });

  test("a creation that was sent, made, deleted by somebody else and compacted does not come back unseen", () => {
    const { store, replica } = together({ y: "kept" });
    change(replica, { x: "mine" });
    // The verdict is lost.
    let pushed = false;
    exchange({
      store,
      replica,
      tamperRequest(message) {
        pushed ||= message.message?.$case === "push";
        return message;
      },
      tamperResponse: (message) => (pushed ? { message: undefined } : message),
    });
    elsewhere(store, { x: null });
    compact(store);
    const { report } = clean(exchange({ store, replica, standard: SERVER }));
    expect(report.conflicts.map(({ id }) => id)).toEqual(["x"]);
    expect(contents(replica)).toEqual({ y: "kept" });
    equal(store, replica);
  });

  test("a creation that was sent and is under way yet, and was deleted here since, is not made after a recovery", () => {
    const { store, replica } = together(many(5));
    change(replica, { x: "mine" });
    const first = exchange({
      store,
      replica,
      tamperRequest: (message) => (message.message?.$case === "push" ? { message: undefined } : message),
    });
    expect(first.report.sent).toBe(0);
    change(replica, { x: null });
    elsewhere(store, { "item-000001": null });
    compact(store);
    const { report } = clean(exchange({ store, replica, standard: SERVER }));
    expect(report).toMatchObject({ sentDeletions: 1, conflictCount: 0 });
    expect(report.recovery).toMatchObject({ why: "compacted" });
    // The deletion is there for what comes late to be held against.
    const { uid } = serverState(store);
    const everything = { uid, after: 0, tombstonesAfter: 0, maxBytes: 1e6, maxChanges: 100, inlineBytes: -1 };
    expect(now(store.readChanges(everything))?.changes.filter(({ id }) => id === "x")).toMatchObject([
      { fingerprint: undefined },
    ]);
    equal(store, replica);
  });

  test("the horizon may overtake an exchange that is under way", () => {
    const { store, replica } = together(many(50));
    let done = false;
    const outcome = exchange({
      store,
      replica,
      meanwhile(delivered) {
        if (delivered < 1 || done) return;
        done = true;
        elsewhere(store, { "item-000003": null });
        compact(store);
      },
    });
    if (outcome.fault !== undefined) expect(outcome.fault.reason).toBe(ErrorReason.ERROR_REASON_TOKEN_COMPACTED);
    clean(exchange({ store, replica }));
    equal(store, replica);
  });
});

describe("a lost checkpoint", () => {
  test("is recovered at once, in bytes that follow the differences", () => {
    const { store, replica } = together(many(2000));
    elsewhere(store, { "item-000500": "there", "item-001500": null });
    const lost = withoutToken(replica);
    const outcome = clean(exchange({ store, replica: lost, lockstep: true }));
    expect(outcome.report).toMatchObject({ received: 1, deleted: 1, recovery: { why: "asked", differences: 2 } });
    expect(outcome.report.roundTrips).toBe(outcome.trips);
    expect(outcome.requestBytes + outcome.responseBytes).toBeLessThan(12_000);
    equal(store, lost);
  });

  test("costs little where nothing differs", () => {
    const { store, replica } = together(many(2000));
    const outcome = clean(exchange({ store, replica: withoutToken(replica), lockstep: true }));
    expect(outcome.trips).toBe(2);
    expect(outcome.requestBytes + outcome.responseBytes).toBeLessThan(2000);
  });
});

/** The same replica, but that it does not know any more up to where it has taken the server's changes. */
function withoutToken(replica: MemoryReplica): MemoryReplica {
  const forgetful = replica.clone();
  const state = forgetful.state.bind(forgetful);
  let remembers = false;
  return {
    ...forgetful,
    state: () => (remembers ? state() : { ...state(), token: Buffer.alloc(0), revision: 0 }),
    apply(batch) {
      remembers ||= batch.recovered !== undefined || batch.checkpoint !== undefined;
      return forgetful.apply(batch);
    },
  };
}

describe("a server that was set back", () => {
  const before = { a: "1", b: "1", c: "1", d: "1" };

  test("gets back what it lost, as a new change", () => {
    const { backup, replica } = setBack(before, ({ store, replica: own }) => {
      change(own, { a: "2", e: "new" });
      clean(exchange({ store, replica: own }));
      elsewhere(store, { b: "2" });
      clean(exchange({ store, replica: own }));
    });
    const { report } = clean(exchange({ store: backup, replica }));
    expect(report.recovery).toMatchObject({ why: "history", offeredCount: 3 });
    expect([...(report.recovery?.offered ?? [])].sort()).toEqual(["a", "b", "e"]);
    expect(report).toMatchObject({ sent: 3, conflictCount: 0 });
    expect(serverContents(backup)).toEqual({ a: "2", b: "2", c: "1", d: "1", e: "new" });
    equal(backup, replica);
  });

  test("names what came back because its deletion was lost, and a dry run says all of it before", () => {
    const { backup, replica } = setBack(before, ({ store, replica: own }) => {
      change(own, { a: null, b: "2", e: "new" });
      clean(exchange({ store, replica: own }));
    });
    const dry = exchange({ store: backup, replica, mode: "dry-run" }).report;
    const { report } = clean(exchange({ store: backup, replica }));
    for (const each of [dry, report]) {
      expect(each).toMatchObject({ sent: 2, received: 1, recovery: { returned: ["a"], offeredCount: 2 } });
    }
  });

  test("has a conflict where it changed since what it lost; deletions included", () => {
    for (const standard of [SERVER, CLIENT]) {
      const { backup, replica } = setBack(before, ({ store, replica: own }) => {
        change(own, { a: "2", b: "2", c: "2" });
        clean(exchange({ store, replica: own }));
      });
      elsewhere(backup, { a: "other", b: null, d: "other" });
      const { report } = clean(exchange({ store: backup, replica, standard }));
      expect(report.conflicts.map(({ id }) => id).sort()).toEqual(["a", "b"]);
      expect(report.recovery?.offered).toEqual(["c"]);
      const won = standard === CLIENT ? { a: "2", b: "2" } : { a: "other" };
      expect(serverContents(backup)).toEqual({ c: "2", d: "other", ...won });
      const records = replica.listConflicts(1e9, 10).length + now(backup.listConflicts(allConflicts(backup))).length;
      expect(records).toBe(2);
      equal(backup, replica);
    }
  });

  test("is followed, if the user wants it so: what it lost goes into conflict records", () => {
    const { backup, replica } = setBack(before, ({ store, replica: own }) => {
      change(own, { a: "2", e: "new" });
      clean(exchange({ store, replica: own }));
    });
    const { report } = clean(exchange({ store: backup, replica, onHistoryChange: "follow" }));
    expect(report.sent).toBe(0);
    expect(contents(replica)).toEqual(before);
    const lost = replica.listConflicts(1e9, 10).map(({ number }) => replica.getConflict(number)?.content);
    expect(lost.sort()).toEqual(["2", "new"]);
    equal(backup, replica);
  });

  test("a pending change on what it lost stays pending on what it has", () => {
    const { backup, replica } = setBack(before, ({ store, replica: own }) => {
      change(own, { a: "2" });
      clean(exchange({ store, replica: own }));
    });
    change(replica, { a: "3" });
    const { report } = clean(exchange({ store: backup, replica, standard: SERVER }));
    expect(report.conflictCount).toBe(0);
    expect(serverContents(backup)["a"]).toBe("3");
    equal(backup, replica);
  });

  test("later changes of items that were equal are not taken for old ones", () => {
    const { backup, replica } = setBack(before, ({ store, replica: own }) => {
      // Revisions of the lost history that are far ahead, with the contents of the backup in the end.
      for (const content of ["2", "3", "4", "1"]) {
        elsewhere(store, { a: content });
        clean(exchange({ store, replica: own }));
      }
    });
    clean(exchange({ store: backup, replica }));
    elsewhere(backup, { a: "late" });
    clean(exchange({ store: backup, replica }));
    expect(contents(replica)["a"]).toBe("late");
  });
});

function allConflicts(store: MemoryStore) {
  return { uid: serverState(store).uid, id: "", before: Number.MAX_SAFE_INTEGER, limit: 1000 };
}

describe("a collection that was deleted", () => {
  test("is filled anew only if the user says so", () => {
    const { store, replica } = together({ a: "1", b: "1" });
    change(replica, { b: "2", c: "3" });
    now(store.deleteCollection(serverState(store).uid));
    for (const create of [false, true]) {
      const { fault } = exchange({ store, replica, create });
      expect(fault?.reason).toBe(ErrorReason.ERROR_REASON_COLLECTION_DELETED);
    }
    const { report } = clean(exchange({ store, replica, recreate: true }));
    expect(report.recovery?.why).toBe("recreated");
    expect(serverContents(store)).toEqual({ a: "1", b: "2", c: "3" });
    equal(store, replica);
  });
});

describe("a proof that fails", () => {
  test("is followed by a recovery, once", () => {
    const { store, replica } = together(many(100));
    const { uid } = serverState(store);
    // An item that the server changed without telling: a page that was lost to a fault of somebody's.
    const { items } = now(store.readItems({ uid, ids: ["item-000042"], maxBytes: 1000 })) ?? { items: [] };
    const fingerprint = items[0]?.fingerprint;
    elsewhere(store, { "item-000042": "unseen" });
    const outcome = clean(
      exchange({
        store,
        replica,
        tamperResponse(message) {
          if (message.message?.$case !== "page") return message;
          const { value } = message.message;
          return { message: { $case: "page", value: { ...value, changes: [], fingerprint: undefined } } };
        },
      }),
    );
    expect(fingerprint).toBeDefined();
    expect(outcome.report.recovery).toMatchObject({ why: "unverified", differences: 1 });
    equal(store, replica);
  });

  test("ends the exchange with DATA_LOSS where it fails again", () => {
    const { store, replica } = together({ x: "1" });
    const { fault } = exchange({
      store,
      replica,
      tamperResponse(message) {
        if (message.message?.$case !== "page" || message.message.value.proof === undefined) return message;
        const proof = { ...message.message.value.proof, sum: createRangeSum().bytes() };
        return { message: { $case: "page", value: { ...message.message.value, proof } } };
      },
    });
    expect(fault?.reason).toBe(ErrorReason.ERROR_REASON_UNVERIFIED);
  });
});

describe("comparison without changes", () => {
  test("verify says what differs and changes nothing", () => {
    const { store, replica } = together(many(200));
    expect(exchange({ store, replica, mode: "verify" }).report).toMatchObject({ verified: true, differences: [] });
    elsewhere(store, { "item-000003": "there", "item-000004": null, other: "there" });
    const before = [contents(replica), replica.state(), serverState(store)];
    const { report, fault } = exchange({ store, replica, mode: "verify" });
    expect(fault).toBeUndefined();
    expect(report.verified).toBe(false);
    const found = report.differences.map(({ id, here, there }) => [id, here !== undefined, there !== undefined]);
    expect(found.sort()).toEqual([
      ["item-000003", true, true],
      ["item-000004", true, false],
      ["other", false, true],
    ]);
    expect([contents(replica), replica.state(), serverState(store)]).toEqual(before);
  });

  test("a dry run says what would move and how conflicts would end, and changes nothing", () => {
    const { store, replica } = together(many(100));
    elsewhere(store, { "item-000001": "there", "item-000002": null, "item-000003": "there" });
    change(replica, { "item-000003": "here", "item-000004": "here", "item-000005": null });
    for (const compacted of [false, true]) {
      if (compacted) compact(store);
      const before = [contents(replica), replica.state(), serverState(store)];
      for (const standard of [SERVER, CLIENT]) {
        const { report, fault } = exchange({ store, replica, mode: "dry-run", standard });
        expect(fault).toBeUndefined();
        const won = standard === CLIENT;
        expect(report.conflicts).toEqual([{ id: "item-000003", standard, prevailed: won ? "mine" : "theirs" }]);
        expect(report).toMatchObject({ received: won ? 1 : 2, deleted: 1, sent: won ? 2 : 1, sentDeletions: 1 });
      }
      expect([contents(replica), replica.state(), serverState(store)]).toEqual(before);
    }
  });
});

test("whatever differs, recovery makes both sides equal, however it is cut", () => {
  const id = fc.constantFrom(
    "a",
    "b",
    "bb",
    "c",
    "é",
    "\uffee",
    "\u{10000}",
    "z",
    ...Array.from({ length: 30 }, (_, at) => `i${at}`),
  );
  const content = fc.option(fc.constantFrom("1", "2", "3"), { nil: null });
  const some = fc.dictionary(id, content, { maxKeys: 30 });
  fc.assert(
    fc.property(
      some,
      some,
      some,
      some,
      fc.constantFrom(SERVER, CLIENT),
      fc.constantFrom("compacted", "set back", "lost"),
      fc.array(fc.nat(12), { maxLength: 3 }),
      fc.constantFrom(1, 1000),
      (first, there, here, since, standard, how, cuts, inlineBytes) => {
        const { store: old, replica } = together(onlyContents(first));
        let store = old;
        if (how === "set back") {
          store = old.clone(Buffer.alloc(8, 2));
          change(replica, since);
          clean(exchange({ store: old, replica, standard }));
        }
        elsewhere(store, there);
        if (how === "compacted") compact(store);
        change(replica, here);
        const target = how === "lost" ? withoutToken(replica) : replica;
        const options: PairOptions = { store, replica: target, standard, clientLimits: { inlineBytes } };
        for (const cutAfter of cuts) exchange({ ...options, cutAfter });
        clean(exchange(options));
        equal(store, target);
      },
    ),
    { numRuns: runs(200) },
  );
});

function onlyContents(items: Record<string, string | null>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(items).flatMap(([id, content]) => (content === null ? [] : [[id, content]])),
  );
}

test("a replica without a token that goes on with another collection loses nothing by the epochs of the old one", () => {
  const { store, replica } = together({ a: "1", b: "1" });
  now(store.deleteCollection(serverState(store).uid));
  // The same start of the server: both collections have an epoch of this id.
  store.createCollection({ name: "things", uid: Buffer.alloc(16, 8), standard: 0, nowUs: nowUs() });
  elsewhere(store, { a: "theirs" });
  const { report } = clean(exchange({ store, replica: withoutToken(replica), recreate: true, standard: SERVER }));
  expect(report.conflicts.map(({ id }) => id)).toEqual(["a"]);
  expect(report.recovery?.offered).toEqual(["b"]);
  expect(serverContents(store)).toEqual({ a: "theirs", b: "1" });
});
