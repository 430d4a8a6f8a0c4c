import { createServer } from "node:net";
import { status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  HealthCheckRequest,
  HealthCheckResponse_ServingStatus,
  HealthListRequest,
  HealthService,
} from "../../gen/grpc/health/v1/health.js";
import { PushOutcome } from "../../gen/tercet/v1/sync.js";
import { startServer } from "../../server/index.js";
import { call } from "./api.js";
import { absent, batch, contentOf, sumOf, upsert } from "./build.js";
import { startTestServer, type TestServer } from "./harness.js";
import { refusalOf, toRefusal } from "./refusal.js";

const { SERVING, NOT_SERVING } = HealthCheckResponse_ServingStatus;
const goingAway = { code: "UNAVAILABLE", reason: "GOING_AWAY", retryMs: 1000 };
const collection = "c";

describe("a server", () => {
  let test: TestServer;
  let started: TestServer[];
  beforeEach(async () => {
    started = [];
    test = await start();
    await test.create(collection);
  });
  afterEach(async () => {
    for (const each of started) await each.stop();
  });

  async function start(options: Parameters<typeof startTestServer>[0] = {}): Promise<TestServer> {
    const server = await startTestServer(options);
    started.push(server);
    return server;
  }

  const health = async (service: string) =>
    (await call(test.client, HealthService.check, HealthCheckRequest.create({ service }))).status;

  it("says that it serves, of every service and of the whole", async () => {
    for (const service of ["", "tercet.v1.SyncService", "tercet.v1.ItemService", "tercet.v1.CollectionService"]) {
      expect(await health(service)).toBe(SERVING);
    }
    const { statuses } = await call(test.client, HealthService.list, HealthListRequest.create());
    expect(Object.keys(statuses)).toHaveLength(4);
    expect(await refusalOf(health("none"))).toMatchObject({ code: "NOT_FOUND" });
  });

  it("drains: lets open exchanges finish, refuses what is new, and gives the directory free", async () => {
    const stream = test.exchange();
    stream.open({ collection });
    await stream.next("opened");
    const drained = test.server.drain();
    expect(test.server.drain()).toBe(drained);

    expect(await health("")).toBe(NOT_SERVING);
    expect(await health("tercet.v1.SyncService")).toBe(NOT_SERVING);
    const item = { id: "new", content: contentOf("1") };
    expect(await refusalOf(test.api.writeItem({ collection, item, precondition: absent }))).toMatchObject(goingAway);
    expect(await refusalOf(test.api.deleteCollection({ collection }))).toMatchObject(goingAway);
    const late = test.exchange();
    late.open({ collection });
    expect(toRefusal(await late.status())).toMatchObject(goingAway);
    expect((await test.api.getCollection({ collection })).collection?.revision).toBe(0);

    stream.send(batch([upsert("a", "1")]));
    stream.done();
    const { verdicts, pages } = await stream.untilProof();
    expect(verdicts).toMatchObject([{ outcome: PushOutcome.PUSH_OUTCOME_APPLIED }]);
    expect(pages.at(-1)?.proof).toEqual(sumOf({ a: "1" }));
    stream.end();
    expect((await stream.status()).code).toBe(status.OK);
    await drained;

    const next = await start({ directory: test.directory });
    expect((await next.api.getCollection({ collection })).collection?.fingerprint).toEqual(sumOf({ a: "1" }));
  });

  it("sends away exchanges that do not end within the grace period", async () => {
    const hasty = await start({ graceMs: 0 });
    await hasty.create(collection);
    const stream = hasty.exchange();
    stream.open({ collection });
    await stream.next("opened");
    await hasty.server.drain();
    expect(toRefusal(await stream.status())).toMatchObject(goingAway);
    await hasty.server.close();
  });

  it("closes at once, and as often as one likes", async () => {
    // Nothing else would end it before the test is given up.
    const { server, create, exchange } = await start({ stepTimeoutMs: 3_600_000 });
    await create(collection);
    const stream = exchange();
    stream.open({ collection });
    await stream.next("opened");
    await Promise.all([server.close(), server.close(), server.drain()]);
    expect((await stream.status()).code).not.toBe(status.OK);
    await server.drain();
  });

  it("begins another epoch with each start, and serves the tokens of those before", async () => {
    await test.api.batchWriteItems({ collection, pushes: [upsert("a", "1")] });
    const { checkpoint } = await test.api.listChanges({ collection });
    await test.restart();
    await test.api.batchWriteItems({ collection, pushes: [upsert("b", "1")] });
    const stream = test.exchange();
    stream.open({ collection, token: checkpoint?.token ?? Buffer.alloc(0) });
    stream.done();
    expect((await stream.next("opened")).lineage).toHaveLength(2);
    const { pages } = await stream.untilProof();
    expect(pages.flatMap(({ changes }) => changes).map(({ id }) => id)).toEqual(["b"]);
    stream.end();
  });

  it("ends an exchange whose client does not go on, also one that does not read", async () => {
    const strict = await start({ stepTimeoutMs: 500, graceMs: 60_000 });
    await strict.create(collection);
    const stream = strict.exchange();
    stream.open({ collection });
    expect(toRefusal(await stream.status())).toMatchObject({ code: "DEADLINE_EXCEEDED", reason: "STALLED" });

    // More messages than both sides queue together.
    const large = Array.from({ length: 60 }, (_, i) => upsert(`${i}`, Buffer.alloc(120_000)));
    for (const half of [large.slice(0, 30), large.slice(30)]) {
      await strict.api.batchWriteItems({ collection, pushes: half });
    }
    const deaf = strict.exchange();
    const heard = new Promise((resolve) => deaf.call.once("data", () => resolve(deaf.call.pause())));
    const wanted = large.map(({ id }) => ({ id, offset: 0, revision: 0 }));
    deaf.open({ collection });
    deaf.send({ $case: "fetch", value: { items: wanted } });
    await Promise.race([heard, deaf.status()]);
    // Resolves long before the grace period only if the stream that nobody reads has been given up.
    await strict.server.drain();
    deaf.call.cancel();
  });

  it("is refused a data directory or a port that another one has, in words", async () => {
    const { directory } = test;
    await expect(startServer({ directory, port: 0 })).rejects.toThrow(
      `the data directory ${directory} is in use by another server`,
    );
    const other = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => other.once("listening", resolve));
    const port = (other.address() as { port: number }).port;
    const free = await start();
    await free.server.close();
    const taken = startServer({ directory: free.directory, port });
    await expect(taken).rejects.toThrow(`cannot listen on 127.0.0.1:${port}: the port is in use`);
    other.close();
    // The directory was given back.
    await (await startServer({ directory: free.directory, port: 0 })).close();
    await expect(startServer({ directory: "/dev/null/data", port: 0 })).rejects.toThrow("/dev/null/data");
    const tls = { cert: Buffer.from("no certificate"), key: Buffer.from("no key") };
    await expect(startServer({ directory: free.directory, port: 0, tls })).rejects.toThrow();
    await (await startServer({ directory: free.directory, port: 0 })).close();
  });
});
