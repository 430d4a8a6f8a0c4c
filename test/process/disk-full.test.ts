import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createReplica, openReplica } from "../../client/index.js";
import { createSqliteReplica } from "../../client/replica/sqlite.js";
import { replicaOn } from "../../client/replica-handle.js";
import { startServer } from "../../server/index.js";

let directory: string;
/** A file system of its own, of 8 MiB; undefined where this process may not mount one. */
let small: string | undefined;

function mountSmall(place: string): boolean {
  if (process.getuid?.() !== 0) return false;
  return spawnSync("mount", ["-t", "tmpfs", "-o", "size=8m", "tmpfs", place]).status === 0;
}

const canMount = ((): boolean => {
  const place = mkdtempSync(join(tmpdir(), "tercet-mount-"));
  const mounted = mountSmall(place);
  if (mounted) spawnSync("umount", [place]);
  rmSync(place, { recursive: true, force: true });
  return mounted;
})();

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tercet-full-"));
  const place = join(directory, "small");
  mkdirSync(place);
  small = canMount && mountSmall(place) ? place : undefined;
});

afterEach(() => {
  if (small !== undefined) spawnSync("umount", [small]);
  rmSync(directory, { recursive: true, force: true });
});

const items = (count: number, from = 0): [string, string][] =>
  Array.from({ length: count }, (_, at) => [`item ${from + at}`, `${from + at} ${"x".repeat(2000)}`]);

describe("a full disk", () => {
  test("at the replica ends an exchange with what it has; with room, the next one goes on", async () => {
    const server = await startServer({ directory: join(directory, "data"), port: 0 });
    const other = createReplica(join(directory, "other"), { collection: "full" });
    other.putMany(items(1000));
    await other.sync({ server: server.address, create: true });
    const path = join(small ?? directory, "replica");
    const filler = join(small ?? directory, "filler");
    // Where there is no small disk, a small file.
    const options = { collection: "full", ...(small === undefined ? { maxPageCount: 300 } : {}) };
    const replica = replicaOn(createSqliteReplica(path, options));
    if (small !== undefined) writeFileSync(filler, Buffer.alloc(6 * 1024 * 1024));
    await expect(replica.sync({ server: server.address })).rejects.toMatchObject({ kind: "full" });
    expect(replica.status().items).toBeLessThan(1000);
    expect(replica.check().sound).toBe(true);
    expect(() => {
      for (let at = 0; at < 1000; at++) replica.put(`own ${at}`, "y".repeat(10_000));
    }).toThrow(expect.objectContaining({ kind: "full" }));
    const own = [...replica.list({ prefix: "own " })].length;
    replica.close();
    rmSync(filler, { force: true });
    const again = openReplica(path);
    expect(again.check().sound).toBe(true);
    expect(await again.sync({ server: server.address })).toMatchObject({ verified: true, sent: own });
    expect(again.status()).toMatchObject({ items: 1000 + own, pending: 0 });
    again.close();
    other.close();
    await server.close();
  });

  test.skipIf(!canMount)("at the server refuses the batch and loses nothing; reads go on", async () => {
    const server = await startServer({ directory: join(small ?? directory, "small data"), port: 0 });
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
