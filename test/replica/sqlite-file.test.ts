import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createSqliteReplica, openSqliteReplica } from "../../client/replica/sqlite.js";
import { fingerprintOf } from "../../core/fingerprint.js";
import { createRangeSum, totalOf } from "../../core/range-sum.js";
import { openDatabase } from "../../core/sqlite.js";
import { StorageError } from "../../core/storage-error.js";
import { put } from "./drive.js";

const OPTIONS = { collection: "c" };

const AS_TOLD = { modifyTimeUs: 1, conflict: undefined };

describe("the file of a SQLite replica", () => {
  let directory: string;
  let path: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "tercet-replica-"));
    path = join(directory, "replica.db");
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  function failure(work: () => unknown): { kind: string; message: string } {
    try {
      work();
    } catch (error) {
      if (error instanceof StorageError) return { kind: error.kind, message: error.message };
      throw error;
    }
    throw new Error("nothing was thrown");
  }

  it("is not made over an existing one, nor where there is no directory", () => {
    writeFileSync(path, "precious");
    expect(failure(() => createSqliteReplica(path, OPTIONS))).toEqual({
      kind: "exists",
      message: `cannot create a replica at ${path}: the file exists`,
    });
    const nowhere = join(directory, "no", "replica.db");
    expect(failure(() => createSqliteReplica(nowhere, OPTIONS))).toEqual({
      kind: "failed",
      message: `cannot create a replica at ${nowhere}: its directory does not exist`,
    });
    expect(failure(() => createSqliteReplica(join(path, "replica.db"), OPTIONS))).toEqual({
      kind: "failed",
      message: expect.not.stringContaining(".new"),
    });
    expect(readdirSync(directory)).toEqual(["replica.db"]);
  });

  it.each(["-wal", "-shm", "-journal"])(
    "is not made where another replica left a file%s: it would be taken for its own",
    (suffix) => {
      const leftover = path + suffix;
      writeFileSync(leftover, "");
      expect(failure(() => createSqliteReplica(path, OPTIONS))).toEqual({
        kind: "failed",
        message: `cannot create a replica at ${path}: there are leftovers of another replica: ${leftover}; delete it or name another file`,
      });
      expect(readdirSync(directory)).toEqual([`replica.db${suffix}`]);
      rmSync(leftover);
      createSqliteReplica(path, OPTIONS).close();
    },
  );

  it("does not take up what a killed process left of a replica that was deleted", () => {
    const replica = createSqliteReplica(path, OPTIONS);
    replica.write([put("other", "of another replica")], 1);
    // A kill, then `rm`: only the log is left.
    const log = readFileSync(`${path}-wal`);
    replica.close();
    rmSync(path);
    writeFileSync(`${path}-wal`, log);
    expect(failure(() => createSqliteReplica(path, OPTIONS)).message).toContain(`${path}-wal`);
    expect(existsSync(path)).toBe(false);
  });

  it("must be there to be opened", () => {
    expect(failure(() => openSqliteReplica(path))).toEqual({
      kind: "failed",
      message: `there is no replica at ${path}; createReplica makes one`,
    });
    expect(existsSync(path)).toBe(false);
    mkdirSync(path);
    expect(failure(() => openSqliteReplica(path)).kind).toBe("failed");
  });

  it("must be a SQLite file, and a replica", () => {
    writeFileSync(path, "this is a text, and long enough to be looked at. ".repeat(100));
    expect(failure(() => openSqliteReplica(path))).toEqual({
      kind: "foreign",
      message: `${path} is not a SQLite file`,
    });
    writeFileSync(path, "short");
    expect(failure(() => openSqliteReplica(path)).kind).toBe("foreign");
    writeFileSync(path, "");
    expect(failure(() => openSqliteReplica(path)).kind).toBe("foreign");
    rmSync(path);
    const other = openDatabase(path);
    other.exec("CREATE TABLE something (a)");
    other.close();
    expect(failure(() => openSqliteReplica(path))).toEqual({
      kind: "foreign",
      message: `${path} is a SQLite file, but not a replica of Tercet`,
    });
  });

  it("must be of a schema version that is known, else both versions are named", () => {
    createSqliteReplica(path, OPTIONS).close();
    for (const version of [99, 0, -1]) {
      const db = openDatabase(path);
      db.pragma(`user_version = ${version}`);
      db.close();
      const { kind, message } = failure(() => openSqliteReplica(path));
      expect(kind).toBe("foreign");
      expect(message).toContain(`schema version ${version}`);
      expect(message).toContain("reads versions 1 to 2");
    }
  });

  it("is brought to the schema version of today", () => {
    const made = createSqliteReplica(path, OPTIONS);
    made.write([put("a", "1")], 1);
    made.close();
    const db = openDatabase(path);
    db.exec("ALTER TABLE progress DROP COLUMN lost_after; ALTER TABLE progress DROP COLUMN recovery_reason");
    db.pragma("user_version = 1");
    db.close();
    const replica = openSqliteReplica(path);
    expect(replica.get("a")?.content).toBe("1");
    expect(replica.state().recovering).toBeUndefined();
    replica.close();
  });

  it("is told damaged where it is, not read as if it were whole", () => {
    const replica = createSqliteReplica(path, OPTIONS);
    replica.write(
      Array.from({ length: 200 }, (_, n) => put(`item-${n}`, "x".repeat(500))),
      1,
    );
    replica.close();
    truncateSync(path, 5 * 4096);
    expect(failure(() => openSqliteReplica(path).list({ prefix: "", after: "", limit: 1000 })).kind).toBe("damaged");
  });

  it("is found damaged by an audit where a byte of a content, clean or pending, is another one", () => {
    const replica = createSqliteReplica(path, OPTIONS);
    replica.write([put("mine", "pending content"), put("whole", "untouched")], 1);
    const clean = put("clean", "clean content").upsert;
    const taken = { sequence: 0, upsert: clean, revision: 1, modifyTimeUs: 1, conflict: undefined };
    replica.apply({ actions: [{ kind: "take", id: "clean", ...taken }], nowUs: 1 });
    expect(replica.audit()).toBeUndefined();
    replica.close();
    const bytes = readFileSync(path);
    for (const content of ["pending content", "clean content"]) {
      expect(bytes.indexOf(content)).toBe(bytes.lastIndexOf(content));
      bytes.write("X", bytes.indexOf(content) + 2);
    }
    writeFileSync(path, bytes);
    const damaged = openSqliteReplica(path);
    const found = damaged.audit();
    expect(found).toMatchObject({ damagedCount: 2, total: undefined });
    expect([...(found?.damaged ?? [])].sort()).toEqual(["clean", "mine"]);
    damaged.close();
  });

  it("is found damaged by an audit where what it says was agreed on is not what the bases add up to", () => {
    const replica = createSqliteReplica(path, OPTIONS);
    replica.write([put("a", "1")], 1);
    const right = replica.state().total;
    replica.close();
    const db = openDatabase(path);
    db.exec("UPDATE progress SET base_count = 1");
    db.close();
    const damaged = openSqliteReplica(path);
    expect(damaged.audit()).toEqual({ damaged: [], damagedCount: 0, total: right, ranges: true });
    damaged.close();
  });

  it.each([
    "UPDATE segments SET count = count + 1",
    "DELETE FROM segments",
    "UPDATE items SET pending = 1 WHERE id = 'a'",
  ])("is found damaged by an audit where the sums of ranges are not right: %s", (damage) => {
    const replica = createSqliteReplica(path, OPTIONS);
    const taken = { sequence: 0, revision: 1, modifyTimeUs: 1, conflict: undefined };
    const actions = ["a", "b"].map((id) => ({ kind: "take" as const, upsert: put(id, "1").upsert, id, ...taken }));
    replica.apply({ actions, nowUs: 1 });
    expect(replica.audit()).toBeUndefined();
    replica.close();
    const db = openDatabase(path);
    db.exec(damage);
    db.close();
    const damaged = openSqliteReplica(path);
    expect(damaged.audit()).toMatchObject({ damaged: [], total: undefined, ranges: false });
    damaged.close();
  });

  it("keeps a replica's id and collection, and draws an id of its own", () => {
    const replica = createSqliteReplica(path, OPTIONS);
    const { replicaId } = replica.state();
    expect(replicaId).toHaveLength(16);
    replica.close();
    replica.close();
    const again = openSqliteReplica(path, { cacheMiB: 1 });
    expect(again.state()).toMatchObject({ collection: "c", replicaId });
    again.close();
    const second = createSqliteReplica(join(directory, "second.db"), OPTIONS);
    expect(second.state().replicaId).not.toEqual(replicaId);
    second.close();
    expect(readdirSync(directory).sort()).toEqual(["replica.db", "second.db"]);
  });

  it("stores nothing of a write for which there is no room, and goes on afterwards", () => {
    createSqliteReplica(path, OPTIONS).close();
    const replica = openSqliteReplica(path, { maxPageCount: 60 });
    replica.write([put("a", "1"), put("b", "1")], 1);
    replica.takeOutgoing({ select: { ids: ["a"] }, maxBytes: 1000, maxChanges: 10, eager: false });
    const before = replica.state();
    const lookup = replica.lookup(["a", "b", "c"]);
    const large = [put("a", "2"), put("c", "x".repeat(400_000))];
    expect(failure(() => replica.write(large, 2)).kind).toBe("full");
    const actions = large.map(({ id, upsert }) => {
      const revision = 1;
      return { kind: "take" as const, id, sequence: 0, upsert, revision, modifyTimeUs: 1, conflict: undefined };
    });
    expect(failure(() => replica.apply({ actions: actions.slice(1), nowUs: 2 })).kind).toBe("full");
    const many = Array.from({ length: 2000 }, (_, n) => put(`item-${n}`, "x".repeat(500)));
    expect(failure(() => replica.write(many, 2)).kind).toBe("full");
    expect(replica.state()).toEqual(before);
    expect(replica.lookup(["a", "b", "c"])).toEqual(lookup);
    expect(replica.audit()).toBeUndefined();
    replica.write([put("a", "3"), put("c", "small")], 3);
    replica.close();
    const again = openSqliteReplica(path);
    expect(again.state()).toMatchObject({ items: 3, pending: 3, lastSequence: 4 });
    expect(again.get("a")?.content).toBe("3");
    again.close();
  });

  it("goes back to what it had kept where a shared transaction can't be, and takes nothing that builds on what is lost", () => {
    createSqliteReplica(path, OPTIONS).close();
    const replica = openSqliteReplica(path, { maxPageCount: 60 });
    replica.begin();
    const before = replica.state();
    const page = (id: string, content: string, revision: number) => ({
      actions: [{ kind: "take", ...put(id, content), sequence: 0, onlyNew: true, ...AS_TOLD, revision } as const],
      checkpoint: { token: Buffer.from([revision]), revision },
      nowUs: 1,
      more: true,
    });
    replica.apply(page("a", "1", 1));
    expect(replica.state()).toMatchObject({ items: 1, revision: 1 });
    expect(failure(() => replica.apply(page("b", "x".repeat(400_000), 2))).kind).toBe("full");
    expect(replica.state()).toEqual(before);
    // With this checkpoint the first page would never come again.
    expect(failure(() => replica.apply(page("c", "3", 3))).kind).toBe("failed");
    expect(failure(() => replica.flush()).kind).toBe("failed");
    replica.write([put("d", "mine")], 1);
    replica.begin();
    for (const revision of [1, 2, 3]) replica.apply(page(`e${revision}`, "again", revision));
    replica.close();
    const again = openSqliteReplica(path);
    expect(again.state()).toMatchObject({ items: 4, pending: 1, revision: 3 });
    expect(again.audit()).toBeUndefined();
    again.close();
  });

  it("makes the sums of ranges when they are asked for, where ids came in no order, and keeps them from then on", () => {
    const random = (n: number) => fingerprintOf(`${n}`, "").toString("hex");
    const batch = (from: number) => ({
      actions: Array.from({ length: 300 }, (_, at) => {
        const { id, upsert } = put(random(from + at), "x");
        return { kind: "take" as const, id, upsert, sequence: 0, onlyNew: true, revision: 1, ...AS_TOLD };
      }),
      nowUs: 1,
    });
    function segments(): unknown {
      const db = openDatabase(path);
      const found = db.prepare("SELECT count(*), min(count) FROM segments").raw().get();
      db.close();
      return found;
    }
    const everything = { from: "", to: undefined };
    const parts = [...[0, 4, 8, 12].map((n) => n.toString(16)), undefined];
    const pairs = parts.slice(1).map((to, at) => ({ from: parts[at] ?? "", to }));
    let replica = createSqliteReplica(path, OPTIONS);
    function check(): void {
      const totals = replica.sumRanges(pairs);
      for (const [at, pair] of pairs.entries()) {
        const sum = createRangeSum();
        for (const { fingerprint } of replica.listBases(pair, 10_000)) sum.add(fingerprint);
        expect(totals[at]).toEqual(totalOf(sum));
      }
      expect(replica.sumRanges([everything])).toEqual([replica.state().total]);
    }
    function reopen(): void {
      expect(replica.audit()).toBeUndefined();
      replica.close();
      expect(segments()).toEqual(expected);
      replica = openSqliteReplica(path);
    }
    let expected: unknown = [1, -1];
    replica.apply(batch(0));
    replica.apply({ ...batch(300), more: true });
    check();
    replica.apply(batch(600));
    reopen();
    check();
    expected = [26, 8];
    const small = batch(900);
    replica.apply({ ...small, actions: small.actions.slice(0, 5) });
    check();
    reopen();
    check();
    replica.close();
  });

  it("remembers a million sendings in one number", () => {
    const replica = createSqliteReplica(path, OPTIONS);
    const ids = Array.from({ length: 3000 }, (_, n) => `item-${n}`);
    replica.write(
      ids.map((id) => put(id, "")),
      1,
    );
    const all = { after: 0, through: Number.MAX_SAFE_INTEGER };
    for (let after = 0; ; ) {
      const select = { after, through: all.through };
      const batch = replica.takeOutgoing({ select, maxBytes: 1e6, maxChanges: 700, eager: false });
      after = batch.changes.at(-1)?.sequence ?? after;
      if (!batch.more) break;
    }
    replica.close();
    const db = openDatabase(path);
    expect(db.prepare("SELECT count(*) FROM pending").pluck().get()).toBe(0);
    expect(db.prepare("SELECT count(*) FROM items WHERE creation IS NOT NULL").pluck().get()).toBe(3000);
    expect(db.prepare("SELECT sent_through FROM progress").pluck().get()).toBe(3000);
    db.close();
  });
});
