import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createRangeSum } from "../../core/range-sum.js";
import { openSqliteStore } from "../../server/store/sqlite.js";
import { EPOCH } from "./build.js";
import { NUMBERS_A_BATCH, numberedBatch, UID } from "./sqlite-child-data.js";

const SCRIPT = fileURLToPath(new URL("sqlite-child.js", import.meta.url));
const BUILT = fileURLToPath(new URL("../../dist/server/store/sqlite.js", import.meta.url));

describe("a SQLite store and other processes", () => {
  let directory: string;
  let children: ChildProcess[];
  beforeEach(() => {
    children = [];
    directory = mkdtempSync(join(tmpdir(), "tercet-store-"));
    expect(existsSync(BUILT), "the server is built (npm run build)").toBe(true);
  });
  afterEach(async () => {
    await Promise.all(children.map(kill));
    rmSync(directory, { recursive: true });
  });

  /** Starts the script; what it says comes line by line. */
  function start(command: string): { child: ChildProcess; lines: AsyncIterator<string> } {
    const child = spawn(process.execPath, [SCRIPT, command, directory], { stdio: ["ignore", "pipe", "inherit"] });
    children.push(child);
    if (child.stdout === null) throw new Error("no output to read");
    return { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() };
  }

  it("is refused to a second process, by name, and let go with the first", async () => {
    const store = openSqliteStore({ directory, epoch: EPOCH });
    const refused = await start("open").lines.next();
    expect(refused.value).toBe(`StorageError busy: the data directory ${directory} is in use by another server`);
    store.close();
    expect((await start("open").lines.next()).value).toBe("opened");
  });

  it("is refused while another process holds it, until that one is killed", async () => {
    const { child, lines } = start("hold");
    expect((await lines.next()).value).toBe("open");
    expect(() => openSqliteStore({ directory, epoch: EPOCH })).toThrow("in use by another server");
    await kill(child);
    openSqliteStore({ directory, epoch: EPOCH }).close();
  });

  it("has every acknowledged write after kill -9 in the middle of writing", async () => {
    for (const acknowledgements of [1, 4, 9, 30, 61]) {
      const { child, lines } = start("write");
      expect((await lines.next()).value).toBe("open");
      let acknowledged = -1;
      for (let i = 0; i < acknowledgements; i++) acknowledged = Number((await lines.next()).value);
      child.kill("SIGKILL");
      // What it had said before it died counts, too.
      for (let line = await lines.next(); !line.done; line = await lines.next()) acknowledged = Number(line.value);
      await kill(child);
      checkBatches(directory, acknowledged);
    }
  });
});

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}

/** Batches are there whole, at least up to the one acknowledged, with the counters that they make. */
function checkBatches(directory: string, acknowledged: number): void {
  const store = openSqliteStore({ directory, epoch: EPOCH });
  const state = store.getCollection("c");
  const batches = (state?.revision ?? 0) / NUMBERS_A_BATCH;
  expect(batches).toBeGreaterThan(acknowledged);
  const sum = createRangeSum();
  for (let number = 0; number < batches; number++) {
    const { writes } = numberedBatch(number);
    const read = store.readItems({ uid: UID, ids: writes.map((write) => write.id), maxBytes: 1e9 });
    expect(read?.items.map((item) => item?.content)).toEqual(writes.map((write) => write.upsert.content));
    for (const write of writes) sum.add(write.upsert.fingerprint);
  }
  expect(state?.total).toEqual({ count: sum.count, sum: sum.bytes() });
  store.close();
}
