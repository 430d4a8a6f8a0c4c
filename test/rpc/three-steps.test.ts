import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createReplica, type Replica } from "../../client/index.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import { PushOutcome } from "../../gen/tercet/v1/sync.js";
import { backupDataFile, restoreDataFile } from "../../server/store/sqlite-backup.js";
import { any, contentOf, sumOf } from "./build.js";
import { startTestServer, type TestServer } from "./harness.js";
import { refusalOf } from "./refusal.js";
import { createWalker, type Walker } from "./walker.js";

const { CHANGE_STANDARD_CLIENT: CLIENT, CHANGE_STANDARD_SERVER: SERVER } = ChangeStandard;
const { PUSH_OUTCOME_APPLIED: APPLIED, PUSH_OUTCOME_CONFLICT: CONFLICT, PUSH_OUTCOME_REJECTED: REJECTED } = PushOutcome;
const collection = "c";
const LONG = "x".repeat(5000);

describe("the three steps by unary calls", () => {
  let parent: string;
  let test: TestServer;
  let replica: Replica;
  beforeEach(async () => {
    parent = mkdtempSync(join(tmpdir(), "tercet-steps-"));
    test = await startTestServer({ directory: join(parent, "data") });
    await test.create(collection);
    replica = createReplica(join(parent, "stream.replica"), { collection });
  });
  afterEach(async () => {
    replica.close();
    await test.stop();
    rmSync(parent, { recursive: true, force: true });
  });

  const walker = (standard: ChangeStandard = SERVER): Walker => createWalker(() => test.api, collection, standard);
  const sync = (standard: "SERVER" | "CLIENT" = "SERVER") => replica.sync({ server: test.server.address, standard });
  const itemsOf = () => Object.fromEntries([...replica.list()].map(({ id, content }) => [id, content]));
  const state = async () => (await test.api.getCollection({ collection })).collection;

  /** All three have the same, and each of them has proved it. */
  async function expectEqual(by: Walker, items: Record<string, string>): Promise<void> {
    const proof = await by.walk();
    expect((await sync()).verified).toBe(true);
    expect(by.items()).toEqual(items);
    expect(itemsOf()).toEqual(items);
    expect(proof).toEqual(sumOf(items));
    expect(by.agreed()).toEqual(sumOf(items));
    expect((await state())?.fingerprint).toEqual(sumOf(items));
  }

  it.each([
    ["SERVER", SERVER, { both: "stream", deleted: "stream" }],
    ["CLIENT", CLIENT, { both: LONG }],
  ] as const)("end equal with a client of the stream, by the standard %s", async (_, standard, prevailing) => {
    const by = walker(standard);
    for (const id of ["kept", "both", "deleted", "gone there"]) by.put(id, `${id} at first`);
    by.put("gone here", LONG);
    await by.walk();
    await sync();
    replica.put("both", "stream");
    replica.put("deleted", "stream");
    replica.put("new there", LONG);
    replica.put("the same", "same");
    replica.delete("gone there");
    by.put("both", LONG);
    by.delete("deleted");
    by.put("new here", "n");
    by.put("the same", "same");
    by.delete("gone here");
    await sync("CLIENT");
    const items = { kept: "kept at first", "new here": "n", "new there": LONG, "the same": "same", ...prevailing };
    await expectEqual(by, items);
    // What gave way to the walker is kept by the server.
    expect((await state())?.conflicts).toBe(standard === CLIENT ? 2 : 0);
    const { revision } = (await state()) ?? {};
    await by.walk();
    expect((await state())?.revision).toBe(revision);
  });

  it("meet a faster writer: a verdict with what is there now, and another comparison", async () => {
    const by = walker(CLIENT);
    by.put("a", "1");
    by.put("b", "1");
    await by.walk();
    await sync();
    by.put("a", "mine");
    by.put("b", "mine");
    by.put("c", "mine");
    await by.take();
    // There and back: the fingerprint alone would not tell.
    for (const content of ["2", "1"]) {
      await test.api.writeItem({ collection, item: { id: "a", content: contentOf(content) }, precondition: any });
    }
    replica.put("c", "theirs");
    await sync();
    const verdicts = await by.give();
    expect(verdicts).toMatchObject([
      { ordinal: 0, outcome: CONFLICT, current: { id: "a", content: contentOf("1") } },
      { ordinal: 1, outcome: APPLIED },
      { ordinal: 2, outcome: CONFLICT, current: { id: "c", content: contentOf("theirs") } },
    ]);
    expect((await test.api.getItem({ collection, id: "c" })).item?.content).toEqual(contentOf("theirs"));
    await expectEqual(by, { a: "mine", b: "mine", c: "mine" });
  });

  it("write a group as one commit or not at all", async () => {
    const by = walker(CLIENT);
    for (const id of ["a", "b", "c"]) by.put(id, "1");
    await by.walk();
    await sync();
    by.put("a", "2");
    by.delete("b");
    by.put("d", "2");
    by.group("a", "b", "d");
    by.put("c", "alone");
    await by.take();
    const { revision = 0 } = (await state()) ?? {};
    replica.put("b", "faster");
    await sync();
    expect(await by.give()).toMatchObject([
      // "c" stands by itself.
      { ordinal: 0, count: 1, outcome: APPLIED, oneRevision: false },
      { ordinal: 1, outcome: CONFLICT, current: undefined },
      { ordinal: 2, outcome: CONFLICT, current: { id: "b", content: contentOf("faster") } },
      { ordinal: 3, outcome: CONFLICT, current: undefined },
    ]);
    expect((await state())?.revision).toBe(revision + 2);
    await by.take();
    expect(await by.give()).toMatchObject([{ ordinal: 0, count: 3, outcome: APPLIED, oneRevision: true }]);
    expect((await state())?.revision).toBe(revision + 3);
    const { changes } = await test.api.listChanges({ collection });
    const grouped = changes.filter(({ group }) => group > 0);
    expect(grouped.map(({ id, revision: at, group }) => [id, at, group])).toEqual([
      ["a", revision + 3, revision + 3],
      ["d", revision + 3, revision + 3],
    ]);
    await expectEqual(by, { a: "2", c: "alone", d: "2" });
  });

  it("write no group that is too large, comes in parts, or has a change that is rejected", async () => {
    const by = walker();
    for (let at = 0; at < 1001; at++) by.put(`${at}`, "");
    by.group(...Object.keys(by.items()));
    const tooMany = await by.give();
    expect(tooMany).toHaveLength(1001);
    expect(tooMany.every(({ outcome, reason }) => outcome === REJECTED && reason === 32)).toBe(true);
    const heavy = walker();
    for (const id of ["a", "b"]) heavy.put(id, "x".repeat(600_000));
    heavy.group("a", "b");
    expect(await heavy.give()).toMatchObject([{ outcome: REJECTED }, { outcome: REJECTED }]);
    expect((await state())?.revision).toBe(0);
  });

  it("find what differs where tombstones are gone, and nothing comes back", async () => {
    const by = walker(CLIENT);
    for (let at = 0; at < 200; at++) by.put(`id ${at}`, `content ${at}`);
    await by.walk();
    const names = Object.keys(by.items());
    const expected = by.items() as Record<string, string>;
    for (const id of names.slice(0, 20)) {
      await test.api.deleteItem({ collection, id, precondition: any });
      delete expected[id];
    }
    by.put("id 150", "changed");
    by.put("new", "n");
    Object.assign(expected, { "id 150": "changed", new: "n" });
    const horizon = { $case: "throughRevision", value: Number.MAX_SAFE_INTEGER } as const;
    await test.api.compactCollection({ collection, horizon });
    const compacted = { code: "FAILED_PRECONDITION", reason: "TOKEN_COMPACTED" };
    expect(await refusalOf(by.walk())).toMatchObject(compacted);
    expect(await by.recover()).toEqual([]);
    await expectEqual(by, expected);
  });

  it("offer a restored server what it lost", async () => {
    const by = walker();
    for (const id of ["a", "b", "c"]) by.put(id, "1");
    await by.walk();
    await sync();
    backupDataFile(test.directory, join(parent, "backup"));
    by.put("a", "2");
    by.put("after", "1");
    by.delete("b");
    await by.walk();
    await test.server.close();
    test.client.close();
    restoreDataFile(join(parent, "backup"), join(parent, "restored"));
    test = await startTestServer({ directory: join(parent, "restored") });
    await test.api.writeItem({ collection, item: { id: "c", content: contentOf("2") }, precondition: any });
    const other = { code: "FAILED_PRECONDITION", reason: "TOKEN_OTHER_HISTORY" };
    expect(await refusalOf(by.walk())).toMatchObject(other);
    // A deletion that was acknowledged after the backup returns.
    expect(await by.recover()).toEqual(["a", "after"]);
    await expectEqual(by, { a: "2", after: "1", b: "1", c: "2" });
  });
});
