import { createHash } from "node:crypto";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ConflictingVersions, createReplica, fingerprintOf, type Replica } from "../../client/index.js";
import { type RunningServer, startServer } from "../../server/index.js";
import { expectNoLeaks } from "../replica/leaks.js";
import { refusal } from "./harness.js";

const MIB = 1024 * 1024;
const SIZE = Number(process.env["TERCET_LARGE_MIB"] ?? 24) * MIB;
const WINDOW = 4 * MIB;
/** What a cut may cost: what had left one side and was not stored at the other, in buffers on the way and in the proxy. */
const SLACK_PER_CUT = 2 * MIB;
const CUTS = 4;

let directory: string;
let server: RunningServer;
const replicas: Replica[] = [];

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "tercet-large-"));
  const limits = { itemBytes: Math.max(SIZE, 64 * MIB) };
  server = await startServer({ directory: join(directory, "data"), port: 0, limits });
});

afterAll(async () => {
  for (const replica of replicas) replica.close();
  await server.close();
  rmSync(directory, { recursive: true, force: true });
});

function open(name: string, collection: string): Replica {
  const replica = createReplica(join(directory, name), { collection });
  replicas.push(replica);
  return replica;
}

/** A file of bytes that do not repeat, and the SHA-256 of them. */
function makeFile(name: string, size: number): { readonly path: string; readonly sha256: string } {
  const path = join(directory, name);
  const file = openSync(path, "w");
  const sum = createHash("sha256");
  const block = Buffer.alloc(MIB);
  for (let at = 0; at < size; at += block.length) {
    for (let i = 0; i < block.length; i += 4) block.writeInt32LE(Math.imul(at + i, 2654435761) | 0, i);
    const part = block.subarray(0, Math.min(block.length, size - at));
    writeSync(file, part);
    sum.update(part);
  }
  closeSync(file);
  return { path, sha256: sum.digest("hex") };
}

async function sha256Of(replica: Replica, id: string): Promise<string> {
  const content = replica.openContent(id);
  if (content === undefined) throw new Error(`there is no ${id}`);
  const sum = createHash("sha256");
  const sink = new Writable({
    write(piece: Buffer, _encoding, done) {
      expect(piece.length).toBeLessThanOrEqual(256 * 1024);
      sum.update(piece);
      done();
    },
  });
  await pipeline(content, sink);
  return sum.digest("hex");
}

type Direction = "up" | "down";

/** A proxy that counts what goes through it, and cuts its connections once that is so much in one direction. */
async function cutter(direction: Direction, after: number) {
  const through = { up: 0, down: 0 };
  let wasCut = false;
  const proxy = createServer((socket) => {
    const upstream = connectTcp(server.port, "127.0.0.1");
    const cut = (): void => {
      socket.destroy();
      upstream.destroy();
    };
    for (const end of [socket, upstream]) end.on("error", cut).on("close", cut);
    const pass = (from: Socket, to: Socket, which: Direction): void => {
      from.on("data", (chunk: Buffer) => {
        through[which] += chunk.length;
        if (which === direction && through[which] >= after) {
          wasCut = true;
          return cut();
        }
        // As slow as whoever reads: what the proxy holds is lost by a cut.
        if (to.write(chunk)) return;
        from.pause();
        to.once("drain", () => from.resume());
      });
    };
    pass(socket, upstream, "up");
    pass(upstream, socket, "down");
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  return {
    address: `127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    through,
    wasCut: () => wasCut,
    close: () => void proxy.close(),
  };
}

/** Syncs through one connection that is cut after another, and then through one that is not; answers the bytes of all. */
async function syncWithCuts(replica: Replica, direction: Direction): Promise<number> {
  let bytes = 0;
  for (let cut = 0; cut <= CUTS; cut++) {
    const proxy = await cutter(direction, cut < CUTS ? SIZE / (CUTS + 2) : Number.POSITIVE_INFINITY);
    const outcome = await replica.sync({ server: proxy.address, create: true }).catch((error: unknown) => error);
    proxy.close();
    bytes += proxy.through[direction];
    expect(proxy.wasCut()).toBe(cut < CUTS);
    if (cut < CUTS) expect(outcome).toMatchObject({ name: "TercetError", code: "UNAVAILABLE" });
    else expect(outcome).toMatchObject({ verified: true });
  }
  return bytes;
}

test("a large item goes there and back by pieces, and goes on where its connection was cut", {
  timeout: 300_000,
}, async () => {
  const [a, b] = [open("a", "cut"), open("b", "cut")];
  // For the limits of the server, which the first exchange tells.
  await a.sync({ server: server.address, create: true });
  const { path, sha256 } = makeFile("content", SIZE);
  await a.putFile("large", path);
  const most = SIZE * 1.01 + WINDOW + CUTS * SLACK_PER_CUT;
  const up = await syncWithCuts(a, "up");
  expect(up).toBeGreaterThan(SIZE);
  expect(up).toBeLessThan(most);
  const down = await syncWithCuts(b, "down");
  expect(down).toBeGreaterThan(SIZE);
  expect(down).toBeLessThan(most);
  expect(b.get("large")).toHaveProperty("size", SIZE);
  expect(await sha256Of(b, "large")).toBe(sha256);
  expect(b.openContent("large")?.fingerprint).toBe(a.openContent("large")?.fingerprint);
  expect([a.audit(), b.audit()]).toEqual([true, true]);
  expect(a.status().pending).toBe(0);
});

describe("contents from files", () => {
  test("of any size, as bytes or as text, are what `put` makes of them", async () => {
    const replica = open("sizes", "sizes");
    for (const size of [0, 1, 256 * 1024, MIB, MIB + 1, 3 * MIB + 5]) {
      const content = "ü".repeat(size / 2) + "x".repeat(size % 2);
      const path = join(directory, "sized");
      writeFileSync(path, content);
      for (const text of [true, false]) {
        expect((await replica.putFile("item", path, { text })).id).toBe("item");
        const expected = text ? content : Buffer.from(content);
        const fingerprint = fingerprintOf("item", content).toString("hex");
        const item = replica.get("item");
        expect(item).toMatchObject({ size, text, fingerprint });
        expect(Buffer.compare(Buffer.from(item?.content ?? "-"), Buffer.from(expected))).toBe(0);
        expect(typeof item?.content).toBe(text ? "string" : "object");
        expect(replica.openContent("item")).toMatchObject({ size, text, fingerprint });
        replica.put("item", "another");
      }
    }
    expect(replica.audit()).toBe(true);
  });

  test("a stream in chunks of any size, of which parts can be read", async () => {
    const replica = open("stream", "stream");
    const whole = Buffer.alloc(2 * MIB + 77).map((_, index) => index % 251);
    async function* chunks(): AsyncGenerator<Uint8Array> {
      for (const [from, to] of [
        [0, 1],
        [1, 1],
        [1, MIB + 9],
        [MIB + 9, whole.length],
      ])
        yield await Promise.resolve(whole.subarray(from, to));
    }
    await replica.putStream("item", chunks());
    const content = replica.openContent("item");
    expect(
      Buffer.compare(content?.read(MIB - 3, 300_000) ?? Buffer.alloc(0), whole.subarray(MIB - 3, MIB - 3 + 300_000)),
    ).toBe(0);
    expect(content?.read(whole.length - 2, 10)).toHaveLength(2);
    expect(content?.read(whole.length, 10)).toHaveLength(0);
    expect(await refusal(() => content?.read(-1, 1))).toMatchObject({ reason: "INVALID_FIELD", fields: ["offset"] });
    expect(replica.openContent("none")).toBeUndefined();
    replica.put("item", "changed");
    expect(await refusal(() => content?.read(0, 10))).toMatchObject({ code: "ABORTED" });
  });

  test("what can't be put changes nothing", async () => {
    const replica = open("refused", "refused");
    replica.put("item", "before");
    const path = join(directory, "no-text");
    writeFileSync(path, Buffer.concat([Buffer.alloc(2 * MIB, "x"), Buffer.of(0xc3)]));
    const noText = await refusal(() => replica.putFile("item", path, { text: true }));
    expect(noText).toMatchObject({ reason: "INVALID_FIELD", fields: ["content"] });
    expect(await refusal(() => replica.putFile("", path))).toMatchObject({ reason: "INVALID_ID" });
    await expect(replica.putFile("item", join(directory, "none"))).rejects.toMatchObject({ code: "ENOENT" });
    async function* breaks(): AsyncGenerator<Uint8Array> {
      yield await Promise.resolve(Buffer.alloc(MIB));
      throw new Error("broken off");
    }
    await expect(replica.putStream("item", breaks())).rejects.toThrow("broken off");
    expect(replica.get("item")).toMatchObject({ content: "before", size: 6, text: true });
    replica.close();
    expectNoLeaks(join(directory, "refused"));
  });
});

describe("a server with a low limit", () => {
  let low: RunningServer;
  beforeAll(async () => {
    low = await startServer({ directory: join(directory, "low"), port: 0, limits: { itemBytes: 2 * MIB } });
  });
  afterAll(() => low.close());

  test("over it is ITEM_TOO_LARGE: by what the file says, by what comes, and at the server", async () => {
    const replica = open("low replica", "low");
    const path = makeFile("over", 2 * MIB + 1).path;
    // Not heard of yet: the server rejects it.
    const change = await replica.putFile("early", path);
    await replica.sync({ server: low.address, create: true });
    expect(await change.verdict()).toMatchObject({ outcome: "rejected", reason: "ITEM_TOO_LARGE" });
    const told = await refusal(() => replica.putFile("item", path));
    expect(told).toMatchObject({ reason: "ITEM_TOO_LARGE", fields: ["content"] });
    expect(told.message).toContain("2097153 bytes");
    async function* grows(): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < 3; i++) yield await Promise.resolve(Buffer.alloc(MIB));
    }
    expect(await refusal(() => replica.putStream("item", grows()))).toMatchObject({ reason: "ITEM_TOO_LARGE" });
    expect(replica.get("item")).toBeUndefined();
  });
});

test("a resolver is given the sizes of large contents, and small contents whole", async () => {
  const [a, b] = [open("resolver a", "resolver"), open("resolver b", "resolver")];
  const sync = (replica: Replica) => replica.sync({ server: server.address, create: true });
  a.put("item", "base");
  await sync(a);
  await sync(b);
  a.put("item", "t".repeat(2 * MIB));
  b.put("item", "m".repeat(MIB + 1));
  await sync(a);
  const seen: ConflictingVersions[] = [];
  const resolver = (conflict: ConflictingVersions) => {
    seen.push(conflict);
    return "mine" as const;
  };
  await b.sync({ server: server.address, resolver });
  expect(seen[0]).toMatchObject({ id: "item", base: "base", baseSize: 4, mineSize: MIB + 1, theirsSize: 2 * MIB });
  expect([seen[0]?.mine, seen[0]?.theirs]).toEqual([undefined, undefined]);
  await sync(a);
  expect(a.get("item")?.size).toBe(MIB + 1);
});
