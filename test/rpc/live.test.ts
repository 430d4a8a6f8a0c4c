import { status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Capability } from "../../gen/tercet/v1/sync.js";
import { absent, contentOf, sumOf } from "./build.js";
import { startTestServer, type TestServer } from "./harness.js";
import { toRefusal } from "./refusal.js";

const collection = "c";
const capabilities = [Capability.CAPABILITY_LIVE];

describe("a live exchange", () => {
  let test: TestServer;
  let started: TestServer[];
  beforeEach(async () => {
    started = [];
    test = await start();
  });
  afterEach(async () => {
    for (const each of started) await each.stop();
  });

  async function start(options: Parameters<typeof startTestServer>[0] = {}): Promise<TestServer> {
    const server = await startTestServer(options);
    started.push(server);
    await server.create(collection);
    return server;
  }

  const live = async (server = test) => {
    const stream = server.exchange();
    stream.open({ collection, live: true, capabilities });
    const opened = await stream.next("opened");
    expect(await stream.next("page")).toMatchObject({ changes: [], end: true, proof: undefined });
    return { stream, opened };
  };
  const write = (id: string, text: string, server = test) =>
    server.api.writeItem({ collection, item: { id, content: contentOf(text) }, precondition: absent });

  it("is told of what others write, and proves it whenever it asks", async () => {
    const { stream, opened } = await live();
    expect(opened).toMatchObject({ capabilities, heartbeatUs: 30_000_000 });
    await write("a", "1");
    const page = await stream.next("page");
    expect(page).toMatchObject({ changes: [{ id: "a", revision: 1 }], end: true, checkpoint: { revision: 1 } });
    await write("b", "2");
    expect(await stream.next("page")).toMatchObject({ changes: [{ id: "b" }], checkpoint: { revision: 2 } });
    stream.done();
    expect((await stream.next("page")).proof).toEqual(sumOf({ a: "1", b: "2" }));
    stream.end();
    expect((await stream.status()).code).toBe(status.OK);
  });

  it("gets heartbeats where nothing happens", async () => {
    const { stream } = await live(await start({ heartbeatMs: 1 }));
    for (let beat = 0; beat < 2; beat++) {
      expect(await stream.next("page")).toMatchObject({ changes: [], end: true, checkpoint: { revision: 0 } });
    }
  });

  it("is asked to leave by a server that drains, which waits for it", async () => {
    const { stream } = await live();
    const drained = test.server.drain();
    expect(await stream.next("goingAway")).toEqual({ retryAfterMs: 1000 });
    stream.end();
    expect((await stream.status()).code).toBe(status.OK);
    await drained;
  });

  it("is cut off where it does not leave", async () => {
    const hasty = await start({ graceMs: 0 });
    const { stream } = await live(hasty);
    await hasty.server.drain();
    expect(toRefusal(await stream.status())).toMatchObject({ code: "UNAVAILABLE", reason: "GOING_AWAY" });
  });

  it("ends with its collection", async () => {
    const { stream } = await live();
    await test.api.deleteCollection({ collection });
    expect(toRefusal(await stream.status())).toMatchObject({ reason: "COLLECTION_DELETED" });
  });
});
