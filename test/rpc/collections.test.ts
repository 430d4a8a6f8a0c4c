import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import { any, batch, contentOf, printOf, upsert } from "./build.js";
import { startTestServer, type TestServer } from "./harness.js";
import { refusalOf } from "./refusal.js";

const { CHANGE_STANDARD_CLIENT: CLIENT, CHANGE_STANDARD_SERVER: SERVER } = ChangeStandard;

describe("CollectionService", () => {
  let test: TestServer;
  beforeAll(async () => {
    test = await startTestServer();
  });
  afterAll(() => test.stop());

  it("creates a collection, and answers a repeated call with it", async () => {
    const { collection } = await test.api.createCollection({ collection: "made", standard: CLIENT });
    expect(collection).toMatchObject({
      name: "made",
      standard: CLIENT,
      revision: 0,
      fingerprint: { count: 0 },
      compactedRevision: 0,
      conflicts: 0,
    });
    expect(collection?.uid).toHaveLength(16);
    expect(collection?.createTimeUs).toBeGreaterThan(1e15);
    expect(await test.api.createCollection({ collection: "made", standard: CLIENT })).toEqual({ collection });
    expect(await test.api.getCollection({ collection: "made" })).toEqual({ collection });
    expect(await refusalOf(test.api.createCollection({ collection: "made" }))).toMatchObject({
      code: "ALREADY_EXISTS",
      metadata: { collection: "made", standard: "CLIENT" },
    });
  });

  it("has the bound standard in force, whatever a client wishes", async () => {
    await test.api.createCollection({ collection: "bound", standard: CLIENT });
    await test.create("free");
    for (const [collection, wish, inForce] of [
      ["bound", SERVER, CLIENT],
      ["free", CLIENT, CLIENT],
      ["free", ChangeStandard.CHANGE_STANDARD_UNSPECIFIED, SERVER],
    ] as const) {
      const stream = test.exchange();
      stream.open({ collection, standard: wish });
      expect((await stream.next("opened")).standard).toBe(inForce);
      stream.end();
      await stream.status();
    }
  });

  it("deletes a collection with all it has; one made anew is another", async () => {
    await test.create("gone");
    await test.api.batchWriteItems({ collection: "gone", pushes: [upsert("a", "1")] });
    const uid = (await test.api.getCollection({ collection: "gone" })).collection?.uid ?? Buffer.alloc(0);
    const other = Buffer.alloc(16, 7);
    expect(await refusalOf(test.api.deleteCollection({ collection: "gone", uid: other }))).toMatchObject({
      code: "NOT_FOUND",
      reason: "COLLECTION_NOT_FOUND",
      message: `the collection "gone" has the uid ${uid.toString("hex")}, not ${other.toString("hex")}: there is none of that uid`,
    });
    await test.api.deleteCollection({ collection: "gone", uid });
    const missing = { code: "NOT_FOUND", reason: "COLLECTION_NOT_FOUND", metadata: { collection: "gone" } };
    expect(await refusalOf(test.api.getCollection({ collection: "gone" }))).toMatchObject(missing);
    expect(await refusalOf(test.api.deleteCollection({ collection: "gone" }))).toMatchObject(missing);
    const { collection } = await test.api.createCollection({ collection: "gone" });
    expect(collection).toMatchObject({ revision: 0, fingerprint: { count: 0 } });
    expect(collection?.uid.equals(uid)).toBe(false);
  });

  it("ends an exchange whose collection is deleted meanwhile", async () => {
    await test.create("ending");
    const stream = test.exchange();
    stream.open({ collection: "ending" });
    await stream.next("opened");
    await test.api.deleteCollection({ collection: "ending" });
    stream.send(batch([upsert("a", "1")]));
    const { code, details } = await stream.status();
    expect({ code, details }).toMatchObject({ code: 9, details: expect.stringContaining("deleted") });
  });

  it("lists collections by name, in pages", async () => {
    const names = Array.from({ length: 7 }, (_, i) => `list-${i}`);
    for (const name of [...names].reverse()) await test.create(name);
    const listed: string[] = [];
    let pageToken = "";
    do {
      const page = await test.api.listCollections({ pageSize: 3, pageToken });
      expect(page.collections.length).toBeLessThanOrEqual(3);
      listed.push(...page.collections.map(({ name }) => name));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(listed).toEqual([...listed].sort());
    expect(listed.filter((name) => name.startsWith("list-"))).toEqual(names);
  });

  it("lists conflict records latest first, in pages, of all or of one item, and shows one", async () => {
    const collection = await test.create("conflicts");
    for (let i = 0; i < 5; i++) {
      for (const id of ["a", "b"]) {
        await test.api.writeItem({ collection, item: { id, content: contentOf(`${id}${i}`) }, precondition: any });
      }
    }
    const first = await test.api.listConflicts({ collection, pageSize: 5 });
    const second = await test.api.listConflicts({ collection, pageSize: 5, pageToken: first.nextPageToken });
    const all = [...first.conflicts, ...second.conflicts];
    expect(all.map(({ number }) => number)).toEqual([8, 7, 6, 5, 4, 3, 2, 1]);
    expect(all.every(({ content }) => content === undefined)).toBe(true);
    expect(second.nextPageToken).toBe("");
    const ofA = (await test.api.listConflicts({ collection, id: "a" })).conflicts;
    expect(ofA.map(({ id }) => id)).toEqual(["a", "a", "a", "a"]);
    expect((await test.api.getConflict({ collection, number: 1 })).conflict).toMatchObject({
      id: "a",
      content: contentOf("a0"),
      fingerprint: printOf("a", "a0"),
      prevailed: printOf("a", "a1"),
    });
    const { nextPageToken: pageToken } = first;
    expect((await refusalOf(test.api.listConflicts({ collection, id: "a", pageToken }))).fields).toEqual([
      "page_token",
    ]);
  });
});
