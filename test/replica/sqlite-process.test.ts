import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createSqliteReplica, openSqliteReplica } from "../../client/replica/sqlite.js";
import { expectNoLeaks } from "./leaks.js";

const SCRIPT = fileURLToPath(new URL("sqlite-child.js", import.meta.url));
const BUILT = fileURLToPath(new URL("../../dist/client/replica/sqlite.js", import.meta.url));

describe("a SQLite replica and other processes", () => {
  let directory: string | undefined;
  let path: string;
  let children: ChildProcess[];
  beforeEach(() => {
    children = [];
    expect(existsSync(BUILT), "the client is built (npm run build)").toBe(true);
    directory = mkdtempSync(join(tmpdir(), "tercet-replica-"));
    path = join(directory, "replica.db");
    createSqliteReplica(path, { collection: "c" }).close();
  });
  afterEach(async () => {
    await Promise.all(children.map(kill));
    if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
  });

  /** Starts the script; what it says comes line by line. */
  function start(command: string): { child: ChildProcess; lines: AsyncIterator<string> } {
    const child = spawn(process.execPath, [SCRIPT, command, path], { stdio: ["ignore", "pipe", "inherit"] });
    children.push(child);
    if (child.stdout === null) throw new Error("no output to read");
    return { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() };
  }

  it("is refused to a second process, and let go with the first", async () => {
    const replica = openSqliteReplica(path);
    const refused = `StorageError busy: ${path} is in use by another process, or open in this one`;
    expect((await start("open").lines.next()).value).toBe(refused);
    // A second try in this process must not let go of what the first one holds.
    expect(() => openSqliteReplica(path)).toThrow("in use");
    expect(() => createSqliteReplica(path, { collection: "c" })).toThrow("exists");
    expect((await start("open").lines.next()).value).toBe(refused);
    replica.close();
    expect((await start("open").lines.next()).value).toBe("opened");
  });

  it("is refused while another process holds it, until that one is killed", async () => {
    const { child, lines } = start("hold");
    expect((await lines.next()).value).toBe("open");
    expect(() => openSqliteReplica(path)).toThrow(expect.objectContaining({ kind: "busy" }));
    await kill(child);
    openSqliteReplica(path).close();
  });

  it("has every acknowledged write with its pending mark after kill -9, and is free at once", async () => {
    let written = 0;
    for (const acknowledgements of [1, 3, 17, 60]) {
      const { child, lines } = start("write");
      expect((await lines.next()).value).toBe("open");
      for (let i = 0; i < acknowledgements; i++) await lines.next();
      child.kill("SIGKILL");
      // What it still said before it died counts as well.
      for (let line = await lines.next(); line.done !== true; line = await lines.next())
        written = Number(line.value) + 1;
      await kill(child);
      const replica = openSqliteReplica(path);
      const { items, pending } = replica.state();
      expect(items).toBeGreaterThanOrEqual(written);
      expect(pending).toBe(items);
      const changes = replica.listPending(0, items + 1);
      expect(changes.map((change) => change.id)).toEqual(Array.from({ length: items }, (_, n) => `item-${n}`));
      for (const { id, sequence } of changes) {
        expect(replica.get(id)).toMatchObject({ content: `content ${sequence - 1}`, pending: true });
      }
      expect(replica.audit()).toBeUndefined();
      replica.close();
    }
  });

  it("goes on with a content that was coming when it was killed, and keeps nothing of one that was being made", async () => {
    let staged = 0;
    for (const acknowledgements of [1, 5, 20]) {
      const { child, lines } = start("stage");
      expect((await lines.next()).value).toBe("open");
      for (let i = 0; i < acknowledgements; i++) await lines.next();
      child.kill("SIGKILL");
      for (let line = await lines.next(); line.done !== true; line = await lines.next()) staged = Number(line.value);
      await kill(child);
      const replica = openSqliteReplica(path);
      const [download] = replica.listDownloads(undefined);
      // What it stored and had no time to say counts as well.
      expect(download?.offset).toBeGreaterThanOrEqual(staged);
      staged = download?.offset ?? 0;
      const last = replica.readContent({ staged: download?.key ?? 0 }, staged - 3, 9);
      expect(Buffer.from(last ?? []).toString()).toBe("xxx");
      expect(replica.audit()).toBeUndefined();
      replica.close();
      expectNoLeaks(path);
    }
  });
});

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}
