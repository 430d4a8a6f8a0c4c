import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createReplica } from "../../client/index.js";
import { createSqliteReplica } from "../../client/replica/sqlite.js";
import { replicaOn } from "../../client/replica-handle.js";
import { startServer } from "../../server/index.js";

let directory: string;
/** A file system of its own, of 6 MiB, where this process may mount one; else undefined. */
let small: string | undefined;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tercet-full-"));
  const place = join(directory, "small");
  mkdirSync(place);
  const mounted =
    process.getuid?.() === 0 && spawnSync("mount", ["-t", "tmpfs", "-o", "size=6m", "tmpfs", place]).status === 0;
  small = mounted ? place : undefined;
});

afterEach(() => {
  if (small !== undefined) spawnSync("umount", [small]);
  rmSync(directory, { recursive: true, force: true });
});

const items = (count: number, from = 0): [string, string][] =>
  Array.from({ length: count }, (_, at) => [`item ${from + at}`, `${from + at} ${"x".repeat(2000)}`]);

describe("a full disk", () => {
  test("at the replica ends an exchange with what it has; room, and the next one goes on", async () => {
    const server = await startServer({ directory: join(directory, "data"), port: 0 });
    const other = createReplica(join(directory, "other"), { collection: "full" });
    other.putMany(items(3000));
    await other.sync({ server: server.address, create: true });
    // Where there is no small disk, a small file.
    const path = join(small ?? directory, "replica");
    const filler = join(small ?? directory, "filler");
    const options = { collection: "full", ...(small === undefined ? { maxPageCount: 800 } : {}) };
    const store = createSqliteReplica(path, options);
    const replica = replicaOn(store);
    if (small !== undefined) writeFileSync(filler, Buffer.alloc(1024 * 1024));
    await expect(replica.sync({ server: server.address })).rejects.toMatchObject({ kind: "full" });
    const taken = replica.status();
    expect(taken.items).toBeGreaterThan(0);
    expect(taken.items).toBeLessThan(3000);
    expect(replica.check().sound).toBe(true);
    expect(() => {
      for (let at = 0; at < 1000; at++) replica.put(`own ${at}`, "y".repeat(10_000));
    }).toThrow(expect.objectContaining({ kind: "full" }));
    expect(replica.check().sound).toBe(true);
    replica.close();
    other.close();
    await server.close();
  });

  test("at the server refuses the batch and loses nothing; reads go on", async () => {
    if (small === undefined) return expect(small).toBeUndefined();
    const server = await startServer({ directory: join(small, "data"), port: 0 });
    const replica = createReplica(join(directory, "replica"), { collection: "full" });
    replica.putMany(items(200));
    await replica.sync({ server: server.address, create: true });
    replica.putMany(items(6000, 1000));
    await expect(replica.sync({ server: server.address })).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED" });
    expect(replica.status().items).toBe(6200);
    const reader = createReplica(join(directory, "reader"), { collection: "full" });
    const report = await reader.sync({ server: server.address });
    expect(report).toMatchObject({ verified: true });
    // What the server has is what it had acknowledged: everything else is pending still.
    expect(reader.status().items + replica.status().pending).toBeGreaterThanOrEqual(6200);
    for (const { id, content } of reader.list()) expect(replica.get(id)?.content).toBe(content);
    replica.close();
    reader.close();
    await server.close();
  });
});
