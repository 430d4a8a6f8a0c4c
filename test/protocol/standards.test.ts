import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Resolution } from "../../client/protocol/operation.js";
import type { MemoryReplica } from "../../client/replica/memory.js";
import { fingerprintOf } from "../../core/fingerprint.js";
import { judge } from "../../core/standard.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import type { MemoryStore } from "../../server/store/memory.js";
import { exchange, type PairOptions, type PairOutcome } from "./pair.js";
import { change, contents, newReplica, newStore, now, serverContents, serverState } from "./world.js";

const SERVER = ChangeStandard.CHANGE_STANDARD_SERVER;
const CLIENT = ChangeStandard.CHANGE_STANDARD_CLIENT;
const NEWEST = ChangeStandard.CHANGE_STANDARD_NEWEST;
const MANUAL = ChangeStandard.CHANGE_STANDARD_MANUAL;
/** The driver's clock, in the middle of which all these tests are. */
const NOW_US = 1_760_000_000_000_000;

function clean(outcome: PairOutcome): PairOutcome {
  expect(outcome.fault).toBeUndefined();
  expect(outcome.report.verified).toBe(true);
  return outcome;
}

/** Writes at a time of the writer's clock. */
function writeAt(replica: MemoryReplica, timeUs: number, id: string, content: string | null): void {
  const upsert = content === null ? undefined : { content, fingerprint: fingerprintOf(id, content) };
  replica.write([{ id, upsert }], timeUs);
}

/** Two replicas of one item, which both change: the first one's change is on the server. */
function inConflict(first: readonly [number, string | null], second: readonly [number, string | null]) {
  const store = newStore();
  const one = newReplica(1);
  const two = newReplica(2);
  writeAt(one, NOW_US - 1e9, "x", "old");
  clean(exchange({ store, replica: one }));
  clean(exchange({ store, replica: two }));
  writeAt(one, first[0], "x", first[1]);
  writeAt(two, second[0], "x", second[1]);
  clean(exchange({ store, replica: one }));
  return { store, one, two };
}

function records(store: MemoryStore, ...replicas: readonly MemoryReplica[]): (string | undefined)[] {
  const { uid } = serverState(store);
  const query = { uid, id: "", before: Number.MAX_SAFE_INTEGER, limit: 100 };
  const server = now(store.listConflicts(query)).map(({ number }) => now(store.getConflict(uid, number)));
  const local = replicas.flatMap((each) => each.listConflicts(1e9, 100).map(({ number }) => each.getConflict(number)));
  return [...server, ...local].map((record) => record?.content as string | undefined);
}

describe("NEWEST", () => {
  const early = NOW_US - 2_000_000;
  const late = NOW_US - 1_000_000;

  test("the later change prevails, whoever comes first; the other one is kept", () => {
    for (const [first, second, end, gone] of [
      [early, late, "two", "one"],
      [late, early, "one", "two"],
    ] as const) {
      const { store, one, two } = inConflict([first, "one"], [second, "two"]);
      const { report } = clean(exchange({ store, replica: two, standard: NEWEST }));
      expect(report.conflicts).toEqual([{ id: "x", standard: NEWEST, prevailed: end === "two" ? "mine" : "theirs" }]);
      expect(serverContents(store)).toEqual({ x: end });
      expect(contents(two)).toEqual({ x: end });
      expect(records(store, one, two)).toEqual([gone]);
    }
  });

  test("deletions have a time like contents", () => {
    const deleted = inConflict([early, "one"], [late, null]);
    clean(exchange({ store: deleted.store, replica: deleted.two, standard: NEWEST }));
    expect(serverContents(deleted.store)).toEqual({});
    const kept = inConflict([late, "one"], [early, null]);
    clean(exchange({ store: kept.store, replica: kept.two, standard: NEWEST }));
    expect(contents(kept.two)).toEqual({ x: "one" });
  });

  test("a clock that is far ahead does not win for ever: its times count up to the allowed skew", () => {
    const year = 365 * 86_400 * 1e6;
    const { store, one, two } = inConflict([NOW_US + year, "one"], [early, "two"]);
    const [item] = now(store.readItems({ uid: serverState(store).uid, ids: ["x"], maxBytes: 100 }))?.items ?? [];
    expect(item?.modifyTimeUs).toBeLessThan(NOW_US + 61e6);
    // Of the other side's time, the same: the client judges by the server's clock.
    clean(exchange({ store, replica: two, standard: NEWEST }));
    expect(contents(two)).toEqual({ x: "one" });
    writeAt(two, NOW_US + year, "x", "from the future");
    writeAt(one, NOW_US + 62e6, "x", "a minute later");
    clean(exchange({ store, replica: one }));
    const { report } = clean(exchange({ store, replica: two, standard: NEWEST }));
    expect(report.conflicts[0]?.prevailed).toBe("theirs");
  });

  test("a tie goes to the greater fingerprint, and a deletion is less than any: both sides judge alike", () => {
    const version = fc.record({
      fingerprint: fc.option(fc.uint8Array({ minLength: 32, maxLength: 32 }), { nil: undefined }),
      modifyTimeUs: fc.constantFrom(1, 2),
    });
    fc.assert(
      fc.property(version, version, (a, b) => {
        fc.pre(a.fingerprint !== undefined || b.fingerprint !== undefined);
        fc.pre(Buffer.compare(a.fingerprint ?? Buffer.alloc(0), b.fingerprint ?? Buffer.alloc(0)) !== 0);
        expect([judge(NEWEST, a, b), judge(NEWEST, b, a)].sort()).toEqual(["mine", "theirs"]);
      }),
    );
    expect(
      judge(NEWEST, { fingerprint: Buffer.alloc(32), modifyTimeUs: 1 }, { fingerprint: undefined, modifyTimeUs: 1 }),
    ).toBe("mine");
  });
});

describe("MANUAL", () => {
  function held() {
    const world = inConflict([NOW_US - 5, "theirs"], [NOW_US - 4, "mine"]);
    writeAt(world.two, NOW_US - 3, "other", "goes on");
    const { report } = clean(exchange({ store: world.store, replica: world.two, standard: MANUAL }));
    expect(report).toMatchObject({ conflicts: [{ id: "x", prevailed: "held" }], sent: 1 });
    return world;
  }

  test("holds the item with both versions readable, and everything else goes on", () => {
    for (const limits of [{}, { inlineBytes: 1 }]) {
      const { store, two } = inConflict([NOW_US - 5, "theirs"], [NOW_US - 4, "mine"]);
      writeAt(two, NOW_US - 3, "other", "goes on");
      clean(exchange({ store, replica: two, standard: MANUAL, clientLimits: limits }));
      expect(contents(two)).toEqual({ x: "mine", other: "goes on" });
      expect(two.getBaseContent("x")).toBe("theirs");
      expect(serverContents(store)).toEqual({ x: "theirs", other: "goes on" });
      expect(two.state()).toMatchObject({ held: 1, pending: 1 });
      const again = clean(exchange({ store, replica: two, standard: MANUAL }));
      expect(again.report).toMatchObject({ sent: 0, received: 0, conflictCount: 0, roundTrips: 1 });
    }
  });

  test("takes note of later changes of theirs", () => {
    const { store, one, two } = held();
    writeAt(one, NOW_US, "x", "theirs again");
    clean(exchange({ store, replica: one }));
    clean(exchange({ store, replica: two, standard: MANUAL }));
    expect(two.getBaseContent("x")).toBe("theirs again");
    expect(two.state().held).toBe(1);
    writeAt(one, NOW_US, "x", "mine");
    clean(exchange({ store, replica: one }));
    clean(exchange({ store, replica: two, standard: MANUAL }));
    expect(two.state()).toMatchObject({ held: 0, pending: 0 });
  });

  test("is resolved for mine, for theirs, or for a third version; what gives way is kept", () => {
    const third = { content: "third", fingerprint: fingerprintOf("x", "third") };
    for (const [how, end, gone] of [
      ["mine", "mine", ["theirs"]],
      ["theirs", "theirs", ["mine"]],
      [{ merged: third }, "third", ["theirs", "mine"]],
      [{ merged: undefined }, undefined, ["theirs", "mine"]],
    ] as const) {
      const { store, one, two } = held();
      expect(two.resolveHeld("x", how, NOW_US)).toBe(true);
      expect(two.resolveHeld("x", how, NOW_US)).toBe(false);
      clean(exchange({ store, replica: two, standard: MANUAL }));
      expect(serverContents(store)["x"]).toBe(end);
      expect(contents(two)["x"]).toBe(end);
      expect(two.state()).toMatchObject({ held: 0, pending: 0 });
      expect(records(store, one, two)).toEqual([...gone]);
    }
  });

  test("another standard that comes into force judges what is held", () => {
    for (const [standard, end] of [
      [SERVER, "theirs"],
      [CLIENT, "mine"],
      [NEWEST, "mine"],
    ] as const) {
      const { store, one, two } = held();
      clean(exchange({ store, replica: two, standard }));
      expect([serverContents(store)["x"], contents(two)["x"]]).toEqual([end, end]);
      expect(two.state()).toMatchObject({ held: 0, pending: 0 });
      expect(records(store, one, two)).toEqual([end === "mine" ? "theirs" : "mine"]);
    }
  });

  test("is not ended by an exchange that names no standard", () => {
    const { store, two } = held();
    clean(exchange({ store, replica: two }));
    expect(two.state()).toMatchObject({ held: 1, pending: 1 });
  });

  test("survives recovery", () => {
    const { store, two } = held();
    const { uid, revision } = serverState(store);
    const other = newReplica(9);
    clean(exchange({ store, replica: other }));
    change(other, { y: "new" });
    clean(exchange({ store, replica: other }));
    now(store.compact({ uid, through: revision + 1 }));
    const { report } = clean(exchange({ store, replica: two, standard: MANUAL }));
    expect(report.recovery?.why).toBe("compacted");
    expect(two.state().held).toBe(1);
    expect(two.resolveHeld("x", "mine", NOW_US)).toBe(true);
    clean(exchange({ store, replica: two, standard: MANUAL }));
    expect(serverContents(store)["x"]).toBe("mine");
  });
});

describe("the application's resolver", () => {
  const merged = (content: string): Resolution => {
    return { kind: "merged", upsert: { content, fingerprint: fingerprintOf("x", content) } };
  };

  test("sees both versions, and its answer holds", () => {
    for (const [answer, end] of [
      [merged("both"), "both"],
      [{ kind: "mine" }, "mine"],
      [{ kind: "theirs" }, "theirs"],
      [{ kind: "merged", upsert: undefined }, undefined],
    ] as readonly [Resolution, string | undefined][]) {
      for (const clientLimits of [{}, { inlineBytes: 1 }]) {
        const { store, two } = inConflict([NOW_US - 5, "theirs"], [NOW_US - 4, "mine"]);
        const seen: unknown[] = [];
        const options: PairOptions = {
          store,
          replica: two,
          clientLimits,
          resolver(conflict) {
            seen.push([conflict.id, two.getBaseContent("x"), two.get("x")?.content, conflict.theirs]);
            return answer;
          },
        };
        const { report } = clean(exchange(options));
        expect(seen).toEqual([["x", "old", "mine", "theirs"]]);
        expect(report.conflicts.map(({ prevailed }) => prevailed)).toEqual([answer.kind]);
        expect([serverContents(store)["x"], contents(two)["x"]]).toEqual([end, end]);
        expect(two.state().pending).toBe(0);
      }
    }
  });

  test("is asked again where either side changed the item meanwhile", () => {
    const { store, two } = inConflict([NOW_US - 5, "theirs"], [NOW_US - 4, "mine"]);
    let asked = 0;
    const { report } = clean(
      exchange({
        store,
        replica: two,
        resolver(conflict) {
          asked += 1;
          const mine = two.get("x")?.content as string;
          if (asked === 1) writeAt(two, NOW_US, "x", "mine again");
          return merged(`${conflict.theirs} and ${mine}`);
        },
      }),
    );
    expect(asked).toBe(2);
    expect(report.conflictCount).toBe(1);
    expect(serverContents(store)).toEqual({ x: "theirs and mine again" });
  });

  test("is asked about what is held", () => {
    const { store, two } = inConflict([NOW_US - 5, "theirs"], [NOW_US - 4, "mine"]);
    clean(exchange({ store, replica: two, resolver: () => ({ kind: "held" }) }));
    expect(two.state().held).toBe(1);
    clean(exchange({ store, replica: two, standard: MANUAL, resolver: ({ theirs }) => merged(`${theirs}!`) }));
    expect(serverContents(store)).toEqual({ x: "theirs!" });
    expect(two.state()).toMatchObject({ held: 0, pending: 0 });
  });
});
