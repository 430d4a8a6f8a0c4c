import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Replica, ReportedRecovery } from "../../client/index.js";
import { contentsOf, type LivePlace, startLivePair } from "./live-place.js";

let place: LivePlace;
let a: Replica;
let b: Replica;

beforeEach(async () => {
  ({ place, a, b } = await startLivePair());
});

afterEach(() => place.stop());

const RECOVERY = {
  why: "history",
  forkRevision: 2,
  differences: 3,
  offeredCount: 2,
  returned: ["del"],
  returnedCount: 1,
} as const;

describe("a live sync with a server that is restored", () => {
  /** Both have what was changed after the backup, `b` by an exchange that is live. */
  async function goOnAfterBackup(onRecovery: (recovery: ReportedRecovery) => void) {
    a.put("x", "1");
    await a.sync({ server: place.address, create: true });
    a.put("del", "1");
    await a.sync({ server: place.address });
    place.backUp();
    const live = place.live(b, { onRecovery });
    await live.reaches("live");
    a.put("x", "2");
    a.put("y", "1");
    a.delete("del");
    await a.sync({ server: place.address });
    while (b.get("del") !== undefined) await new Promise((resolve) => b.on("change", resolve));
    expect(live.sync.status()).toMatchObject({ recoveries: 0, lastRecovery: undefined });
    return live;
  }

  it("tells at once what was offered again and what returned, and says so in its report", async () => {
    const told: ReportedRecovery[] = [];
    const statuses: unknown[] = [];
    const live = await goOnAfterBackup((recovery) => {
      told.push(recovery);
      statuses.push([live.sync.state, live.sync.status().recoveries]);
    });
    const back = live.next("live");
    await place.restore();
    await back;
    expect(told).toMatchObject([RECOVERY]);
    expect([...(told[0]?.offered ?? [])].sort()).toEqual(["x", "y"]);
    expect(statuses).toEqual([["catching-up", 1]]);
    expect(live.sync.status()).toMatchObject({ recoveries: 1, lastRecovery: told[0], sent: 2 });
    expect(contentsOf(b)).toEqual(new Map(Object.entries({ del: "1", x: "2", y: "1" })));
    const report = await live.sync.stop();
    expect(report).toMatchObject({ recoveries: 1, lastRecovery: told[0] });
    expect(await live.sync.ended).toEqual(report);
    expect(told.length).toBe(1);
  });

  it("throws again outside what the application throws there, and is live", async () => {
    const oops = new Error("of the application");
    const thrown = new Promise((resolve) => {
      const others = process.listeners("uncaughtException");
      process.removeAllListeners("uncaughtException");
      process.once("uncaughtException", (error) => {
        for (const other of others) process.on("uncaughtException", other);
        resolve(error);
      });
    });
    const live = await goOnAfterBackup(() => {
      throw oops;
    });
    const back = live.next("live");
    await place.restore();
    expect(await thrown).toBe(oops);
    await back;
    await live.sync.stop();
  });
});
