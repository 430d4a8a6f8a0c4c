import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import { type RunningServer, startServer } from "../../server/index.js";
import { sync } from "./typescript/exchange.js";
import { createReplica, listPending, NO_CHECKPOINT, type Replica, versionOf, write } from "./typescript/replica.js";
import type { Report, SyncOptions } from "./typescript/session.js";

/*
 * The reference client beside the real server, in what the conformance kit has no cases for: many items, cuts at any byte,
 * and everything at once at random. The kit has the rest (`npm run conformance`).
 */

const { CHANGE_STANDARD_CLIENT: CLIENT } = ChangeStandard;

let directory: string;
let server: RunningServer;

const serve = async (name: string): Promise<RunningServer> =>
  startServer({ directory: join(directory, name), port: 0 });

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "tercet-reference-"));
  server = await serve("data");
});

afterEach(async () => {
  await server.close();
  rmSync(directory, { recursive: true, force: true });
});

function syncWith(replica: Replica, options: Partial<SyncOptions> = {}): Promise<Report> {
  return sync(replica, {
    server: server.address,
    create: true,
    timeoutMs: 20_000,
    ...options,
  });
}

function transaction(replica: Replica, items: Readonly<Record<string, string>>): void {
  const writes = Object.entries(items).map(([id, text]) => ({ id, version: versionOf(id, Buffer.from(text), true) }));
  write(replica, writes, Date.now() * 1000);
}

function put(replica: Replica, items: Readonly<Record<string, string>>): void {
  for (const [id, text] of Object.entries(items)) transaction(replica, { [id]: text });
}

function drop(replica: Replica, ids: readonly string[]): void {
  for (const id of ids) write(replica, [{ id, version: undefined }], Date.now() * 1000);
}

function contents({ entries }: Replica): Record<string, string> {
  const items = [...entries.values()].flatMap(({ id, mine }) => {
    return mine === undefined ? [] : [[id, Buffer.from(mine.bytes).toString()] as const];
  });
  return Object.fromEntries(items.sort(([a], [b]) => (a < b ? -1 : 1)));
}

const numbered = (count: number, text: string): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, at) => [`item-${at}`, `${text} ${at}`]));

/** A proxy that ends each connection after so many bytes, of one side or both. */
async function cutting(bytes: () => number) {
  const proxy = createServer((client) => {
    const upstream = connect(Number(server.address.split(":")[1]), "127.0.0.1");
    let left = bytes();
    const end = (): void => {
      client.destroy();
      upstream.destroy();
    };
    const pass = (from: Socket, to: Socket): void => {
      from.on("error", end).on("close", end);
      from.on("data", (data) => {
        left -= data.length;
        to.write(data.subarray(0, Math.max(0, left + data.length)), () => left <= 0 && end());
      });
    };
    pass(client, upstream);
    pass(upstream, client);
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  return { address: `127.0.0.1:${(proxy.address() as AddressInfo).port}`, close: () => proxy.close() };
}

describe("many items", () => {
  test("go beyond a window, and come in many pages", async () => {
    const [one, two] = [createReplica("c"), createReplica("c")];
    put(one, numbered(40_000, "text"));
    expect(await syncWith(one)).toMatchObject({ sent: 40_000, verified: true });
    expect(await syncWith(two)).toMatchObject({ received: 40_000, verified: true });
    expect(contents(two)).toEqual(contents(one));
  });

  test("of which 1,000 differ are found without a checkpoint", async () => {
    const [one, two] = [createReplica("c"), createReplica("c")];
    put(one, numbered(30_000, "text"));
    await syncWith(one);
    await syncWith(two);
    const changed = Object.keys(numbered(1000, "")).map((id) => `${id.replace("item-", "item-1")}`);
    put(one, Object.fromEntries(changed.map((id) => [id, "changed"])));
    drop(one, ["item-7", "item-77"]);
    await syncWith(one);
    put(two, { "item-9": "mine", new: "mine" });
    two.checkpoint = NO_CHECKPOINT;
    const report = await syncWith(two);
    expect(report).toMatchObject({ verified: true, recovery: { why: "asked" }, deleted: 2, sent: 2 });
    expect(report.received).toBeGreaterThan(900);
    expect(report.roundTrips).toBeLessThanOrEqual(8);
    await syncWith(one);
    expect(contents(two)).toEqual(contents(one));
  });

  test("in a collection made anew are filled in from the replica", async () => {
    const one = createReplica("c");
    put(one, numbered(3_000, "text"));
    await syncWith(one);
    await server.close();
    server = await serve("other");
    expect(await syncWith(one, { recreate: true }).catch(({ reason }) => reason)).toMatchObject({ sent: 3_000 });
  });
});

test("a server that was restored, and written to since, gets back what it lost", async () => {
  const [one, two] = [createReplica("c"), createReplica("c")];
  put(one, numbered(2_000, "text"));
  await syncWith(one);
  await syncWith(two);
  await server.close();
  cpSync(join(directory, "data"), join(directory, "backup"), { recursive: true });
  server = await serve("data");
  put(one, { "item-1": "later", "item-2": "later", new: "later" });
  await syncWith(one);
  await server.close();
  server = await serve("backup");
  put(two, { "item-2": "since", "item-3": "since" });
  await syncWith(two);
  const report = await syncWith(one);
  expect(report).toMatchObject({ verified: true, recovery: { why: "history" } });
  expect(report.recovery?.offered.sort()).toEqual(["item-1", "new"]);
  expect(one.conflicts.map(({ id }) => id)).toEqual(["item-2"]);
  await syncWith(two);
  expect(contents(two)).toEqual(contents(one));
});

test("a large content that is cut time and again, both ways, arrives", async () => {
  const [one, two] = [createReplica("c"), createReplica("c")];
  await syncWith(one);
  const version = versionOf("large", Buffer.alloc(9_000_000, "0123456789"), true);
  write(one, [{ id: "large", version }], Date.now() * 1000);
  put(one, { small: "beside it" });
  const proxy = await cutting(() => 2_000_000);
  for (const replica of [one, two]) {
    let cuts = 0;
    for (let verified = false; !verified && cuts < 20; ) {
      verified = await syncWith(replica, { server: proxy.address }).then(
        (report) => report.verified,
        () => false,
      );
      if (!verified) cuts += 1;
    }
    // What had come before a cut did not come again.
    expect(cuts).toBeGreaterThan(2);
    expect(cuts).toBeLessThan(10);
  }
  proxy.close();
  expect(contents(two)).toEqual(contents(one));
  expect(two.downloads.size).toBe(0);
});

test("writes in mid-exchange are neither lost nor taken for what was sent", async () => {
  const [one, two] = [createReplica("c"), createReplica("c")];
  put(one, numbered(500, "text"));
  await syncWith(one);
  await syncWith(two);
  for (let round = 0; round < 5; round++) {
    put(one, numbered(300, `round ${round}`));
    put(two, { [`item-${round}`]: "mine" });
    const running = syncWith(one);
    const other = syncWith(two, { standard: CLIENT });
    for (let step = 0; step < 40; step++) {
      put(one, { [`item-${step}`]: `step ${step}`, [`new-${step}`]: `${round}` });
      await new Promise((resolve) => setImmediate(resolve));
    }
    await running;
    await other;
  }
  for (const replica of [one, two, one]) expect(await syncWith(replica)).toMatchObject({ verified: true });
  expect(listPending(one)).toEqual([]);
  expect(contents(two)).toEqual(contents(one));
});

describe("at random", () => {
  /** A small generator of numbers below `n`, by its seed. */
  function numbers(seed: number): (n: number) => number {
    let state = seed;
    return (n) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * n);
    };
  }

  test.each([1, 2, 3, 4])("three replicas end equal, seed %i", async (seed) => {
    const below = numbers(seed);
    let cuts = 0;
    const replicas = ["a", "b", "c"].map(() => createReplica("c"));
    const proxy = await cutting(() => 200 + below(2500));
    const ids = Array.from({ length: 12 }, (_, at) => `id-${at}`);
    const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T;
    for (let step = 0; step < 250; step++) {
      const replica = pick(replicas);
      const action = below(20);
      if (action < 8) put(replica, { [pick(ids)]: `text ${step}` });
      else if (action < 10) drop(replica, [pick(ids)]);
      else if (action < 11) transaction(replica, { [pick(ids)]: "one", [pick(ids)]: `two ${step}`, z: `${step}` });
      else if (action < 12) replica.checkpoint = NO_CHECKPOINT;
      else {
        const address = below(3) === 0 ? server.address : proxy.address;
        const options = { server: address, standard: pick([0, 1, 2, 3, 4]) as ChangeStandard };
        await syncWith(replica, options).catch((error: { code?: number; reason?: string }) => {
          // A cut connection; nothing else may go wrong.
          cuts += 1;
          expect({ ...error, reason: error.reason ?? "" }).toMatchObject({ code: expect.any(Number), reason: "" });
        });
      }
    }
    proxy.close();
    expect(cuts).toBeGreaterThan(5);
    for (let round = 0; round < 3; round++) {
      for (const replica of replicas) {
        const report = await syncWith(replica, { standard: CLIENT });
        expect([report.verified, report.contended.size]).toEqual([true, 0]);
      }
    }
    for (const replica of replicas) {
      expect(contents(replica)).toEqual(contents(replicas[0] as Replica));
      expect(listPending(replica)).toEqual([]);
    }
  });
});
