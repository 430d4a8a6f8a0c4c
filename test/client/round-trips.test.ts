import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  connect,
  createReplica,
  METHODS,
  type Replica,
  type SyncOptions,
  type SyncReport,
} from "../../client/index.js";
import { type RunningServer, startServer } from "../../server/index.js";
import { startLockstepProxy } from "./lockstep-proxy.js";

let directory: string;
let server: RunningServer;
let made = 0;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "tercet-trips-"));
  server = await startServer({ directory: join(directory, "data"), port: 0 });
});

afterAll(async () => {
  await server.close();
  rmSync(directory, { recursive: true, force: true });
});

function replicaOf(collection: string): Replica {
  made += 1;
  return createReplica(join(directory, `replica-${made}`), { collection });
}

/** Two replicas of a collection with so many items, both up to date. */
async function pair(collection: string, items: number): Promise<readonly [Replica, Replica]> {
  const [one, two] = [replicaOf(collection), replicaOf(collection)];
  one.putMany(Array.from({ length: items }, (_, at) => [`item-${at}`, `content ${at}`] as const));
  await one.sync({ server: server.address, create: true });
  await two.sync({ server: server.address });
  return [one, two];
}

/** An exchange over a proxy: the trips that it counts have to be those that the exchange counts itself. */
async function trips(replica: Replica, options: Partial<SyncOptions> = {}): Promise<SyncReport> {
  const proxy = await startLockstepProxy(server.port);
  const report = await replica.sync({ create: true, ...options, server: proxy.address });
  proxy.close();
  expect(report.verified).toBe(true);
  expect(report.roundTrips).toBe(proxy.passed.trips);
  return report;
}

test("nothing changed: one", async () => {
  const [one] = await pair("nothing", 50);
  expect((await trips(one)).roundTrips).toBe(1);
});

test("changes on both sides, no item changed on both: one, with what is small inline and eager", async () => {
  const [one, two] = await pair("both", 50);
  one.put("item-1", "changed here");
  one.delete("item-2");
  two.put("item-3", "changed there");
  two.put("new", "there");
  await one.sync({ server: server.address });
  expect(await trips(two)).toMatchObject({ roundTrips: 1, sent: 2, received: 1, deleted: 1, inline: 1, eager: 2 });
});

test("conflicts: one where the server prevails, two where the client does", async () => {
  for (const [standard, expected] of [
    ["SERVER", 1],
    ["CLIENT", 2],
    ["NEWEST", 2],
    ["MANUAL", 1],
  ] as const) {
    const [one, two] = await pair(`conflict-${standard}`, 20);
    one.put("item-1", "here");
    two.put("item-1", "there, and later");
    await one.sync({ server: server.address });
    expect(await trips(two, { standard })).toMatchObject({ roundTrips: expected, conflictCount: 1 });
  }
});

test("large pending changes: two, for what would not prevail is never sent", async () => {
  const [one, two] = await pair("large", 20);
  const large = "x".repeat(300_000);
  two.put("item-1", large);
  two.put("item-2", large);
  one.put("item-1", "prevails");
  await one.sync({ server: server.address });
  const report = await trips(two, { standard: "SERVER" });
  expect(report).toMatchObject({ roundTrips: 2, sent: 1, eager: 0 });
  expect(report.bytesSent).toBeLessThan(310_000);
});

test("the limits are what both sides agree on, and the next exchange keeps to them", async () => {
  const [one, two] = await pair("limits", 20);
  one.put("item-1", "y".repeat(500));
  two.put("item-2", "z".repeat(500));
  await one.sync({ server: server.address });
  const limits = { inlineBytes: 100, eagerBytes: 100 };
  expect(await trips(two, { limits })).toMatchObject({ roundTrips: 2, inline: 0, eager: 0, received: 1, sent: 1 });
});

test("recovery: no more than its budget", async () => {
  const [one, two] = await pair("recovery", 3000);
  one.putMany(Array.from({ length: 40 }, (_, at) => [`item-${at * 71}`, "changed"] as const));
  one.delete("item-1000");
  await one.sync({ server: server.address });
  const connection = connect(server.address);
  const horizon = { $case: "throughRevision", value: one.status().revision } as const;
  await connection.unary(METHODS.compactCollection, { collection: "recovery", horizon });
  await connection.close();
  two.put("item-7", "mine");
  const report = await trips(two);
  expect(report).toMatchObject({ received: 40, deleted: 1, sent: 1, recovery: { why: "compacted", differences: 41 } });
  expect(report.roundTrips).toBeLessThanOrEqual(8);
});
