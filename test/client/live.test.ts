import { Readable } from "node:stream";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connect, type Replica, TercetError } from "../../client/index.js";
import { startCuttingProxy } from "../../scripts/soak/cutting-proxy.js";
import { refusal } from "./harness.js";
import { changeOf, contentsOf, type LivePlace, startLivePair, startLivePlace } from "./live-place.js";

let place: LivePlace;
let a: Replica;
let b: Replica;

beforeEach(async () => {
  ({ place, a, b } = await startLivePair());
});

afterEach(() => place.stop());

describe("a live sync", () => {
  it("brings what one replica changes to the other one, and tells of it", async () => {
    a.put("before", "1");
    const [liveA, liveB] = [place.live(a), place.live(b)];
    expect(liveA.sync.state).toBe("connecting");
    expect(await liveA.sync.caughtUp()).toMatchObject({ sent: 1, verified: true });
    await liveB.reaches("live");
    const came = changeOf(b, ({ id }) => id === "x");
    const change = a.put("x", "one");
    expect(await came).toMatchObject({ id: "x", kind: "upserted", size: 3, fingerprint: a.get("x")?.fingerprint });
    expect(b.get("x")?.content).toBe("one");
    expect(await change.verdict()).toMatchObject({ outcome: "applied" });
    const gone = changeOf(a, ({ kind }) => kind === "deleted");
    b.delete("x");
    expect(await gone).toMatchObject({ id: "x", size: undefined, fingerprint: undefined });
    expect(contentsOf(a)).toEqual(contentsOf(b));
    const [doneA, doneB] = [await liveA.sync.stop(), await liveB.sync.stop()];
    expect(doneA).toMatchObject({ sent: 2, deleted: 1, exchanges: 1, reconnects: 0, lastError: undefined });
    expect(doneB).toMatchObject({ received: 2, sentDeletions: 1 });
    expect(await liveA.sync.ended).toEqual(doneA);
    expect(liveA.states.map(([state]) => state)).toEqual(["catching-up", "live", "stopped"]);
  });

  it("sends changes of every kind of write", async () => {
    const [liveA, liveB] = [place.live(a, { standard: "MANUAL" }), place.live(b)];
    await Promise.all([liveA.reaches("live"), liveB.reaches("live")]);
    // A large content comes in pieces, and what was changed after it may be there before it.
    const last = ["group 2", "streamed"].map((name) => changeOf(b, ({ id }) => id === name));
    a.putMany(Array.from({ length: 500 }, (_, i) => [`many ${i}`, `${i}`]));
    await a.putStream("streamed", Readable.from([Buffer.alloc(2_000_000, 7)]));
    a.transaction((transaction) => {
      transaction.put("group 1", "1");
      transaction.put("group 2", "2");
    });
    await Promise.all(last);
    expect(contentsOf(b)).toEqual(contentsOf(a));
    expect(b.get("streamed")?.size).toBe(2_000_000);
  });

  it("sends what is resolved and restored while it is live", async () => {
    a.putMany([
      ["held", "base"],
      ["gave way", "base"],
    ]);
    await a.sync({ server: place.address, create: true });
    await b.sync({ server: place.address });
    for (const replica of [a, b]) replica.put("gave way", replica === a ? "of a" : "of b");
    await b.sync({ server: place.address });
    await a.sync({ server: place.address, standard: "SERVER" });
    await b.sync({ server: place.address });
    for (const replica of [a, b]) replica.put("held", replica === a ? "of a" : "of b");
    a.transaction((transaction) => {
      transaction.put("of a group 1", "of a");
      transaction.put("of a group 2", "of a");
    });
    b.put("of a group 1", "of b");
    await b.sync({ server: place.address });
    const [liveA, liveB] = [place.live(a, { standard: "MANUAL" }), place.live(b)];
    await Promise.all([liveA.reaches("live"), liveB.reaches("live")]);
    expect([...a.held()].map(({ id }) => id)).toEqual(["held", "of a group 1", "of a group 2"]);
    const resolved = changeOf(b, ({ id }) => id === "held");
    const group = [1, 2].map((n) => changeOf(b, ({ id }) => id === `of a group ${n}`));
    a.resolve("held", { content: "of both" });
    await resolved;
    expect(b.get("held")?.content).toBe("of both");
    a.resolve("of a group 1", "mine");
    await Promise.all(group);
    const restored = changeOf(b, ({ id }) => id === "gave way");
    const [record] = [...a.conflicts()].filter(({ id }) => id === "gave way");
    a.resolveConflict(record?.number ?? 0, "restore");
    await restored;
    expect(b.get("gave way")?.content).toBe("of a");
    await Promise.all([liveA.sync.stop(), liveB.sync.stop()]);
    expect(contentsOf(a)).toEqual(contentsOf(b));
  });

  it("refuses another exchange meanwhile, and makes room for one when it was stopped", async () => {
    const live = place.live(a);
    expect(await refusal(() => a.sync({ server: place.address }))).toMatchObject({ code: "FAILED_PRECONDITION" });
    expect(await refusal(() => a.sync({ server: place.address, live: true }))).toMatchObject({
      code: "FAILED_PRECONDITION",
    });
    await live.reaches("live");
    a.put("x", "1");
    await live.sync.stop();
    expect(await a.sync({ server: place.address })).toMatchObject({ verified: true });
    expect((await place.live(a).sync.stop()).exchanges).toBeLessThan(2);
  });

  it("refuses what has an end, or makes no sense", async () => {
    const wrong = [{ timeoutMs: 1 }, { dryRun: true }, { backoff: { maxMs: -1 } }, { stepTimeoutMs: 0 }];
    for (const options of wrong) {
      const told = await refusal(() => a.sync({ server: place.address, live: true, ...options } as never));
      expect(told).toMatchObject({ reason: "INVALID_FIELD" });
    }
    expect(await refusal(() => place.live(a, { standard: "NONE" as never }))).toMatchObject({
      reason: "UNKNOWN_STANDARD",
    });
    expect((await a.sync({ server: place.address, create: true })).verified).toBe(true);
  });

  it("ends with an error that trying again would not help", async () => {
    const { sync, states } = place.live(a, { create: false });
    expect(await refusal(() => sync.ended)).toMatchObject({ code: "NOT_FOUND", reason: "COLLECTION_NOT_FOUND" });
    expect(await refusal(() => sync.caughtUp())).toMatchObject({ code: "NOT_FOUND" });
    expect(states.map(([state]) => state)).toEqual(["stopped"]);
    expect((await sync.stop()).lastError).toBeInstanceOf(TercetError);
    await a.sync({ server: place.address, create: true });
  });

  it("ends with what onProgress throws", async () => {
    const oops = new TercetError("looks transient, and is not the server's", { code: "UNAVAILABLE" });
    const { sync } = place.live(a, {
      onProgress() {
        throw oops;
      },
    });
    await expect(sync.ended).rejects.toBe(oops);
  });

  it("ends with its signal, and with the replica", async () => {
    const controller = new AbortController();
    const first = place.live(a, { signal: controller.signal });
    await first.reaches("live");
    const change = a.put("x", "1");
    controller.abort();
    await first.sync.ended;
    const [live, early] = [place.live(a), place.live(b)];
    b.close();
    await live.reaches("live");
    await change.verdict();
    a.close();
    await live.sync.ended;
    expect(await refusal(() => early.sync.caughtUp())).toMatchObject({ code: "CANCELLED" });
    await early.sync.ended;
    expect(early.sync.state).toBe("stopped");
  });

  it("sends what was changed just before it was stopped", async () => {
    const live = place.live(a);
    await live.reaches("live");
    const verdict = a.put("x", "1").verdict();
    expect(await live.sync.stop()).toMatchObject({ sent: 1 });
    expect(await verdict).toMatchObject({ outcome: "applied" });
  });

  it.each([Infinity, 3e9])("may take %d ms to stop", async (timeoutMs) => {
    const live = place.live(a);
    await live.reaches("live");
    a.putMany(Array.from({ length: 50 }, (_, i) => [`item ${i}`, `${i}`]));
    expect(await live.sync.stop({ timeoutMs })).toMatchObject({ sent: 50 });
  });

  it("stops in the middle of catching up, and the next exchange goes on", async () => {
    a.putMany(Array.from({ length: 3000 }, (_, i) => [`item ${i}`, `${i}`.padEnd(400)]));
    await a.sync({ server: place.address, create: true });
    const live = place.live(b);
    await live.next("catching-up");
    const { received } = await live.sync.stop();
    expect(received).toBeLessThan(3000);
    expect(await refusal(() => live.sync.caughtUp())).toMatchObject({ code: "CANCELLED" });
    expect(await b.sync({ server: place.address })).toMatchObject({ verified: true, received: 3000 - received });
  });

  it("connects again where the server was ended, and both replicas have what was changed meanwhile", async () => {
    const connection = connect(place.address);
    const [liveA, liveB] = [place.live(a), place.live(b, { server: connection })];
    await Promise.all([liveA.reaches("live"), liveB.reaches("live")]);
    for (const how of ["close", "drain"] as const) {
      const before = liveA.states.length;
      const lost = [liveA.next("waiting"), liveB.next("waiting")];
      const back = [liveA.next("live"), liveB.next("live")];
      await place.end(how);
      await Promise.all(lost);
      const [, why] = liveA.states.slice(before).find(([state]) => state === "waiting") ?? [];
      expect(why).toMatchObject({ code: "UNAVAILABLE" });
      if (how === "drain") expect(why).toMatchObject({ reason: "GOING_AWAY" });
      a.put(`a ${how}`, "1");
      b.put(`b ${how}`, "2");
      const here = changeOf(a, ({ id }) => id === `b ${how}`);
      const there = changeOf(b, ({ id }) => id === `a ${how}`);
      await place.start();
      await Promise.all([...back, here, there]);
    }
    expect(contentsOf(a)).toEqual(contentsOf(b));
    const done = await liveA.sync.stop();
    expect(done).toMatchObject({ sent: 2, received: 2, reconnects: 2 });
    expect(done.lastError).toMatchObject({ code: "UNAVAILABLE" });
    await liveB.sync.stop();
    await connection.close();
  });

  it("connects again where the connection is cut, time and again, while both write", async () => {
    const proxy = await startCuttingProxy(place.port);
    const [liveA, liveB] = [place.live(a, { server: proxy.address }), place.live(b)];
    await Promise.all([liveA.reaches("live"), liveB.reaches("live")]);
    for (let round = 0; round < 10; round++) {
      const waiting = liveA.next("waiting");
      const last = [`b ${round}`, `a ${round}`] as const;
      const came = [changeOf(a, ({ id }) => id === last[0]), changeOf(b, ({ id }) => id === last[1])];
      const many = a.putMany(Array.from({ length: 50 }, (_, i) => [`item ${i}`, `a ${round} ${i}`]));
      proxy.cut();
      await waiting;
      a.put(last[1], "1");
      b.put(last[0], "1");
      await Promise.all([...came, many.verdicts()]);
    }
    const changed = changeOf(b, ({ id }) => id === "end");
    a.put("end", "");
    await changed;
    await Promise.all([liveA.sync.stop(), liveB.sync.stop()]);
    proxy.close();
    expect(contentsOf(a)).toEqual(contentsOf(b));
    expect([...a.pending(), ...b.pending()]).toEqual([]);
    expect([a.audit(), b.audit()]).toEqual([true, true]);
  });

  it("connects again where it hears not even heartbeats any more", async () => {
    const quick = await startLivePlace({ heartbeatMs: 50 });
    const proxy = await startCuttingProxy(quick.port);
    const live = quick.live(quick.replica("a"), { server: proxy.address, stepTimeoutMs: 300 });
    await live.reaches("live");
    const waiting = live.next("waiting");
    proxy.freeze();
    await waiting;
    expect(live.sync.status().lastError).toMatchObject({ code: "DEADLINE_EXCEEDED", reason: "STALLED" });
    await live.next("live");
    await live.sync.stop();
    proxy.close();
    await quick.stop();
  });

  it("waits for a server that is not there yet", async () => {
    await place.end("close");
    const live = place.live(a);
    await live.reaches("waiting");
    expect(live.sync.status()).toMatchObject({ lastError: { code: "UNAVAILABLE" } });
    const verdict = a.put("x", "1").verdict();
    await place.start();
    expect(await verdict).toMatchObject({ outcome: "applied" });
    expect(live.sync.status().exchanges).toBeGreaterThan(1);
    await live.sync.stop();
  });

  it("loses nothing of many writes on both sides", async () => {
    const [liveA, liveB] = [place.live(a), place.live(b)];
    await Promise.all([liveA.reaches("live"), liveB.reaches("live")]);
    for (let i = 0; i < 200; i++) {
      a.put(`a ${i % 100}`, `${i}`);
      b.put(`b ${i % 100}`, `${i}`);
      if (i % 10 === 0) await new Promise(setImmediate);
    }
    const ends = [changeOf(a, ({ id }) => id === "end b"), changeOf(b, ({ id }) => id === "end a")];
    a.put("end a", "");
    b.put("end b", "");
    await Promise.all(ends);
    await Promise.all([liveA.sync.stop(), liveB.sync.stop()]);
    expect(contentsOf(a).size).toBe(202);
    expect(contentsOf(a)).toEqual(contentsOf(b));
  });
});
