import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connect, METHODS, mergeJson, type Replica } from "../../client/index.js";
import { type Place, refusal, startPlace } from "./harness.js";

describe("standards, held items, groups and verdicts", () => {
  let place: Place;
  let a: Replica;
  let b: Replica;
  beforeEach(async () => {
    place = await startPlace();
    a = place.replica("a.replica");
    b = place.replica("b.replica");
    a.putMany([
      ["x", "base"],
      ["y", "base"],
    ]);
    await a.sync({ server: place.server, create: true });
    await b.sync({ server: place.server });
  });
  afterEach(() => place.stop());

  /** b's version reaches the server before a's exchange. */
  async function theirs(...ids: readonly string[]): Promise<void> {
    b.putMany(ids.map((id) => [id, "theirs"]));
    await b.sync({ server: place.server });
  }

  it("NEWEST: the later change prevails, and the verdict says whose", async () => {
    const early = a.put("x", "mine, early");
    await theirs("x", "y");
    const late = a.put("y", "mine, late");
    const report = await a.sync({ server: place.server, standard: "NEWEST" });
    expect(report).toMatchObject({ standard: "NEWEST", verified: true, conflictCount: 2 });
    expect([a.get("x")?.content, a.get("y")?.content]).toEqual(["theirs", "mine, late"]);
    expect(await early.verdict()).toEqual({ outcome: "gave-way", conflict: 1 });
    expect(await late.verdict()).toMatchObject({ outcome: "applied", revision: report.revision });
  });

  it("MANUAL: both versions stay readable, everything else syncs, and each way to resolve ends it", async () => {
    const ways = [
      ["mine", "mine", "mine"],
      ["theirs", "theirs", "theirs"],
      [{ content: "both" }, "both", "both"],
      [{ deleted: true }, undefined, undefined],
    ] as const;
    for (const [how, here, there] of ways) {
      a.put("x", "mine");
      await theirs("x");
      const other = a.put("z", `with ${JSON.stringify(how)}`);
      const report = await a.sync({ server: place.server, standard: "MANUAL" });
      expect(report).toMatchObject({ verified: true, sent: 1, conflicts: [{ id: "x", prevailed: "held" }] });
      expect(await other.verdict()).toMatchObject({ outcome: "applied" });
      expect(await a.verdict("x")).toEqual({ outcome: "held" });
      expect([...a.held()].map(({ id }) => id)).toEqual(["x"]);
      expect(a.heldItem("x")).toMatchObject({ mineContent: "mine", theirsContent: "theirs" });
      expect([...a.pending()]).toMatchObject([{ id: "x", held: true, group: undefined }]);
      expect(a.status()).toMatchObject({ held: 1, pending: 1 });
      // Again, nothing moves.
      expect(await a.sync({ server: place.server, standard: "MANUAL" })).toMatchObject({ sent: 0, verified: true });
      a.resolve("x", how);
      expect(a.get("x")?.content).toBe(here);
      expect(a.status().held).toBe(0);
      await a.sync({ server: place.server });
      await b.sync({ server: place.server });
      expect(b.get("x")?.content).toBe(there);
      expect(a.status()).toMatchObject({ pending: 0, held: 0 });
      a.put("x", "base");
      await a.sync({ server: place.server });
      await b.sync({ server: place.server });
    }
    expect(await refusal(() => a.resolve("x", "mine"))).toMatchObject({
      code: "FAILED_PRECONDITION",
      reason: "ITEM_HELD",
    });
    expect(await refusal(() => a.resolve("x", "both" as never))).toMatchObject({ fields: ["how"] });
  });

  it("a resolver merges JSON by its base", async () => {
    a.put("j", '{"name":"Zürich","size":1}');
    await a.sync({ server: place.server });
    await b.sync({ server: place.server });
    a.put("j", '{"name":"Zurich","size":1}');
    b.put("j", '{"name":"Zürich","size":2}');
    await b.sync({ server: place.server });
    const report = await a.sync({ server: place.server, resolver: mergeJson({ onOverlap: "hold" }) });
    expect(report).toMatchObject({ verified: true, conflicts: [{ id: "j", prevailed: "merged" }] });
    await b.sync({ server: place.server });
    expect(b.get("j")?.content).toBe('{"name":"Zurich","size":2}');
  });

  it("a transaction is one commit of the server, and its members share one fate", async () => {
    const changes = a.transaction((t) => [t.put("x", "mine"), t.put("y", "mine"), t.put("new", "mine")]);
    const numbers = new Set([...a.pending()].map(({ group }) => group));
    expect([numbers.size, numbers.has(undefined)]).toEqual([1, false]);
    await theirs("y");
    const report = await a.sync({ server: place.server, standard: "SERVER" });
    expect(report.verified).toBe(true);
    for (const change of changes) expect(await change.verdict()).toMatchObject({ outcome: "gave-way" });
    expect([a.get("x")?.content, a.get("y")?.content, a.get("new")]).toEqual(["base", "theirs", undefined]);

    const more = a.transaction((t) => [t.put("p", "1"), t.put("q", "1")]);
    await a.sync({ server: place.server });
    const [p, q] = await Promise.all(more.map((change) => change.verdict()));
    expect(p).toMatchObject({ outcome: "applied" });
    expect(q).toEqual(p);
  });

  it("groups that are too large are refused before anything is written", async () => {
    const large = "x".repeat(600 * 1024);
    const told = await refusal(() => a.transaction((t) => [t.put("m", large), t.put("n", large)]));
    expect(told).toMatchObject({ code: "INVALID_ARGUMENT", reason: "GROUP_INVALID" });
    expect([a.get("m"), a.status().pending]).toEqual([undefined, 0]);
    const many = await refusal(() => a.transaction((t) => Array.from({ length: 1001 }, (_, n) => t.put(`m${n}`, ""))));
    expect(many.reason).toBe("GROUP_INVALID");
    a.transaction((t) => [t.put("m", large), t.put("n", "")]);
    const grown = await refusal(() => a.put("n", large));
    expect(grown.reason).toBe("GROUP_INVALID");
    expect(grown.message).toContain("sync first");
    await a.sync({ server: place.server });
    a.put("n", large);
    expect(await refusal(() => a.transaction(() => ({ no: "changes" })).no).catch(() => "made")).toBe("made");
  });

  it("verdicts of many, of a transaction that failed, and of nothing", async () => {
    const many = a.putMany([
      ["x", "base"],
      ["m", "1"],
      ["n", "1"],
    ]);
    expect(many.count).toBe(3);
    await a.sync({ server: place.server });
    const verdicts = await many.verdicts();
    expect([...verdicts].map(([id, { outcome }]) => [id, outcome])).toEqual([
      ["x", "already"],
      ["m", "applied"],
      ["n", "applied"],
    ]);
    let change: ReturnType<Replica["put"]> | undefined;
    const failed = (): unknown =>
      a.transaction((t) => {
        change = t.put("x", "never");
        throw new Error("the application's own");
      });
    expect(failed).toThrow("the application's own");
    expect(await refusal(() => change?.verdict())).toMatchObject({ code: "FAILED_PRECONDITION" });
    expect(await a.verdict("x")).toBeUndefined();
    const gone = a.delete("m");
    expect(a.delete("m")).toBeUndefined();
    await a.sync({ server: place.server });
    expect(await gone?.verdict()).toMatchObject({ outcome: "applied" });
    const waits = a.put("x", "left").verdict();
    a.close();
    await expect(waits).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
  });

  it("a dry run and verify tell what differs, and change nothing", async () => {
    a.put("x", "mine");
    a.delete("y");
    a.put("new", "mine");
    b.put("x", "theirs");
    b.put("other", "theirs");
    await b.sync({ server: place.server });
    const before = a.status();
    const dry = await a.sync({ server: place.server, standard: "CLIENT", dryRun: true });
    expect(dry).toMatchObject({ dryRun: true, sent: 2, sentDeletions: 1, received: 1, verified: false });
    expect(dry.conflicts).toEqual([{ id: "x", standard: "CLIENT", prevailed: "mine" }]);
    const found = await a.verify({ server: place.server });
    expect(found).toMatchObject({ equal: false, differenceCount: 2 });
    expect(found.differences.map(({ id, kind }) => [id, kind]).sort()).toEqual([
      ["other", "newer"],
      ["x", "newer"],
    ]);
    expect(a.status()).toEqual(before);
    await a.sync({ server: place.server, standard: "CLIENT" });
    expect(await a.verify({ server: place.server })).toMatchObject({ equal: true, differences: [] });
  });

  it("conflict records are pruned by a sync that is told to, and by hand", async () => {
    a.put("x", "mine");
    await theirs("x");
    await a.sync({ server: place.server, standard: "SERVER" });
    expect(await a.sync({ server: place.server })).toMatchObject({ prunedConflicts: 0 });
    expect(a.pruneConflicts({ olderThanMs: 60_000 })).toBe(0);
    expect(a.status().conflicts).toBe(1);
    expect(a.pruneConflicts({ olderThanMs: -0 })).toBe(1);
    expect(await refusal(() => a.pruneConflicts({ olderThanMs: Number.NaN }))).toMatchObject({
      fields: ["olderThanMs"],
    });
  });

  it("a collection binds its standard", async () => {
    const connection = connect(place.server);
    await connection.unary(METHODS.deleteCollection, { collection: "c", uid: Buffer.alloc(0) });
    await connection.unary(METHODS.createCollection, { collection: "c", standard: 3 });
    await connection.close();
    expect(await refusal(() => a.sync({ server: place.server }))).toMatchObject({ reason: "COLLECTION_DELETED" });
    const report = await a.sync({ server: place.server, standard: "CLIENT", recreate: true });
    expect(report).toMatchObject({ standard: "NEWEST", verified: true, count: 2 });
  });
});
