import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createReplica, openReplica, type Replica } from "../../client/index.js";
import { type RunningServer, startServer } from "../../server/index.js";
import { createChildren, createRandom, KILLS } from "./children.js";

let directory: string;
let server: RunningServer;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "tercet-kill-client-"));
  server = await startServer({ directory: join(directory, "data"), port: 0 });
});

afterAll(async () => {
  await server.close();
  rmSync(directory, { recursive: true, force: true });
});

function contents(replica: Replica): Map<string, unknown> {
  return new Map([...replica.list()].map(({ id, content }) => [id, content]));
}

test(
  `a replica has every local write after ${KILLS} kill -9 in the middle of writes and exchanges`,
  async () => {
    const random = createRandom(20_261);
    const file = join(directory, "killed");
    createReplica(file, { collection: "kill" }).close();
    const reader = createReplica(join(directory, "reader"), { collection: "kill" });
    const children = createChildren(() => ["client", file, server.address]);
    let returned = 0;
    try {
      for (let round = 0; round < KILLS; round++) {
        const child = await children.next();
        expect(await child.begin()).toBe("open");
        // A random instant is what is tested: nothing depends on how far the process has come by then.
        await wait(random(60));
        await child.kill();
        const last = Number(child.said.filter((line) => line !== "open").at(-1) ?? returned);
        expect(last).toBeGreaterThanOrEqual(returned);
        returned = last;
        if (round % 10 !== 9) continue;
        // Groups are whole for everybody: the count and the pair that was written with it.
        await reader.sync({ server: server.address, create: true });
        const count = reader.get("count")?.content;
        if (count !== undefined) expect(reader.get(`pair ${Number(count) % 7}`)?.content).toBe(count);
      }
    } finally {
      await children.end();
    }
    const killed = openReplica(file);
    // What had returned is there; the write after it may be.
    expect(Number(killed.get("count")?.content)).toBeGreaterThanOrEqual(returned);
    expect(killed.check().sound).toBe(true);
    const before = contents(killed);
    const report = await killed.sync({ server: server.address });
    expect(report).toMatchObject({ verified: true, conflictCount: 0, rejectedCount: 0 });
    expect(contents(killed)).toEqual(before);
    expect(killed.status().pending).toBe(0);
    expect((await reader.sync({ server: server.address })).verified).toBe(true);
    expect(contents(reader)).toEqual(before);
    killed.close();
    reader.close();
  },
  60_000 + KILLS * 3000,
);
