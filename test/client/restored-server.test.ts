import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createReplica, openReplica, type Replica } from "../../client/index.js";
import { type RunningServer, startServer } from "../../server/index.js";
import { backupDataFile, restoreDataFile } from "../../server/store/sqlite-backup.js";

let directory: string;
let server: RunningServer;
let replicas: Replica[];

const data = (name: string): string => join(directory, name);

async function serve(name: string): Promise<void> {
  server = await startServer({ directory: data(name), port: 0 });
}

function replicaOf(name: string): Replica {
  const replica = createReplica(join(directory, name), { collection: "things" });
  replicas.push(replica);
  return replica;
}

const sync = (replica: Replica, options = {}) => replica.sync({ server: server.address, create: true, ...options });

function contents(replica: Replica): Record<string, unknown> {
  return Object.fromEntries([...replica.list()].map(({ id, content }) => [id, content]));
}

/** Everybody has what the server has. */
async function expectEqual(expected: Record<string, unknown>): Promise<void> {
  for (let round = 0; round < 2; round++) {
    for (const replica of replicas) expect((await sync(replica)).verified).toBe(true);
  }
  for (const replica of replicas) expect(contents(replica)).toEqual(expected);
}

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "tercet-restored-"));
  replicas = [];
  await serve("data");
});

afterEach(async () => {
  for (const replica of replicas) replica.close();
  await server.close();
  rmSync(directory, { recursive: true, force: true });
});

describe("a server that is restored", () => {
  /** Two replicas of four items; a backup is made, and then one of them goes on. */
  async function goOnAfterBackup(backup: () => void | Promise<void>): Promise<readonly [Replica, Replica]> {
    const [one, two] = [replicaOf("one"), replicaOf("two")];
    one.putMany(["a", "b", "c", "d"].map((id) => [id, "1"] as const));
    await sync(one);
    await sync(two);
    await backup();
    one.put("a", "2");
    one.put("new", "1");
    one.delete("d");
    expect(await sync(one)).toMatchObject({ verified: true, sent: 2, sentDeletions: 1 });
    return [one, two];
  }

  test("from a backup made while it ran gets back what it lost, and the report says what", async () => {
    const [one, two] = await goOnAfterBackup(() => backupDataFile(data("data"), join(directory, "backup")));
    await server.close();
    restoreDataFile(join(directory, "backup"), data("restored"));
    await serve("restored");
    two.put("b", "since");
    await sync(two);
    const report = await sync(one);
    expect(report.recovery).toMatchObject({ why: "history", offeredCount: 2 });
    expect([...(report.recovery?.offered ?? [])].sort()).toEqual(["a", "new"]);
    expect(report.conflictCount).toBe(0);
    // The deletion had been acknowledged after the backup: it has returned, as the report warns.
    await expectEqual({ a: "2", b: "since", c: "1", d: "1", new: "1" });
  });

  test("by copying its directory back, and that was written to since, is found out by the token", async () => {
    const [one, two] = await goOnAfterBackup(async () => {
      await server.close();
      cpSync(data("data"), data("copy"), { recursive: true });
      await serve("data");
    });
    await server.close();
    cpSync(data("copy"), data("data"), { recursive: true, force: true });
    rmSync(join(data("data"), "tercet.db-wal"), { force: true });
    rmSync(join(data("data"), "tercet.db-shm"), { force: true });
    await serve("data");
    // As many commits as were lost, and more: the numbers of the revisions say nothing.
    for (const value of ["x", "y", "z", "since"]) {
      two.put("a", value);
      await sync(two);
    }
    await expect(sync(one, { onHistoryChange: "stop" })).rejects.toMatchObject({ reason: "TOKEN_OTHER_HISTORY" });
    const report = await sync(one, { standard: "SERVER" });
    expect(report.recovery).toMatchObject({ why: "history", offered: ["new"] });
    expect(report.conflicts).toEqual([{ id: "a", standard: "SERVER", prevailed: "theirs" }]);
    expect([...one.conflicts()].map(({ id }) => id)).toEqual(["a"]);
    await expectEqual({ a: "since", b: "1", c: "1", d: "1", new: "1" });
  });

  test("may be followed: what it lost is kept here in conflict records", async () => {
    const [one] = await goOnAfterBackup(() => backupDataFile(data("data"), join(directory, "backup")));
    await server.close();
    restoreDataFile(join(directory, "backup"), data("restored"));
    await serve("restored");
    expect(await sync(one, { onHistoryChange: "follow" })).toMatchObject({ sent: 0, verified: true });
    expect([...one.conflicts()].map(({ id }) => id).sort()).toEqual(["a", "new"]);
    await expectEqual({ a: "1", b: "1", c: "1", d: "1" });
  });
});

describe("a replica file", () => {
  test("that is restored or copied loses nothing", async () => {
    const one = replicaOf("one");
    one.putMany([
      ["a", "1"],
      ["b", "1"],
    ]);
    await sync(one);
    one.put("a", "pending");
    one.close();
    for (const name of ["copy", "backup"]) cpSync(join(directory, "one"), join(directory, name));
    replicas = [openReplica(join(directory, "one")), openReplica(join(directory, "copy"))];
    const [original, copy] = replicas as [Replica, Replica];
    await sync(original);
    original.put("a", "later");
    original.delete("b");
    await sync(original);
    copy.put("c", "of the copy");
    expect(await sync(copy)).toMatchObject({ verified: true });
    // The backup is put in the place of the original, which is gone.
    const restored = openReplica(join(directory, "backup"));
    replicas.push(restored);
    await sync(restored);
    await sync(original);
    for (const replica of replicas) {
      await sync(replica);
      expect(contents(replica)).toEqual({ a: "later", c: "of the copy" });
      expect(replica.status().pending).toBe(0);
    }
  });
});
