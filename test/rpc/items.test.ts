import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ChangeKind, ChangeStandard } from "../../gen/tercet/v1/item.js";
import type { ListChangesResponse } from "../../gen/tercet/v1/item_service.js";
import { PushOutcome } from "../../gen/tercet/v1/sync.js";
import { absent, any, contentOf, deletion, has, printOf, sumOf, upsert } from "./build.js";
import { startTestServer, type TestServer } from "./harness.js";
import { refusalOf } from "./refusal.js";

const { CHANGE_KIND_UPSERTED: UPSERTED, CHANGE_KIND_DELETED: DELETED } = ChangeKind;
const KIB = 1024;
const MIB = 1024 * KIB;

describe("ItemService", () => {
  let test: TestServer;
  let number = 0;
  let collection = "";

  beforeAll(async () => {
    test = await startTestServer();
  });
  afterAll(() => test.stop());
  beforeEach(async () => {
    number += 1;
    collection = await test.create(`items-${number}`);
  });

  async function write(id: string, content: string | Buffer, precondition = any, requestId = "") {
    const item = { id, content: contentOf(content) };
    const { change } = await test.api.writeItem({ collection, item, precondition, requestId });
    if (change === undefined) throw new Error("a write has a change");
    return change;
  }
  async function get(id: string, offset = 0, length = 0) {
    return (await test.api.getItem({ collection, id, offset, length })).item;
  }
  async function state() {
    return (await test.api.getCollection({ collection })).collection;
  }

  it("writes an item and reads it back", async () => {
    const change = await write("a", "one", absent);
    expect(change).toMatchObject({ id: "a", revision: 1, size: 3, kind: UPSERTED, fingerprint: printOf("a", "one") });
    expect(change.modifyTimeUs).toBeGreaterThan(1e15);
    expect(await get("a")).toEqual({
      id: "a",
      fingerprint: printOf("a", "one"),
      revision: 1,
      modifyTimeUs: change.modifyTimeUs,
      size: 3,
      offset: 0,
      content: contentOf("one"),
    });
    expect(await state()).toMatchObject({ revision: 1, fingerprint: sumOf({ a: "one" }) });
  });

  it("keeps text as text, bytes as bytes, and empty contents", async () => {
    const contents = { text: "ä\ufffd\ufeff", bytes: Buffer.from([0, 255, 128]), nothing: "", none: Buffer.alloc(0) };
    for (const [id, content] of Object.entries(contents)) await write(id, content);
    for (const [id, content] of Object.entries(contents)) expect((await get(id))?.content).toEqual(contentOf(content));
  });

  it("leaves an item that already is so, and tells when it became so", async () => {
    const first = await write("a", "one", absent);
    await write("b", "two", absent);
    expect(await write("a", "one", absent)).toEqual(first);
    expect(await write("a", "one", has("a", "something else"))).toEqual(first);
    expect((await state())?.revision).toBe(2);
  });

  it("replaces by fingerprint, by fingerprint and revision, and by any", async () => {
    await write("a", "one", absent);
    expect((await write("a", "two", has("a", "one"))).revision).toBe(2);
    expect((await write("a", "three", has("a", "two", 2))).revision).toBe(3);
    expect((await write("a", "four", any)).revision).toBe(4);
    expect((await get("a"))?.content).toEqual(contentOf("four"));
  });

  it("refuses a write on another state, and says which it is in", async () => {
    const { revision } = await write("a", "one", absent);
    const failed = { code: "FAILED_PRECONDITION", reason: "PRECONDITION_FAILED" };
    const fingerprint = printOf("a", "one").value.toString("hex");
    const metadata = { revision: String(revision), fingerprint };
    expect(await refusalOf(write("a", "two", absent))).toMatchObject({ ...failed, metadata });
    expect(await refusalOf(write("a", "two", has("a", "zero")))).toMatchObject({ ...failed, metadata });
    expect(await refusalOf(write("a", "two", has("a", "one", 0)))).toMatchObject({ ...failed, metadata });
    expect(await refusalOf(write("b", "two", has("b", "one")))).toMatchObject({
      ...failed,
      metadata: { revision: "1" },
    });
    expect((await state())?.revision).toBe(1);
  });

  it("is not fooled by an item that was deleted and made again", async () => {
    await write("a", "one", absent);
    await test.api.deleteItem({ collection, id: "a", precondition: any });
    expect((await refusalOf(write("a", "two", { ...absent, revisionSeen: 1 }))).reason).toBe("PRECONDITION_FAILED");
    await write("a", "one", absent);
    expect((await refusalOf(write("a", "two", has("a", "one", 1)))).reason).toBe("PRECONDITION_FAILED");
  });

  it("keeps what `any` overwrites or deletes in a conflict record", async () => {
    await write("a", "one", any);
    await write("a", "one", any);
    await write("a", "two", any);
    await test.api.deleteItem({ collection, id: "a", precondition: any });
    const { conflicts } = await test.api.listConflicts({ collection });
    expect(conflicts.map(({ number: n, id, kind, standard }) => ({ n, id, kind, standard }))).toEqual([
      { n: 2, id: "a", kind: UPSERTED, standard: ChangeStandard.CHANGE_STANDARD_UNSPECIFIED },
      { n: 1, id: "a", kind: UPSERTED, standard: ChangeStandard.CHANGE_STANDARD_UNSPECIFIED },
    ]);
    const { conflict } = await test.api.getConflict({ collection, number: 1 });
    expect(conflict).toMatchObject({
      fingerprint: printOf("a", "one"),
      prevailed: printOf("a", "two"),
      size: 3,
      content: contentOf("one"),
    });
    expect((await test.api.getConflict({ collection, number: 2 })).conflict?.prevailed).toBeUndefined();
    expect((await state())?.conflicts).toBe(2);
  });

  it("clamps a modify time that is too far ahead", async () => {
    const far = (Date.now() + 3_600_000) * 1000;
    const item = { id: "a", content: contentOf("one"), modifyTimeUs: far };
    const { change } = await test.api.writeItem({ collection, item, precondition: absent });
    expect(change?.modifyTimeUs).toBeLessThan(far);
    const past = { id: "b", content: contentOf("one"), modifyTimeUs: 5 };
    expect((await test.api.writeItem({ collection, item: past, precondition: absent })).change?.modifyTimeUs).toBe(5);
  });

  it("says how to name the state of a deletion, without what a deletion can't have", async () => {
    const { reason, message } = await refusalOf(test.api.deleteItem({ collection, id: "a" }));
    expect({ reason, message }).toEqual({
      reason: "PRECONDITION_MISSING",
      message: 'precondition: say in which state it is deleted: "fingerprint" or "any"',
    });
  });

  it("deletes, and leaves what is not there", async () => {
    await write("a", "one", absent);
    expect((await test.api.deleteItem({ collection, id: "never", precondition: any })).change).toBeUndefined();
    const precondition = has("a", "one");
    const { change } = await test.api.deleteItem({ collection, id: "a", precondition, modifyTimeUs: 7 });
    expect(change).toMatchObject({ id: "a", kind: DELETED, revision: 2, fingerprint: undefined, modifyTimeUs: 7 });
    expect((await test.api.deleteItem({ collection, id: "a", precondition })).change).toEqual(change);
    expect((await refusalOf(get("a"))).reason).toBe("ITEM_NOT_FOUND");
    expect(await state()).toMatchObject({ revision: 2, fingerprint: { count: 0 } });
  });

  it("reads a content in parts, as text only between characters", async () => {
    await write("a", "aäb", absent);
    expect((await get("a", 0, 1))?.content).toEqual(contentOf("a"));
    expect(await get("a", 1, 2)).toMatchObject({ content: contentOf("ä"), offset: 1, size: 4 });
    expect((await get("a", 0, 2))?.content).toEqual(contentOf(Buffer.from([0x61, 0xc3])));
    expect((await get("a", 2))?.content).toEqual(contentOf(Buffer.from([0xa4, 0x62])));
    expect((await get("a", 3, 99))?.content).toEqual(contentOf("b"));
    expect((await get("a", 4))?.content).toEqual(contentOf(""));
    expect(await refusalOf(get("a", 5))).toMatchObject({ reason: "INVALID_FIELD", fields: ["offset"] });
    expect(await refusalOf(get("a", -1))).toMatchObject({ reason: "INVALID_FIELD", fields: ["offset"] });
    expect(await refusalOf(get("a", 0, -1))).toMatchObject({ reason: "INVALID_FIELD", fields: ["length"] });
  });

  it("lists in byte order, in pages, by prefix", async () => {
    const ids = ["a", "a/1", "a/2", "a0", "b", "\uffee", "\u{1f600}"];
    for (const id of [...ids].reverse()) await write(id, `content of ${id}`, absent);
    const listed: string[] = [];
    let pageToken = "";
    let pages = 0;
    do {
      const page = await test.api.listItems({ collection, pageSize: 3, pageToken });
      expect(page.items.every(({ content, size }) => content === undefined && size > 0)).toBe(true);
      listed.push(...page.items.map(({ id }) => id));
      pageToken = page.nextPageToken;
      pages += 1;
    } while (pageToken !== "");
    expect(listed).toEqual(ids);
    expect(pages).toBe(3);
    const within = await test.api.listItems({ collection, idPrefix: "a/", contents: true });
    expect(within.items.map(({ id, content }) => ({ id, content }))).toEqual([
      { id: "a/1", content: contentOf("content of a/1") },
      { id: "a/2", content: contentOf("content of a/2") },
    ]);
    expect(within.nextPageToken).toBe("");
    expect((await test.api.listItems({ collection, idPrefix: "none" })).items).toEqual([]);
  });

  it("ends a page of contents at about 1 MiB and leaves out those over 256 KiB", async () => {
    await write("0", "x".repeat(257 * KIB), absent);
    for (let i = 1; i <= 6; i++) await write(String(i), Buffer.alloc(256 * KIB, i), absent);
    const first = await test.api.listItems({ collection, contents: true });
    expect(first.items.map(({ id, content }) => [id, content !== undefined])).toEqual([
      ["0", false],
      ["1", true],
      ["2", true],
      ["3", true],
      ["4", true],
    ]);
    const second = await test.api.listItems({ collection, contents: true, pageToken: first.nextPageToken });
    expect(second.items.map(({ id }) => id)).toEqual(["5", "6"]);
  });

  it("gets several items, says which are missing and which did not fit", async () => {
    for (const id of ["a", "b", "c"]) await write(id, Buffer.alloc(600 * KIB, id), absent);
    await test.api.deleteItem({ collection, id: "c", precondition: any });
    const answer = await test.api.batchGetItems({ collection, ids: ["never", "c", "b", "a", "no"] });
    expect(answer.items.map(({ id, size }) => ({ id, size }))).toEqual([{ id: "b", size: 600 * KIB }]);
    expect(answer.missing).toEqual(["never", "c"]);
    expect(answer.notRead).toEqual(["a", "no"]);
  });

  it("lists changes since a token: the first pull, what changed since, and the proof", async () => {
    await write("a", "one", absent);
    await write("b", "two", absent);
    await test.api.deleteItem({ collection, id: "a", precondition: any });
    await write("c", "three", absent);
    const since = (page: ListChangesResponse, inlineBytes = 0) =>
      test.api.listChanges({ collection, token: page.checkpoint?.token ?? Buffer.alloc(0), inlineBytes });
    const first = await test.api.listChanges({ collection, pageSize: 1, inlineBytes: 3 });
    expect(first.changes).toMatchObject([
      { id: "b", revision: 2, kind: UPSERTED, fingerprint: printOf("b", "two"), size: 3, content: contentOf("two") },
    ]);
    expect(first).toMatchObject({ end: false, proof: undefined, checkpoint: { revision: 2 } });
    const second = await since(first, 3);
    expect(second.changes).toMatchObject([{ id: "c", revision: 4, size: 5, content: undefined }]);
    expect(second).toMatchObject({ end: true, proof: sumOf({ b: "two", c: "three" }), checkpoint: { revision: 4 } });
    await test.api.deleteItem({ collection, id: "b", precondition: any });
    const third = await since(second);
    expect(third.changes).toMatchObject([{ id: "b", revision: 5, kind: DELETED, fingerprint: undefined }]);
    const fourth = await since(third);
    expect(fourth).toMatchObject({ changes: [], end: true, checkpoint: { revision: 5 } });
  });

  it("writes a batch with a verdict for each, and small contents of conflicts", async () => {
    await write("a", "one", absent);
    await write("b", "two", absent);
    await write("big", "x".repeat(17 * KIB), absent);
    const pushes = [
      upsert("c", "three"),
      upsert("d", "four", { fingerprint: undefined }),
      upsert("a", "one"),
      upsert("b", "other"),
      upsert("big", "other"),
      deletion("a", "one"),
      upsert("e", "five", { kind: 9 as ChangeKind }),
    ].filter(({ id, kind }) => id !== "a" || kind === UPSERTED);
    const { verdicts } = await test.api.batchWriteItems({ collection, pushes });
    expect(verdicts).toMatchObject([
      { ordinal: 0, count: 2, outcome: PushOutcome.PUSH_OUTCOME_APPLIED, revision: 4 },
      { ordinal: 2, count: 1, outcome: PushOutcome.PUSH_OUTCOME_ALREADY_APPLIED, revision: 1 },
      { ordinal: 3, outcome: PushOutcome.PUSH_OUTCOME_CONFLICT, current: { id: "b", content: contentOf("two") } },
      { ordinal: 4, outcome: PushOutcome.PUSH_OUTCOME_CONFLICT, current: { id: "big", content: undefined } },
      { ordinal: 5, outcome: PushOutcome.PUSH_OUTCOME_REJECTED, reason: 5 },
    ]);
    const again = await test.api.batchWriteItems({ collection, pushes: [deletion("a", "one")], revisionSeen: 0 });
    expect(again.verdicts).toMatchObject([{ outcome: PushOutcome.PUSH_OUTCOME_CONFLICT }]);
    const seen = await test.api.batchWriteItems({ collection, pushes: [deletion("a", "one")], revisionSeen: 5 });
    expect(seen.verdicts).toMatchObject([{ outcome: PushOutcome.PUSH_OUTCOME_APPLIED, revision: 6 }]);
  });

  it("answers a repeated request id like the first time, also with a refusal, also after a restart", async () => {
    const first = await write("a", "one", absent, "r1");
    await write("a", "two", any);
    expect(await write("a", "one", absent, "r1")).toEqual(first);
    expect((await refusalOf(write("a", "three", absent, "r2"))).reason).toBe("PRECONDITION_FAILED");
    await test.api.deleteItem({ collection, id: "a", precondition: any, requestId: "r3" });
    expect((await refusalOf(write("a", "three", absent, "r2"))).reason).toBe("PRECONDITION_FAILED");
    const pushes = [upsert("b", "one"), upsert("b2", "one")];
    const verdicts = await test.api.batchWriteItems({ collection, pushes, requestId: "r4" });
    await test.restart();
    expect(await write("a", "one", absent, "r1")).toEqual(first);
    expect(await test.api.batchWriteItems({ collection, pushes, requestId: "r4" })).toEqual(verdicts);
    const { revision } = (await state()) ?? {};
    const reused = { code: "INVALID_ARGUMENT", reason: "REQUEST_ID_REUSED", fields: ["request_id"] };
    expect(await refusalOf(write("a", "other", absent, "r1"))).toMatchObject(reused);
    expect(
      await refusalOf(test.api.deleteItem({ collection, id: "a", precondition: any, requestId: "r1" })),
    ).toMatchObject(reused);
    expect((await state())?.revision).toBe(revision);
  });

  it("does a request once that comes several times at once", async () => {
    await write("a", "zero", absent);
    const answers = await Promise.all(Array.from({ length: 20 }, () => write("a", "one", any, "same")));
    for (const answer of answers) expect(answer).toEqual(answers[0]);
    expect(await state()).toMatchObject({ revision: 2, conflicts: 1 });
  });

  it("keeps every answer under 4 MiB, however long the ids are", async () => {
    const ids = Array.from({ length: 7000 }, (_, i) => `${String(i).padStart(6, "0")}${"x".repeat(500)}`);
    for (let at = 0; at < ids.length; at += 3500) {
      const pushes = ids.slice(at, at + 3500).map((id) => upsert(id, "", { fingerprint: undefined }));
      await test.api.batchWriteItems({ collection, pushes });
    }
    expect((await state())?.fingerprint?.count).toBe(7000);
    const tooLarge = { code: "INVALID_ARGUMENT", reason: "BATCH_TOO_LARGE" };
    expect(await refusalOf(test.api.batchGetItems({ collection, ids }))).toMatchObject({
      ...tooLarge,
      fields: ["ids"],
    });
    const pushes = ids.map((id) => upsert(id, "x", { fingerprint: undefined }));
    expect(await refusalOf(test.api.batchWriteItems({ collection, pushes }))).toMatchObject(tooLarge);
    const page = await test.api.listChanges({ collection, pageSize: 10_000 });
    expect(page.end).toBe(false);
    expect(page.changes.length).toBeGreaterThan(1000);
    const conflicts = await test.api.batchWriteItems({ collection, pushes: pushes.slice(0, 5000) });
    expect(conflicts.verdicts).toHaveLength(5000);
  });

  it("takes an item of exactly the limit and answers it whole", async () => {
    const content = Buffer.alloc(MIB, 7);
    await write("a", content, absent);
    const item = await get("a");
    expect(item?.content?.$case === "data" && item.content.value.equals(content)).toBe(true);
    expect((await test.api.batchGetItems({ collection, ids: ["a"] })).items).toHaveLength(1);
  });
});
