import { status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { StorageError } from "../../core/storage-error.js";
import { Limits } from "../../gen/tercet/v1/sync.js";
import { streamOver } from "../../scripts/conformance/stream-client.js";
import { createMemoryStore, type MemoryStore } from "../../server/store/memory.js";
import type { Store } from "../../server/store/store.js";
import { createCollection, EPOCH, put, writeOne } from "../store/build.js";
import { type BareServer, startBareServer } from "./bare-server.js";
import { absent, batch, contentOf, upsert } from "./build.js";
import { type Refusal, refusalOf, toRefusal } from "./refusal.js";

const collection = "c";

describe("a server whose store", () => {
  let memory: MemoryStore;
  let bare: BareServer | undefined;
  beforeEach(async () => {
    memory = createMemoryStore({ epoch: EPOCH });
    await createCollection(memory, collection);
  });
  afterEach(() => bare?.stop());

  const write = (api: BareServer["api"]) =>
    api.writeItem({ collection, item: { id: "a", content: contentOf("1") }, precondition: absent });

  /** What a write and a push get from a store that throws this when it writes. */
  async function refusalsOf(error: unknown): Promise<[Refusal, Refusal]> {
    const failing: Store = {
      ...memory,
      write() {
        throw error;
      },
    };
    bare = await startBareServer(failing);
    const stream = streamOver(bare.client);
    stream.open({ collection });
    stream.send(batch([upsert("a", "1")]));
    return [await refusalOf(write(bare.api)), toRefusal(await stream.status())];
  }

  it.each([
    ["is full", new StorageError("full", "/secret/path: disk full"), "RESOURCE_EXHAUSTED", "full", undefined],
    ["is damaged", new StorageError("damaged", "/secret/path: malformed"), "DATA_LOSS", "damaged", undefined],
    ["is no database", new StorageError("foreign", "/secret/path: no db"), "DATA_LOSS", "damaged", undefined],
    ["is busy", new StorageError("busy", "/secret/path: locked"), "UNAVAILABLE", "busy", 1000],
    ["fails", new StorageError("failed", "/secret/path: I/O error"), "UNAVAILABLE", "failed", 1000],
  ])("%s says so, without internals, and logs them", async (_what, error, code, storage, retryMs) => {
    for (const refusal of await refusalsOf(error)) {
      expect(refusal).toMatchObject({ code, reason: "STORAGE_FAILED", metadata: { storage }, retryMs });
      expect(refusal.message).not.toContain("secret");
      if (storage === "damaged") expect(refusal.message).toMatch(/tercet\.db.*restore a backup; replicas keep/);
    }
    // One line for each call, without a stack.
    expect(bare?.errors).toHaveLength(2);
    for (const line of bare?.errors ?? []) {
      expect(JSON.parse(line)).toMatchObject({ storage: error.kind, msg: `the storage failed: ${error.message}` });
      expect(line).not.toContain("at ");
    }
    expect(memory.getCollection(collection)).toMatchObject({ revision: 0 });
  });

  it("throws what it should not tells nothing of it to callers, and goes on", async () => {
    for (const refusal of await refusalsOf(new TypeError("secret"))) {
      expect(refusal).toMatchObject({ code: "INTERNAL", reason: "INTERNAL", retryMs: undefined });
      expect(refusal.message).not.toContain("secret");
    }
    expect(bare?.errors.join()).toContain("secret");
    expect((await bare?.api.getCollection({ collection }))?.collection?.revision).toBe(0);
  });

  it("answers by promises is served alike", async () => {
    const patient = new Proxy(memory as Store, {
      get: (store, name: keyof Store) => {
        const method = store[name] as (...args: unknown[]) => unknown;
        return async (...args: unknown[]) => {
          await new Promise((resolve) => setImmediate(resolve));
          return method(...args);
        };
      },
    });
    bare = await startBareServer(patient);
    expect((await write(bare.api)).change?.revision).toBe(1);
    const stream = streamOver(bare.client);
    stream.open({ collection });
    stream.send(batch([upsert("b", "1")]));
    stream.done();
    stream.end();
    await stream.next("opened");
    expect((await stream.untilProof()).pages.at(-1)?.proof?.count).toBe(2);
    expect((await stream.status()).code).toBe(status.OK);
  });

  it("is large is read no faster than its reader reads", async () => {
    const content = Buffer.alloc(1000, 1);
    for (let at = 0; at < 30_000; at += 1000) {
      await writeOne(memory, ...Array.from({ length: 1000 }, (_, i) => put(`item-${at + i}`, content)));
    }
    let reads = 0;
    const counting: Store = {
      ...memory,
      readChanges(query) {
        reads += 1;
        return memory.readChanges(query);
      },
    };
    bare = await startBareServer(counting);
    const stream = streamOver(bare.client);
    // The reader takes the first message and then nothing more for a while.
    const paused = new Promise((resolve) => stream.call.once("data", () => resolve(stream.call.pause())));
    stream.open({ collection, limits: Limits.create({ messageBytes: 16_384 }) });
    stream.done();
    await paused;
    // The server does other work meanwhile: enough turns to send everything, if it would.
    for (let turn = 0; turn < 300; turn++) await bare.api.getCollection({ collection });
    const pages = 30_000 / 16;
    expect(reads).toBeLessThan(pages / 10);
    stream.call.resume();
    await stream.next("opened");
    const all = await stream.untilProof();
    expect(all.pages.flatMap(({ changes }) => changes)).toHaveLength(30_000);
    expect(reads).toBeGreaterThan(pages / 2);
    stream.end();
    expect((await stream.status()).code).toBe(status.OK);
  });
});
