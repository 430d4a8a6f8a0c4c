import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ChangeKind, ChangeStandard } from "../../gen/tercet/v1/item.js";
import { any, contentOf, printOf, sumOf, upsert } from "./build.js";
import { createTestClock } from "./clock.js";
import { startTestServer, type TestServer } from "./harness.js";
import { refusalOf } from "./refusal.js";

const DAY_MS = 86_400_000;
const DAY_US = DAY_MS * 1000;

describe("conflict records of a server", () => {
  const clock = createTestClock();
  let test: TestServer;
  let number = 0;
  let collection = "";

  beforeAll(async () => {
    test = await startTestServer({}, clock);
  });
  afterAll(() => test.stop());
  beforeEach(async () => {
    number += 1;
    collection = await test.create(`conflicts-${number}`);
    await test.api.pruneConflicts({});
  });

  const write = (id: string, value: string | Buffer) =>
    test.api.writeItem({ collection, item: { id, content: contentOf(value) }, precondition: any });
  const content = async (id: string) => (await test.api.getItem({ collection, id })).item?.content;
  const state = async () => (await test.api.getCollection({ collection })).collection;
  const numbers = async () =>
    (await test.api.listConflicts({ collection })).conflicts.map((conflict) => conflict.number);

  it("restores a version, and keeps what it replaces", async () => {
    const bytes = Buffer.alloc(20_000, 7);
    await write("a", "one");
    await write("a", bytes);
    await write("a", "three");
    clock.advance(1000);
    const { change } = await test.api.restoreConflict({ collection, number: 2 });
    expect(change).toMatchObject({ id: "a", revision: 4, size: 20_000, fingerprint: printOf("a", bytes) });
    expect(change?.modifyTimeUs).toBe(clock.nowUs());
    expect(await content("a")).toEqual(contentOf(bytes));
    expect(await state()).toMatchObject({ revision: 4, conflicts: 3, fingerprint: sumOf({ a: bytes }) });
    const { conflict } = await test.api.getConflict({ collection, number: 3 });
    expect(conflict).toMatchObject({ id: "a", content: contentOf("three"), prevailed: printOf("a", bytes) });
    // The record stays, and is restored again by that of what replaced it.
    await test.api.restoreConflict({ collection, number: 1 });
    expect(await content("a")).toEqual(contentOf("one"));
    await test.api.restoreConflict({ collection, number: 2 });
    expect(await numbers()).toEqual([5, 4, 3, 2, 1]);
  });

  it("restores a deletion", async () => {
    await write("a", "one");
    await test.api.deleteItem({ collection, id: "a", precondition: any });
    await write("a", "two");
    const { conflict } = await test.api.getConflict({ collection, number: 2 });
    expect(conflict).toMatchObject({ kind: ChangeKind.CHANGE_KIND_DELETED, prevailed: printOf("a", "two") });
    const { change } = await test.api.restoreConflict({ collection, number: 2 });
    expect(change).toMatchObject({ id: "a", revision: 4, kind: ChangeKind.CHANGE_KIND_DELETED });
    expect((await refusalOf(content("a"))).reason).toBe("ITEM_NOT_FOUND");
    expect((await test.api.getConflict({ collection, number: 3 })).conflict?.content).toEqual(contentOf("two"));
  });

  it("leaves an item that already is so", async () => {
    await write("a", "one");
    await write("a", "two");
    const back = await write("a", "one");
    clock.advance(5000);
    expect((await test.api.restoreConflict({ collection, number: 1 })).change).toEqual(back.change);
    expect(await state()).toMatchObject({ revision: 3, conflicts: 2 });
    await test.api.deleteItem({ collection, id: "a", precondition: any });
    await write("a", "three");
    await test.api.deleteItem({ collection, id: "a", precondition: any });
    await test.api.compactCollection({ collection, horizon: { $case: "throughRevision", value: 99 } });
    // Nothing is left that could be deleted.
    expect((await test.api.restoreConflict({ collection, number: 4 })).change).toBeUndefined();
  });

  it("restores once by a request id, also once the record is gone and after a restart", async () => {
    await write("a", "one");
    await write("a", "two");
    const request = { collection, number: 1, requestId: `restore-${number}` };
    const [first, same] = await Promise.all([test.api.restoreConflict(request), test.api.restoreConflict(request)]);
    expect(first.change?.revision).toBe(3);
    expect(same).toEqual(first);
    await write("a", "three");
    expect((await test.api.pruneConflicts({})).count).toBe(3);
    await test.restart();
    expect(await test.api.restoreConflict(request)).toEqual(first);
    expect(await content("a")).toEqual(contentOf("three"));
    const reused = { code: "INVALID_ARGUMENT", reason: "REQUEST_ID_REUSED", fields: ["request_id"] };
    expect(await refusalOf(test.api.restoreConflict({ ...request, number: 2 }))).toMatchObject(reused);
    // An id names one request of the server, whichever service it was made to.
    const item = { id: "a", content: contentOf("x") };
    const other = test.api.writeItem({ collection, item, precondition: any, requestId: request.requestId });
    expect(await refusalOf(other)).toMatchObject(reused);
    const gone = { code: "NOT_FOUND", reason: "CONFLICT_NOT_FOUND", metadata: { collection, number: "1" } };
    expect(await refusalOf(test.api.restoreConflict({ collection, number: 1 }))).toMatchObject(gone);
  });

  it("prunes by age, in all collections, however many there are", async () => {
    const other = await test.create(`${collection}-other`);
    await write("a", "one");
    await write("a", "two");
    clock.advance(DAY_MS);
    const ids = Array.from({ length: 130 }, (_, i) => `${i}`);
    await test.api.batchWriteItems({ collection: other, pushes: ids.map((id) => upsert(id, "one")) });
    const overrides = ChangeStandard.CHANGE_STANDARD_CLIENT;
    const pushes = ids.map((id) => upsert(id, "two", { overrides, expected: printOf(id, "one") }));
    await test.api.batchWriteItems({ collection: other, pushes });
    expect((await test.api.pruneConflicts({ olderThanUs: DAY_US + 1 })).count).toBe(0);
    expect((await test.api.pruneConflicts({ olderThanUs: DAY_US })).count).toBe(1);
    expect(await state()).toMatchObject({ conflicts: 0, revision: 2 });
    expect((await test.api.pruneConflicts({})).count).toBe(130);
    expect((await test.api.pruneConflicts({})).count).toBe(0);
    expect((await test.api.getCollection({ collection: other })).collection?.conflicts).toBe(0);
  });
});
