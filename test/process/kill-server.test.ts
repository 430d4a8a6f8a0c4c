import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createReplica, type Replica } from "../../client/index.js";
import { createChildren, createRandom, KILLS } from "./children.js";

const REPLICAS = 3;

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "tercet-kill-server-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** A port that is free now. */
async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => probe.once("listening", resolve));
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

/** Writes and syncs without end; what it wrote last is what has to be there in the end. */
function createWriter(name: string, address: string, wrote: Map<string, string>) {
  const replica = createReplica(join(directory, name), { collection: "kill" });
  const random = createRandom(name.length * 7919);
  let number = 0;
  let stopped = false;

  function write(): void {
    number += 1;
    const value = `${name} ${number} ${"x".repeat(random(4000))}`;
    const id = `${name}/${random(40)}`;
    replica.transaction((transaction) => {
      transaction.put(id, value);
      transaction.put(`${name}/latest`, value);
    });
    wrote.set(id, value).set(`${name}/latest`, value);
  }

  async function run(): Promise<void> {
    while (!stopped) {
      for (let writes = 1 + random(20); writes > 0; writes--) write();
      const before = number;
      // The server is killed all the time: what fails is tried again.
      await replica.sync({ server: address, create: true, onProgress: () => write() }).catch(() => wait(2));
      expect(number).toBeGreaterThanOrEqual(before);
    }
  }

  function stop(): void {
    stopped = true;
  }

  return { replica, run, stop };
}

function contents(replica: Replica): Map<string, unknown> {
  return new Map([...replica.list()].map(({ id, content }) => [id, content]));
}

test(
  `nothing that a replica wrote is lost by ${KILLS} kill -9 of the server in the middle of exchanges`,
  async () => {
    const random = createRandom(7727);
    const port = await freePort();
    const address = `127.0.0.1:${port}`;
    const children = createChildren(() => ["server", join(directory, "data"), String(port)]);
    const wrote = new Map<string, string>();
    const writers = Array.from({ length: REPLICAS }, (_, at) =>
      createWriter(`writer${"'".repeat(at)}`, address, wrote),
    );
    const running = writers.map((writer) => writer.run());
    try {
      for (let round = 0; round < KILLS; round++) {
        const child = await children.next();
        expect(await child.begin()).toBe(address);
        // A random instant is what is tested: nothing depends on how far anybody has come by then.
        await wait(random(60));
        await child.kill();
      }
      for (const writer of writers) writer.stop();
      const child = await children.next();
      await child.begin();
      await Promise.all(running);
      for (let round = 0; round < 2; round++) {
        for (const { replica } of writers) {
          const report = await replica.sync({ server: address, create: true });
          expect(report).toMatchObject({ verified: true, conflictCount: 0, rejectedCount: 0, recovery: undefined });
        }
      }
    } finally {
      for (const writer of writers) writer.stop();
      await Promise.allSettled(running);
      await children.end();
    }
    for (const { replica } of writers) {
      expect(contents(replica)).toEqual(wrote);
      expect(replica.check().sound).toBe(true);
      replica.close();
    }
  },
  60_000 + KILLS * 3000,
);
