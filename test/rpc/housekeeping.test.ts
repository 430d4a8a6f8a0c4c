import { pino } from "pino";
import { beforeEach, describe, expect, it } from "vitest";
import { StorageError } from "../../core/storage-error.js";
import { type HousekeepingWorld, startHousekeeping } from "../../server/rpc/housekeeping.js";
import type { CollectionState, CompactQuery } from "../../server/store/collection-state.js";

const SLICE = 50;

describe("housekeeping", () => {
  let strike: () => void;
  let timers: number;
  let lines: Record<string, unknown>[];
  let compacted: CompactQuery[];
  let pruned: [beforeUs: number, limit: number][];
  let records: number;
  let uploads: number;
  let world: HousekeepingWorld;

  beforeEach(() => {
    timers = 0;
    lines = [];
    compacted = [];
    pruned = [];
    records = 0;
    uploads = 0;
    const names = Array.from({ length: 250 }, (_, at) => String(at).padStart(3, "0"));
    world = {
      store: {
        listCollections: (after, limit) =>
          names
            .filter((name) => name > after)
            .slice(0, limit)
            .map((name) => ({ name, uid: Buffer.from(name), compactedRevision: 5 }) as unknown as CollectionState),
        compact(query) {
          compacted.push(query);
          return compacted.length % 2 === 0 ? 6 : 5;
        },
        pruneConflicts(beforeUs, limit) {
          pruned.push([beforeUs, limit]);
          const count = Math.min(limit, records);
          records -= count;
          return count;
        },
        pruneUploads(beforeUs, limit) {
          expect(beforeUs).toBe(1_000_000 - 86_400_000_000);
          const count = Math.min(limit, uploads);
          uploads -= count;
          return count;
        },
      },
      log: pino({ level: "info" }, { write: (line: string) => void lines.push(JSON.parse(line)) }),
      nowUs: () => 1_000_000,
      repeat(run) {
        timers += 1;
        strike = run;
        return () => {
          timers -= 1;
        };
      },
      tombstoneRetentionUs: 1000,
      conflictRetentionUs: 2000,
    };
  });

  it("goes through all collections and all records, a little in each turn", async () => {
    records = 3 * SLICE + 1;
    uploads = 2;
    let turns = 0;
    let counting = true;
    const count = (): void => {
      turns += 1;
      if (counting) setImmediate(count);
    };
    setImmediate(count);
    const keeping = startHousekeeping(world);
    expect(compacted).toEqual([]);
    await keeping.run();
    counting = false;
    expect(turns).toBeGreaterThan(250);
    expect(new Set(compacted.map(({ uid }) => Buffer.from(uid).toString())).size).toBe(250);
    expect(compacted.every((query) => "beforeUs" in query && query.beforeUs === 999_000)).toBe(true);
    expect(pruned).toEqual(Array(4).fill([998_000, SLICE]));
    expect(lines).toMatchObject([{ level: 30, compacted: 125, pruned: 151, uploads: 2 }]);
    await keeping.stop();
  });

  it("is one at a time, and says nothing where there was nothing", async () => {
    world = { ...world, store: { ...world.store, compact: () => 5 } };
    const keeping = startHousekeeping(world);
    strike();
    const running = keeping.run();
    strike();
    expect(keeping.run()).toBe(running);
    await running;
    expect(pruned).toHaveLength(1);
    strike();
    await keeping.run();
    expect(pruned).toHaveLength(2);
    expect(lines).toEqual([]);
    await keeping.stop();
  });

  it("stops in the middle, and does not touch the store any more", async () => {
    records = 10 * SLICE;
    const { pruneConflicts } = world.store;
    let stopping: Promise<void> | undefined;
    const store = {
      ...world.store,
      pruneConflicts(beforeUs: number, limit: number) {
        if (pruned.length === 2) stopping = keeping.stop();
        return pruneConflicts(beforeUs, limit);
      },
    };
    const keeping = startHousekeeping({ ...world, store });
    await keeping.run();
    await stopping;
    expect(pruned).toHaveLength(3);
    expect(timers).toBe(0);
    strike();
    await keeping.run();
    await keeping.stop();
    expect(pruned).toHaveLength(3);
  });

  it("waits with its end for a store that takes its time", async () => {
    let answer = (_: number): void => undefined;
    const asked = new Promise<void>((wasAsked) => {
      world = {
        ...world,
        tombstoneRetentionUs: 0,
        store: {
          ...world.store,
          pruneConflicts: () =>
            new Promise<number>((resolve) => {
              answer = resolve;
              wasAsked();
            }),
        },
      };
    });
    const keeping = startHousekeeping(world);
    await asked;
    let ended = false;
    const end = keeping.stop().then(() => {
      ended = true;
    });
    await Promise.resolve();
    expect(ended).toBe(false);
    answer(0);
    await end;
    expect(compacted).toEqual([]);
  });

  it("logs what fails, and tries again the next time", async () => {
    const { compact } = world.store;
    const errors = [new StorageError("full", "no room"), new Error("a fault")];
    const store = {
      ...world.store,
      compact(query: CompactQuery) {
        const error = errors.shift();
        if (error !== undefined) throw error;
        return compact(query);
      },
    };
    const keeping = startHousekeeping({ ...world, store });
    await keeping.run();
    strike();
    await keeping.run();
    expect(lines).toMatchObject([
      { level: 50, storage: "full", why: "no room" },
      { level: 50, err: { message: "a fault" } },
    ]);
    strike();
    await keeping.run();
    expect(compacted).toHaveLength(250);
    expect(lines.at(-1)).toMatchObject({ level: 30, compacted: 125 });
    await keeping.stop();
  });

  it("removes only forgotten uploads where all else is kept for ever", async () => {
    uploads = 1;
    const keeping = startHousekeeping({ ...world, tombstoneRetentionUs: 0, conflictRetentionUs: 0 });
    await keeping.run();
    expect({ timers, compacted, pruned, uploads }).toEqual({ timers: 1, compacted: [], pruned: [], uploads: 0 });
    await keeping.stop();
  });
});
