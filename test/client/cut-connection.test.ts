import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, connect as connectTcp, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createReplica, type Replica } from "../../client/index.js";
import { type RunningServer, startServer } from "../../server/index.js";

let directory: string;
let server: RunningServer;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "tercet-cut-"));
  server = await startServer({ directory: join(directory, "data"), port: 0, limits: { messageBytes: 16 * 1024 } });
});

afterAll(async () => {
  await server.close();
  rmSync(directory, { recursive: true, force: true });
});

/** A proxy that cuts its connection once so many bytes have gone through it, in one direction. */
async function cutter(direction: "up" | "down", after: number): Promise<{ address: string; close(): void }> {
  const proxy: Server = createServer((socket) => {
    const upstream = connectTcp(server.port, "127.0.0.1");
    const cut = (): void => {
      socket.destroy();
      upstream.destroy();
    };
    for (const end of [socket, upstream]) end.on("error", cut).on("close", cut);
    let bytes = 0;
    const pass = (from: typeof socket, to: typeof socket, counts: boolean): void => {
      from.on("data", (chunk: Buffer) => {
        const part = counts ? chunk.subarray(0, Math.max(after - bytes, 0)) : chunk;
        if (counts) bytes += chunk.length;
        to.write(part);
        if (counts && bytes >= after) cut();
      });
    };
    pass(socket, upstream, direction === "up");
    pass(upstream, socket, direction === "down");
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  return { address: `127.0.0.1:${(proxy.address() as AddressInfo).port}`, close: () => void proxy.close() };
}

function contents(replica: Replica): Map<string, string> {
  return new Map([...replica.list()].map((item) => [item.id, item.content as string]));
}

test("a connection that is cut at any byte loses nothing, and the next exchange goes on", async () => {
  const open = (name: string): Replica => createReplica(join(directory, name), { collection: "cut" });
  const [a, b] = [open("a"), open("b")];
  const expected = new Map<string, string>();
  await a.sync({ server: server.address, create: true });
  const points = [1, 60, 200, 500, 1000, 3000, 9000, 20_000, 40_000, 70_000];
  for (const [round, after] of points.entries()) {
    for (const direction of ["up", "down"] as const) {
      const items = Array.from({ length: 100 }, (_, i): [string, string] => [
        `item ${(round * 37 + i) % 300}`,
        `${direction} ${round} ${i} ${"x".repeat(600)}`,
      ]);
      a.putMany(items);
      for (const [id, content] of items) expected.set(id, content);
      const gone = `item ${(round * 53) % 300}`;
      if (a.delete(gone)) expected.delete(gone);
      for (const replica of [a, b]) {
        const proxy = await cutter(direction, after);
        // It may be through before the cut.
        const outcome = await replica.sync({ server: proxy.address }).catch((error: unknown) => error);
        if (outcome instanceof Error) expect(outcome).toMatchObject({ name: "TercetError", code: "UNAVAILABLE" });
        proxy.close();
      }
      for (const replica of [a, b]) {
        expect(await replica.sync({ server: server.address })).toMatchObject({ verified: true, conflictCount: 0 });
        expect(contents(replica)).toEqual(expected);
        expect(replica.status()).toMatchObject({ pending: 0, conflicts: 0 });
        expect(replica.audit()).toBe(true);
      }
    }
  }
  a.close();
  b.close();
});
