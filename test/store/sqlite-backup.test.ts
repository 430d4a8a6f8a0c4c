import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openDatabase } from "../../core/sqlite.js";
import { StorageError } from "../../core/storage-error.js";
import { openSqliteStore } from "../../server/store/sqlite.js";
import { backupDataFile, restoreDataFile } from "../../server/store/sqlite-backup.js";
import { ALL, bytesOf, createCollection, EPOCH, ids, put, writeOne } from "./build.js";
import { checkSegments } from "./sqlite-segments.js";

describe("backup and restore of a data file", () => {
  let parent: string;
  let directory: string;
  let backup: string;
  let target: string;
  beforeEach(() => {
    parent = mkdtempSync(join(tmpdir(), "tercet-backup-"));
    directory = join(parent, "data");
    backup = join(parent, "backups", "one.db");
    target = join(parent, "restored");
    mkdirSync(join(parent, "backups"));
  });
  afterEach(() => rmSync(parent, { recursive: true }));

  const open = (where: string, epoch = EPOCH) => openSqliteStore({ directory: where, epoch });

  /** A directory with two items that no server has open. */
  async function fill(): Promise<void> {
    const store = open(directory);
    await createCollection(store);
    await writeOne(store, put("a", "1"), put("large", "x".repeat(5000)));
    store.close();
  }

  function failure(run: () => unknown): StorageError {
    try {
      run();
    } catch (error) {
      if (error instanceof StorageError) return error;
      throw error;
    }
    throw new Error("did not fail");
  }

  it("copies what is committed while the store is open, and restores it in a new epoch", async () => {
    const store = open(directory);
    await createCollection(store);
    await writeOne(store, put("a", "1"), put("large", "x".repeat(5000)));
    backupDataFile(directory, backup);
    await writeOne(store, put("b", "1"));
    expect(readdirSync(join(parent, "backups"))).toEqual(["one.db"]);
    restoreDataFile(backup, target);
    expect(readdirSync(target).sort()).toEqual(["tercet.db", "tercet.lock"]);
    const restored = open(target, bytesOf(8, 2));
    expect(ids(restored.readChanges(ALL)?.changes)).toEqual(["a", "large"]);
    await writeOne(restored, put("c", "1"));
    expect(restored.getCollection("c")?.lineage).toMatchObject([
      { id: EPOCH, firstRevision: 1 },
      { id: bytesOf(8, 2), firstRevision: 3 },
    ]);
    checkSegments(join(target, "tercet.db"));
    restored.close();
    // The store that was copied goes on, with its lock.
    expect(failure(() => open(directory))).toMatchObject({ kind: "busy" });
    await writeOne(store, put("b", "2"));
    store.close();
  });

  it("copies a directory that no server has open", async () => {
    await fill();
    backupDataFile(directory, backup);
    open(directory).close();
    restoreDataFile(backup, target);
    const restored = open(target);
    expect(ids(restored.readChanges(ALL)?.changes)).toEqual(["a", "large"]);
    restored.close();
  });

  it("replaces no file, and leaves none behind where it fails", async () => {
    await fill();
    writeFileSync(backup, "mine");
    const error = failure(() => backupDataFile(directory, backup));
    expect(error).toMatchObject({ kind: "exists", message: `cannot make the backup ${backup}: the file exists` });
    expect(readFileSync(backup, "utf8")).toBe("mine");
    const nowhere = join(parent, "nowhere", "b.db");
    expect(failure(() => backupDataFile(directory, nowhere)).message).toContain(nowhere);
    const none = failure(() => backupDataFile(target, join(parent, "b.db")));
    expect(none).toMatchObject({ kind: "failed", message: `there is no data to back up: no ${target}/tercet.db` });
    const theirs = openDatabase(join(parent, "tercet.db"));
    theirs.exec("CREATE TABLE theirs (x)");
    theirs.close();
    expect(failure(() => backupDataFile(parent, join(parent, "b.db")))).toMatchObject({ kind: "foreign" });
    expect(readdirSync(join(parent, "backups"))).toEqual(["one.db"]);
    expect(readdirSync(parent).sort()).toEqual(["backups", "data", "tercet.db"]);
  });

  it("restores into no directory that has data, leftovers of some, or a server", async () => {
    await fill();
    backupDataFile(directory, backup);
    const into = () => failure(() => restoreDataFile(backup, directory));
    expect(into()).toMatchObject({ kind: "exists" });
    expect(into().message).toContain(`${directory}/tercet.db: it is there already`);
    const store = open(directory);
    expect(into()).toMatchObject({ kind: "busy" });
    store.close();
    mkdirSync(target);
    for (const suffix of ["-wal", "-shm", "-journal"]) {
      const leftover = join(target, `tercet.db${suffix}`);
      writeFileSync(leftover, "");
      const error = failure(() => restoreDataFile(backup, target));
      expect(error).toMatchObject({ kind: "exists" });
      expect(error.message).toContain(leftover);
      rmSync(leftover);
    }
    restoreDataFile(backup, target);
  });

  it("restores nothing that is no backup, or a damaged one", async () => {
    await fill();
    backupDataFile(directory, backup);
    const from = (file: string) => failure(() => restoreDataFile(file, target));
    expect(from(join(parent, "none"))).toMatchObject({ kind: "failed" });
    const text = join(parent, "text");
    writeFileSync(text, "not a database, but long enough to be taken for one".repeat(50));
    expect(from(text)).toMatchObject({ kind: "foreign" });
    const empty = join(parent, "empty");
    writeFileSync(empty, "");
    expect(from(empty)).toMatchObject({
      kind: "foreign",
      message: `${empty} is empty, not a backup of a Tercet server`,
    });
    const damaged = join(parent, "damaged");
    copyFileSync(backup, damaged);
    const file = openSync(damaged, "r+");
    const size = statSync(damaged).size;
    writeSync(file, Buffer.alloc(size - 8192, 0x55), 0, size - 8192, 8192);
    closeSync(file);
    expect(from(damaged)).toMatchObject({ kind: "damaged" });
    expect(from(damaged).message).toContain(`${damaged}`);
    const later = join(parent, "later");
    copyFileSync(backup, later);
    const database = openDatabase(later);
    database.pragma("user_version = 99");
    database.close();
    expect(from(later).message).toContain(`${later} has schema version 99`);
    // What it made is gone again, parents too; what was there, or has something else in it, stays.
    expect(existsSync(target)).toBe(false);
    expect(failure(() => restoreDataFile(text, join(target, "a", "b")))).toMatchObject({ kind: "foreign" });
    expect(existsSync(target)).toBe(false);
    mkdirSync(target);
    expect(from(text)).toMatchObject({ kind: "foreign" });
    expect(readdirSync(target)).toEqual(["tercet.lock"]);
  });

  it("takes no file that a server writes to for a backup", async () => {
    const store = open(directory);
    await createCollection(store);
    const error = failure(() => restoreDataFile(join(directory, "tercet.db"), target));
    expect(error).toMatchObject({ kind: "failed" });
    expect(error.message).toContain("the data of a server rather than a backup");
    expect(existsSync(target)).toBe(false);
    store.close();
  });

  it("restores a backup that is kept read-only, for a server to write to", async () => {
    await fill();
    backupDataFile(directory, backup);
    chmodSync(backup, 0o400);
    restoreDataFile(backup, target);
    expect(statSync(join(target, "tercet.db")).mode & 0o600).toBe(0o600);
    const restored = open(target);
    await writeOne(restored, put("b", "1"));
    restored.close();
  });
});
