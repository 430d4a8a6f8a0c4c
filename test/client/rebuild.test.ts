import { copyFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openReplica, type Pending, type Replica, rebuildReplica } from "../../client/index.js";
import { openDatabase } from "../../core/sqlite.js";
import { type Place, refusal, startPlace } from "./harness.js";

const PAGE = 4096;

/** Numbers that look random, the same for a seed. */
function generator(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** A replica's pending changes, and the contents of what is pending. */
function pendingOf(replica: Replica): Map<string, { readonly change: Pending; readonly content: unknown }> {
  return new Map(
    [...replica.pending()].map((change) => [change.id, { change, content: replica.get(change.id)?.content }]),
  );
}

describe("a damaged replica is rebuilt", () => {
  let place: Place;
  let path: string;
  let bytes: Buffer;
  let whole: ReturnType<typeof pendingOf>;
  let serverItems: Map<string, string>;

  /** One replica with everything: clean items, pending ones, a group, held items and conflict records. */
  beforeAll(async () => {
    place = await startPlace();
    const { server } = place;
    const a = place.replica("a.replica");
    const b = place.replica("b.replica");
    a.putMany(Array.from({ length: 600 }, (_, n) => [`item-${n}`, `first ${n} ${"x".repeat(n % 97)}`]));
    await a.sync({ server, create: true });
    await b.sync({ server });
    for (const n of [1, 2, 3, 4]) b.put(`item-${n}`, `theirs ${n}`);
    await b.sync({ server });
    for (const n of [1, 2]) a.put(`item-${n}`, `gave way ${n}`);
    await a.sync({ server, standard: "SERVER" });
    for (const n of [5, 6]) {
      b.put(`item-${n}`, `theirs ${n}`);
      a.put(`item-${n}`, `held ${n}`);
    }
    await b.sync({ server });
    await a.sync({ server, standard: "MANUAL" });
    for (let n = 100; n < 220; n += 1) a.put(`item-${n}`, `mine ${n} ${"y".repeat((n * 37) % 900)}`);
    for (let n = 220; n < 240; n += 1) a.delete(`item-${n}`);
    for (let n = 0; n < 60; n += 1) a.put(`new-${n}`, Buffer.from(`bytes ${n}`));
    a.put("large", "z".repeat(20_000));
    a.put("huge", "w".repeat(1_500_000));
    a.transaction((t) => [1, 2, 3].map((n) => t.put(`group-${n}`, `together ${n}`)));
    whole = pendingOf(a);
    a.close();
    path = join(place.directory, "a.replica");
    bytes = readFileSync(path);
    serverItems = new Map([...b.list()].map(({ id, content }) => [id, String(content)]));
    for (const n of [5, 6]) serverItems.set(`item-${n}`, `theirs ${n}`);
  });
  afterAll(() => place.stop());

  let count = 0;
  function damaged(damage: (bytes: Buffer) => void): { readonly from: string; readonly to: string } {
    count += 1;
    const from = join(place.directory, `damaged-${count}`);
    const copy = Buffer.from(bytes);
    damage(copy);
    writeFileSync(from, copy);
    return { from, to: join(place.directory, `rebuilt-${count}`) };
  }

  it("with all that is pending, where nothing is wrong with it", async () => {
    const { from, to } = damaged(() => undefined);
    const report = rebuildReplica(from, to);
    const counts = { pending: whole.size, held: 2, conflicts: 2, missingPending: 0, missingConflicts: 0 };
    expect(report).toEqual({ collection: "c", ...counts, baseless: [], lost: [], brokenGroups: [] });
    expect(readFileSync(from).equals(bytes)).toBe(true);
    const replica = openReplica(to);
    expect(replica.check().sound).toBe(true);
    const found = pendingOf(replica);
    for (const [id, { change, content }] of whole) {
      const { modifyTime, kind, size, held } = change;
      expect(found.get(id)).toMatchObject({ change: { id, modifyTime, kind, size, held }, content });
    }
    const groups = [1, 2, 3].map((n) => found.get(`group-${n}`)?.change.group);
    expect(new Set(groups).size).toBe(1);
    expect(groups[0]).toBeDefined();
    expect(replica.heldItem("item-5")).toMatchObject({ mineContent: "held 5", theirsContent: "theirs 5" });
    expect([...replica.conflicts()].map(({ number }) => replica.conflict(number)?.content)).toEqual([
      "gave way 2",
      "gave way 1",
    ]);
    expect(replica.status()).toMatchObject({ revision: 0, pending: whole.size, held: 2, conflicts: 2 });
    // A dry run tells that what is pending has its bases still: nothing of it is in conflict.
    const report2 = await replica.sync({ server: place.server, standard: "MANUAL", dryRun: true });
    expect(report2).toMatchObject({ conflictCount: 0, sentDeletions: 20, sent: whole.size - 22 });
    replica.close();
    const left = readdirSync(place.directory).filter((name) => /copy|template|^damaged-.*-/.test(name));
    expect(left).toEqual([]);
  });

  it("and flipped contents are detected in the damaged one itself", async () => {
    const { from } = damaged((copy) => {
      for (const text of ["mine 150", "first 300"]) copy.write("?", copy.indexOf(text));
    });
    const replica = openReplica(from);
    const { sound, damaged: ids } = replica.check();
    expect([sound, [...ids].sort()]).toEqual([false, ["item-150", "item-300"]]);
    const report = await replica.sync({ server: place.server, standard: "MANUAL" });
    expect(report.rejected).toContainEqual(expect.objectContaining({ id: "item-150" }));
    replica.close();
    expect(serverItems.get("item-150")).toMatch(/^first 150/);
  });

  it("and refuses files that are none of it", async () => {
    const { from, to } = damaged(() => undefined);
    expect(await refusal(() => rebuildReplica(join(place.directory, "none"), to))).toMatchObject({ code: "failed" });
    expect(await refusal(() => rebuildReplica(from, from))).toMatchObject({ code: "exists" });
    const text = join(place.directory, "text");
    writeFileSync(text, "no replica at all, but for some text\n".repeat(500));
    expect(await refusal(() => rebuildReplica(text, to))).toMatchObject({ code: "foreign" });
    const held = openReplica(from);
    expect(await refusal(() => rebuildReplica(from, to))).toMatchObject({ code: "busy" });
    held.close();
    expect(existsSync(to)).toBe(false);
  });

  it("whose first page is lost", () => {
    const { from, to } = damaged((copy) => copy.fill(0xa5, 0, PAGE));
    expect(rebuildReplica(from, to)).toMatchObject({ pending: whole.size, lost: [], missingPending: 0 });
  });

  it("whose schema is damaged, and that of an earlier version, with its counts", () => {
    const word = Buffer.from("ordinal INTEGER PRIMARY KEY");
    const { from, to } = damaged((copy) => copy.write("m", copy.indexOf(word) + 1));
    expect(rebuildReplica(from, to)).toMatchObject({ pending: whole.size, missingPending: 0 });
    const older = damaged(() => undefined);
    const db = openDatabase(older.from);
    db.exec("ALTER TABLE progress DROP COLUMN lost_after; ALTER TABLE progress DROP COLUMN recovery_reason");
    db.pragma("user_version = 1");
    db.close();
    expect(rebuildReplica(older.from, older.to)).toMatchObject({ pending: whole.size, missingPending: 0 });
    // Nothing is written but the new schema.
    openReplica(older.from).close();
    const again = `${older.to}-again`;
    expect(rebuildReplica(older.from, again)).toMatchObject({ pending: whole.size, missingPending: 0 });
  });

  it("of which only the first pages are left", () => {
    const { from, to } = damaged(() => undefined);
    writeFileSync(from, bytes.subarray(0, 10 * PAGE + 100));
    checkFound(from, to)?.close();
  });

  it("whose log was not moved into the file yet", () => {
    const { from, to } = damaged(() => undefined);
    const replica = openReplica(from);
    replica.put("in the log", "only there");
    const copy = `${from}-copy`;
    for (const suffix of ["", "-wal"]) copyFileSync(from + suffix, copy + suffix);
    replica.close();
    expect(rebuildReplica(copy, to)).toMatchObject({ pending: whole.size + 1 });
    expect(openAndClose(to, (rebuilt) => rebuilt.get("in the log")?.content)).toBe("only there");
  });

  function openAndClose<T>(file: string, work: (replica: Replica) => T): T {
    const replica = openReplica(file);
    try {
      return work(replica);
    } finally {
      replica.close();
    }
  }

  /** Nothing that is pending afterwards is what nobody wrote; what is missing is told. */
  function checkFound(from: string, to: string): Replica | undefined {
    let report: ReturnType<typeof rebuildReplica>;
    try {
      report = rebuildReplica(from, to, { collection: "c" });
    } catch (error) {
      expect(error).toMatchObject({ name: "StorageError" });
      expect((error as { kind: string }).kind).toMatch(/damaged|foreign/);
      return undefined;
    }
    const replica = openReplica(to);
    expect(replica.check()).toMatchObject({ sound: true });
    const found = pendingOf(replica);
    expect(found.size).toBe(report.pending);
    for (const [id, { change, content }] of found) {
      const before = whole.get(id);
      expect([id, change.kind, content]).toEqual([id, before?.change.kind, before?.content]);
      if (before?.change.held === true) expect(change.held || report.baseless.includes(id)).toBe(true);
    }
    const absent = [...whole.keys()].filter((id) => !found.has(id));
    const untold = absent.filter((id) => !report.lost.includes(id));
    if (report.missingPending !== undefined) expect(report.missingPending).toBeGreaterThanOrEqual(untold.length);
    for (const { number, kind } of replica.conflicts()) {
      if (kind === "upserted") expect(String(replica.conflict(number)?.content)).toMatch(/^gave way [12]$/);
    }
    return replica;
  }

  const seeds = Array.from({ length: 8 }, (_, n) => n + 1);
  it.each(seeds)("after flipped bits: never a crash, and nothing that nobody wrote (seed %i)", (seed) => {
    const below = generator(seed * 7919);
    for (let round = 0; round < 10; round += 1) {
      const flips = 1 + below(8);
      const { from, to } = damaged((copy) => {
        for (let flip = 0; flip < flips; flip += 1) {
          const at = below(copy.length);
          copy[at] = (copy[at] ?? 0) ^ (1 << below(8));
        }
      });
      checkFound(from, to)?.close();
    }
  });

  it.each(seeds.slice(0, 4))(
    "after lost pages: what is readable is there, and a sync makes it equal (seed %i)",
    async (seed) => {
      const below = generator(seed * 104_729);
      const pages = bytes.length / PAGE;
      for (let round = 0; round < 6; round += 1) {
        const { from, to } = damaged((copy) => {
          const page = below(pages);
          const length = 1 + below(PAGE);
          for (let n = 0; n < length; n += 1) copy[page * PAGE + below(PAGE)] = below(256);
        });
        const replica = checkFound(from, to);
        if (replica === undefined) continue;
        const report = await replica.sync({ server: place.server, resolver: () => "theirs" });
        expect(report.verified).toBe(true);
        expect(replica.check().sound).toBe(true);
        const { agreed } = replica.status();
        const other = place.replica(`other-${seed}`);
        await other.sync({ server: place.server });
        expect(other.status().agreed).toEqual(agreed);
        other.close();
        replica.close();
        break;
      }
    },
  );
});
