import { describe, expect, it } from "vitest";
import { TercetError } from "../../client/error.js";
import { createLive, type LiveAttempt, type LiveControl, type LiveHooks, type LiveState } from "../../client/live.js";
import { backoffMs, ceilingMs, isTransient } from "../../client/live-backoff.js";
import type { ReportedRecovery } from "../../client/protocol/report.js";
import type { SyncReport } from "../../client/sync.js";
import type { LiveOptions } from "../../client/sync-options.js";
import { StorageError } from "../../core/storage-error.js";

const REPORT: SyncReport = {
  dryRun: false,
  standard: "SERVER",
  sent: 1,
  sentDeletions: 0,
  received: 2,
  deleted: 0,
  settled: 0,
  conflicts: [],
  conflictCount: 0,
  prunedConflicts: 0,
  rejected: [],
  rejectedCount: 0,
  contended: [],
  roundTrips: 1,
  bytesSent: 10,
  bytesReceived: 20,
  inline: 0,
  eager: 0,
  recovery: undefined,
  verified: true,
  unverified: undefined,
  revision: 7,
  count: 3,
  fingerprint: "ab".repeat(32),
  durationMs: 1,
};

/** An exchange that does what the test says. */
interface Attempt extends LiveHooks {
  readonly calls: string[];
  /** What it says that it did. */
  report: SyncReport;
  close(retryAfterMs?: number): Promise<void>;
  fail(error: unknown, here?: boolean): Promise<void>;
}

interface Scene {
  readonly control: LiveControl;
  readonly attempts: Attempt[];
  readonly states: LiveState[];
  readonly waits: number[];
  readonly closing: AbortController;
  released: number;
  random: number;
  /** Lets time pass up to the next timer. */
  wake(): Promise<void>;
  pass(ms: number): void;
}

/** Everything that follows has happened. */
function settle(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

async function scene(options: Partial<LiveOptions> = {}): Promise<Scene> {
  const attempts: Attempt[] = [];
  const states: LiveState[] = [];
  const waits: number[] = [];
  const timers: { readonly at: number; readonly call: () => void }[] = [];
  const closing = new AbortController();
  let nowMs = 1_000_000;
  const control = createLive(
    {
      closing: closing.signal,
      now: () => nowMs,
      random: () => self.random,
      release() {
        self.released += 1;
      },
      after(ms, call) {
        waits.push(ms);
        const timer = { at: nowMs + ms, call };
        timers.push(timer);
        return () => void timers.splice(timers.indexOf(timer), 1);
      },
      begin: (hooks) => Promise.resolve(attempt(hooks)),
    },
    { ...options, onState: (state) => void states.push(state) },
  );

  function attempt(hooks: LiveHooks): LiveAttempt {
    const calls: string[] = [];
    let away: { readonly retryAfterMs: number } | undefined;
    let here = false;
    let end: (error?: unknown) => void = () => undefined;
    const ended = new Promise<void>((resolve, reject) => {
      end = (error) => (error === undefined ? resolve() : reject(error));
    });
    ended.catch(() => undefined);
    const self: Attempt = {
      ...hooks,
      calls,
      report: REPORT,
      close(retryAfterMs) {
        if (retryAfterMs !== undefined) away = { retryAfterMs };
        end();
        return settle();
      },
      fail(error, isHere = false) {
        here = isHere;
        end(error);
        return settle();
      },
    };
    attempts.push(self);
    return {
      ended,
      notify: () => void calls.push("notify"),
      sendsAtOnce: () => false,
      leave: () => void calls.push("leave"),
      cancel() {
        calls.push("cancel");
        end(new TercetError("cancelled", { code: "CANCELLED" }));
      },
      failedHere: () => here,
      report: () => self.report,
      goingAway: () => away,
    };
  }

  const self: Scene = {
    control,
    attempts,
    states,
    waits,
    closing,
    released: 0,
    random: 0.5,
    async wake() {
      const timer = timers.shift();
      if (timer === undefined) throw new Error("nothing waits");
      nowMs = timer.at;
      timer.call();
      await settle();
    },
    pass(ms) {
      nowMs += ms;
    },
  };
  await settle();
  return self;
}

/** A recovery that found these. */
function recoveryOf(...ids: readonly string[]): ReportedRecovery {
  const found = { differences: ids.length, offered: ids, offeredCount: ids.length };
  return { why: "history", forkRevision: 1, ...found, returned: [], returnedCount: 0 };
}

const LOST = new TercetError("lost", { code: "UNAVAILABLE" });

describe("the backoff", () => {
  it("doubles its ceiling up to the most, and takes any part of it", () => {
    const backoff = { initialMs: 500, maxMs: 30_000 };
    const ceilings = [0, 1, 2, 3, 4, 5, 6, 7, 1000].map((failures) => ceilingMs(backoff, failures));
    expect(ceilings).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
    expect(backoffMs(backoff, 3, 0, 0)).toBe(0);
    expect(backoffMs(backoff, 3, 0, 0.75)).toBe(3000);
    expect(backoffMs(backoff, 3, 10_000, 0.25)).toBe(11_000);
    expect(backoffMs({ initialMs: 500, maxMs: Infinity }, 1000, 0, 0)).toBe(0);
    expect(backoffMs({ initialMs: 500, maxMs: Infinity }, 1000, Infinity, 0.5)).toBe(2 ** 31 - 1);
  });

  it("knows what may be tried again", () => {
    const codes = ["UNAVAILABLE", "DEADLINE_EXCEEDED", "ABORTED", "RESOURCE_EXHAUSTED", "INTERNAL", "UNKNOWN"] as const;
    for (const code of codes) expect(isTransient(new TercetError("", { code }))).toBe(true);
    const permanent = [
      "INVALID_ARGUMENT",
      "NOT_FOUND",
      "FAILED_PRECONDITION",
      "PERMISSION_DENIED",
      "UNAUTHENTICATED",
      "UNIMPLEMENTED",
      "DATA_LOSS",
      "OUT_OF_RANGE",
    ] as const;
    for (const code of permanent) expect(isTransient(new TercetError("", { code }))).toBe(false);
    // Tombstones went before a slow reader had read them: the next exchange recovers.
    expect(isTransient(new TercetError("", { code: "FAILED_PRECONDITION", reason: "TOKEN_COMPACTED" }))).toBe(true);
    expect(isTransient(new StorageError("full", ""))).toBe(false);
    expect(isTransient(undefined)).toBe(false);
  });
});

describe("the loop of a live sync", () => {
  it("waits longer after every failure, and begins anew after it has been live for a while", async () => {
    const { attempts, waits, wake, pass, states, control } = await scene();
    for (let failures = 0; failures < 8; failures++) {
      await attempts[failures]?.fail(LOST);
      await wake();
    }
    expect(waits).toEqual([250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000]);
    attempts[8]?.heard();
    attempts[8]?.caughtUp(REPORT);
    pass(29_999);
    await attempts[8]?.fail(LOST);
    await wake();
    expect(waits.at(-1)).toBe(15_000);
    attempts[9]?.heard();
    attempts[9]?.caughtUp(REPORT);
    pass(30_000);
    await attempts[9]?.fail(LOST);
    expect(waits.at(-1)).toBe(250);
    expect(states.slice(-4)).toEqual(["connecting", "catching-up", "live", "waiting"]);
    expect(control.sync.status()).toMatchObject({ exchanges: 10, reconnects: 1, sent: 10, lastError: LOST });
    expect(control.sync.status().retryAt).toEqual(new Date(1_000_000 + waits.reduce((a, b) => a + b) + 59_999));
  });

  it("waits for as long as the server says, and a random time", async () => {
    const { attempts, waits, wake } = await scene();
    await attempts[0]?.fail(new TercetError("full", { code: "RESOURCE_EXHAUSTED", retryAfterMs: 3000 }));
    await wake();
    await attempts[1]?.close(2000);
    await wake();
    await attempts[2]?.close(0);
    expect(waits).toEqual([3250, 2500, 1000]);
  });

  it("is not hurried by local writes while it waits", async () => {
    const { control, attempts, waits, wake } = await scene();
    control.notify();
    expect(attempts[0]?.calls).toEqual(["notify"]);
    await attempts[0]?.fail(LOST);
    control.notify();
    await settle();
    expect([attempts.length, waits.length, control.sync.state]).toEqual([1, 1, "waiting"]);
    await wake();
    expect(attempts.length).toBe(2);
  });

  it("stops at once while it waits", async () => {
    const { control, attempts, states } = await scene();
    await attempts[0]?.fail(LOST);
    const report = await control.sync.stop();
    expect(report).toMatchObject({ exchanges: 1, lastError: LOST, revision: 7, count: 3 });
    expect(states).toEqual(["waiting", "stopped"]);
    expect(await control.sync.ended).toEqual(report);
  });

  it("lets what is under way end when it is stopped, and cuts it off when that takes too long", async () => {
    const calm = await scene();
    const stopped = calm.control.sync.stop();
    expect(calm.attempts[0]?.calls).toEqual(["notify", "leave"]);
    expect(calm.released).toBe(0);
    await calm.attempts[0]?.close();
    await stopped;
    expect(calm.released).toBe(1);

    const { control, attempts, waits, wake } = await scene();
    const cut = control.sync.stop({ timeoutMs: 700 });
    expect(waits).toEqual([700]);
    await wake();
    expect(attempts[0]?.calls).toEqual(["notify", "leave", "cancel"]);
    expect(await cut).toMatchObject({ lastError: undefined });
  });

  it("tells of a permanent error that comes when it is stopped", async () => {
    const { control, attempts } = await scene();
    const stopped = control.sync.stop();
    const full = new StorageError("full", "no room");
    await attempts[0]?.fail(full, true);
    expect(await stopped).toMatchObject({ lastError: full });
    await expect(control.sync.ended).rejects.toBe(full);
  });

  it("ends by what failed here, however it looks", async () => {
    const { control, attempts, states } = await scene();
    await attempts[0]?.fail(LOST, true);
    await expect(control.sync.ended).rejects.toBe(LOST);
    await expect(control.sync.caughtUp()).rejects.toBe(LOST);
    expect(states).toEqual(["stopped"]);
  });

  it("is cut off when the replica is closed, and ends without an error", async () => {
    const { control, attempts, closing } = await scene();
    closing.abort();
    expect(attempts[0]?.calls).toEqual(["cancel"]);
    await control.sync.ended;
    await expect(control.sync.caughtUp()).rejects.toMatchObject({ code: "CANCELLED" });
  });

  it("never begins where its signal was aborted before", async () => {
    const { control, attempts } = await scene({ signal: AbortSignal.abort() });
    expect(await control.sync.ended).toMatchObject({ exchanges: 0 });
    expect(attempts).toEqual([]);
  });

  it("counts recoveries and keeps the last one, also of an exchange that was cut in one", async () => {
    const told: ReportedRecovery[] = [];
    const { control, attempts, wake } = await scene({ onRecovery: (recovery) => void told.push(recovery) });
    const [whole, cut] = [recoveryOf("x"), recoveryOf("y")];
    attempts[0]?.heard();
    attempts[0]?.recovered(whole);
    expect(told).toEqual([whole]);
    expect(control.sync.status()).toMatchObject({ recoveries: 1, lastRecovery: whole });
    // It has been told.
    Object.assign(attempts[0] ?? {}, { report: { ...REPORT, recovery: whole } });
    await attempts[0]?.fail(LOST);
    await wake();
    // It has found nothing that would be lost.
    Object.assign(attempts[1] ?? {}, { report: { ...REPORT, recovery: recoveryOf() } });
    await attempts[1]?.fail(LOST);
    expect(control.sync.status()).toMatchObject({ recoveries: 1, lastRecovery: whole });
    await wake();
    Object.assign(attempts[2] ?? {}, { report: { ...REPORT, recovery: cut } });
    await attempts[2]?.fail(LOST);
    expect(told).toEqual([whole, cut]);
    expect(await control.sync.stop()).toMatchObject({ recoveries: 2, lastRecovery: cut });
  });

  it("says which changes are contended in the exchange that a server answered last", async () => {
    const { control, attempts, wake } = await scene();
    attempts[0]?.heard();
    expect(control.sync.status()).toMatchObject({ contended: [], contendedCount: 0 });
    const many = Array.from({ length: 10_001 }, (_, index) => `item-${index}`);
    Object.assign(attempts[0] ?? {}, { report: { ...REPORT, contended: many } });
    expect(control.sync.status()).toMatchObject({ contended: many.slice(0, 10_000), contendedCount: 10_001 });
    await attempts[0]?.fail(LOST);
    await wake();
    await attempts[1]?.fail(LOST);
    expect(control.sync.status()).toMatchObject({ contendedCount: 10_001 });
    await wake();
    attempts[2]?.heard();
    expect(control.sync.status()).toMatchObject({ contended: [], contendedCount: 0 });
    Object.assign(attempts[2] ?? {}, { report: { ...REPORT, contended: ["x"] } });
    const stopped = control.sync.stop();
    await attempts[2]?.close();
    expect(await stopped).toMatchObject({ contended: ["x"], contendedCount: 1 });
  });

  it("refuses what makes no sense on stopping, and goes on", async () => {
    const { control, attempts } = await scene();
    const calls: readonly [field: string, options: unknown][] = [
      ["timeout", { timeout: 1 }],
      ["timeoutMs", { timeoutMs: -1 }],
      ["options", null],
      ["options", "SIGINT"],
    ];
    for (const [field, options] of calls) {
      await expect(control.sync.stop(options as never)).rejects.toMatchObject({
        reason: "INVALID_FIELD",
        fields: [{ field }],
      });
    }
    expect(attempts[0]?.calls).toEqual([]);
    expect(control.sync.state).toBe("connecting");
  });

  it("says when it caught up first, and counts what is under way", async () => {
    const { control, attempts } = await scene();
    attempts[0]?.heard();
    expect(control.sync.state).toBe("catching-up");
    attempts[0]?.caughtUp({ ...REPORT, received: 40 });
    expect(await control.sync.caughtUp()).toMatchObject({ received: 40 });
    expect(control.sync.status()).toMatchObject({ state: "live", sent: 1, received: 2, retryAt: undefined });
    expect(control.sync.status().verifiedAt).toEqual(new Date(1_000_000));
  });
});
