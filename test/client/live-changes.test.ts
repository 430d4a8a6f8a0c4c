import { setImmediate as turn } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { AppliedChange, Replica } from "../../client/index.js";
import { MOST_UNREAD } from "../../client/live-changes.js";
import { refusal } from "./harness.js";
import { type LivePlace, startLivePair, startLivePlace } from "./live-place.js";

let place: LivePlace;
let a: Replica;
let b: Replica;

beforeEach(async () => {
  ({ place, a, b } = await startLivePair());
});

afterEach(() => place.stop());

const sync = (replica: Replica, standard?: "SERVER" | "MANUAL") =>
  replica.sync({ server: place.address, create: true, ...(standard === undefined ? {} : { standard }) });

/** What is told of a replica while work is done. */
async function toldOf(replica: Replica, work: () => unknown): Promise<AppliedChange[]> {
  const told: AppliedChange[] = [];
  const off = replica.on("change", (change) => told.push(change));
  await work();
  off();
  return told;
}

describe("the changes of a replica", () => {
  it("are what an exchange took, and nothing that was made here", async () => {
    a.put("x", "one");
    a.put("y", Buffer.from([1, 2]));
    expect(await toldOf(a, () => sync(a))).toEqual([]);
    const [x, y, ...rest] = await toldOf(b, () => sync(b));
    expect([x, y, rest]).toMatchObject([{ id: "x", kind: "upserted", size: 3, revision: 1 }, { id: "y", size: 2 }, []]);
    expect(x?.modifyTime).toEqual(a.get("x")?.modifyTime);
    expect(x?.fingerprint).toBe(a.get("x")?.fingerprint);
    b.delete("x");
    await sync(b);
    expect(await toldOf(a, () => sync(a))).toMatchObject([{ id: "x", kind: "deleted", fingerprint: undefined }]);
    expect(await toldOf(a, () => sync(a))).toEqual([]);
  });

  it("tell of conflicts by what the item is afterwards", async () => {
    a.putMany(["gives way", "same", "merged", "kept"].map((id) => [id, "base"] as const));
    await sync(a);
    await sync(b);
    for (const replica of [a, b]) replica.put("same", "both");
    a.putMany([
      ["gives way", "theirs"],
      ["merged", "theirs"],
      ["kept", "theirs"],
    ]);
    b.putMany([
      ["gives way", "mine"],
      ["merged", "mine"],
      ["kept", "mine"],
    ]);
    await sync(a);
    const told = await toldOf(b, () =>
      b.sync({
        server: place.address,
        resolver: ({ id }) => (id === "merged" ? { content: "both" } : id === "kept" ? "mine" : "theirs"),
      }),
    );
    expect(told.map(({ id }) => id).sort()).toEqual(["gives way", "merged"]);
    for (const { id, fingerprint } of told) expect(fingerprint).toBe(b.get(id)?.fingerprint);
  });

  it("are told once they are stored: whoever hears of one can read and change it", async () => {
    a.put("x", "one");
    await sync(a);
    const told = await toldOf(b, async () => {
      b.on("change", ({ id, fingerprint }) => {
        expect(b.get(id)?.fingerprint).toBe(fingerprint);
        b.put("seen", id);
      });
      await sync(b);
    });
    expect(told).toHaveLength(1);
    await sync(b);
    await sync(a);
    expect(a.get("seen")?.content).toBe("x");
  });

  it("tell the size of a large content that came in pieces", async () => {
    a.put("large", "x".repeat(3_000_000));
    await sync(a);
    expect(await toldOf(b, () => sync(b))).toMatchObject([{ id: "large", size: 3_000_000 }]);
  });

  it("go on where a listener throws, which is an uncaught exception", async () => {
    a.put("x", "1");
    a.put("y", "1");
    await sync(a);
    b.on("change", ({ id }) => {
      throw new Error(`did not like ${id}`);
    });
    const caught: unknown[] = [];
    const listeners = process.listeners("uncaughtException");
    process.removeAllListeners("uncaughtException");
    const both = new Promise<void>((resolve) => {
      process.on("uncaughtException", (error) => {
        if (caught.push(error) === 2) resolve();
      });
    });
    try {
      expect(await toldOf(b, () => sync(b))).toHaveLength(2);
      await both;
    } finally {
      process.removeAllListeners("uncaughtException");
      for (const listener of listeners) process.on("uncaughtException", listener);
    }
    expect(caught.map(String)).toEqual(["Error: did not like x", "Error: did not like y"]);
  });

  it("refuses other events, and listeners that are none", async () => {
    expect(await refusal(() => a.on("changes" as never, () => undefined))).toMatchObject({ reason: "INVALID_FIELD" });
    expect(await refusal(() => a.on("change", undefined as never))).toMatchObject({ reason: "INVALID_FIELD" });
  });

  it("stop when they are not listened to any more", async () => {
    const told: string[] = [];
    const listener = ({ id }: AppliedChange): void => void told.push(id);
    b.on("change", listener);
    a.put("x", "1");
    await sync(a);
    await sync(b);
    b.off("change", listener);
    a.put("y", "1");
    await sync(a);
    await sync(b);
    expect(told).toEqual(["x"]);
  });
});

describe("an iterator of changes", () => {
  // More than a reader may be behind.
  const many = Math.round(MOST_UNREAD * 1.3);
  let full: LivePlace;
  let reader: Replica;
  let names = 0;

  beforeAll(async () => {
    full = await startLivePlace();
    const writer = full.replica("writer");
    writer.putMany(Array.from({ length: many }, (_, i) => [`item ${String(i).padStart(6, "0")}`, "x"]));
    await writer.sync({ server: full.address, create: true });
  });

  beforeEach(() => {
    names += 1;
    reader = full.replica(`reader ${names}`);
  });

  afterAll(() => full.stop());

  it("holds the exchange up while its reader is far behind, and loses nothing", async () => {
    const changes = reader.changes();
    const live = full.live(reader);
    const first = await changes.next();
    expect(first.done).toBe(false);
    while (reader.status().items < MOST_UNREAD) await turn();
    // Turns enough for all that there is: it stays at what is allowed.
    for (let turns = 0; turns < 500; turns++) await turn();
    expect(reader.status().items).toBeLessThan(many);
    expect(live.sync.state).toBe("catching-up");
    const ids = new Set([(first.value as AppliedChange).id]);
    for await (const { id } of changes) {
      expect(ids.has(id)).toBe(false);
      if (ids.add(id).size === many) break;
    }
    expect(await live.sync.caughtUp()).toMatchObject({ verified: true, received: many });
    await live.sync.stop();
  });

  it("lets the exchange go on when it is given up, or aborted", async () => {
    const controller = new AbortController();
    const [given, aborted] = [reader.changes(), reader.changes({ signal: controller.signal })];
    const done = reader.sync({ server: full.address });
    await aborted.next();
    await given.return?.();
    controller.abort();
    expect(await done).toMatchObject({ received: many, verified: true });
    let read = 1;
    for await (const _ of aborted) read += 1;
    expect(read).toBeLessThan(many);
    expect((await given.next()).done).toBe(true);
  });

  it("ends when the replica is closed, and one that waits with it", async () => {
    const changes = reader.changes();
    const next = changes.next();
    reader.close();
    expect((await next).done).toBe(true);
    expect((await changes.next()).done).toBe(true);
  });

  it("does not hold up closing the replica", async () => {
    const changes = reader.changes();
    const live = full.live(reader);
    await changes.next();
    while (reader.status().items < MOST_UNREAD) await turn();
    reader.close();
    await live.sync.ended;
  });

  it("is cut off by stopping, where its reader does not read", async () => {
    const changes = reader.changes();
    const live = full.live(reader);
    await changes.next();
    while (reader.status().items < MOST_UNREAD) await turn();
    await live.sync.stop({ timeoutMs: 1 });
    await changes.return?.();
    expect(await reader.sync({ server: full.address })).toMatchObject({ verified: true });
    expect(reader.status().items).toBe(many);
  });

  it("gives every waiting reader a change of its own, in order", async () => {
    const changes = b.changes();
    const next = [changes.next(), changes.next()];
    a.put("x", "1");
    a.put("y", "1");
    await sync(a);
    await sync(b);
    const ids = (await Promise.all(next)).map(({ value }) => (value as AppliedChange).id);
    expect(ids).toEqual(["x", "y"]);
  });
});
