import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ErrorReason } from "../../gen/tercet/v1/error.js";
import { PushOutcome, type RangeAnswers, RangeOutcome, Recover } from "../../gen/tercet/v1/sync.js";
import type { ClientStream } from "../../scripts/conformance/stream-client.js";
import { any, batch, contentOf, printOf, sumOf, upsert } from "./build.js";
import { createTestLog } from "./clock.js";
import { startTestServer, type TestServer } from "./harness.js";
import { nothingOf } from "./range-cases.js";
import { refusalOf } from "./refusal.js";

const { RANGE_OUTCOME_EQUAL: EQUAL, RANGE_OUTCOME_SPLIT: SPLIT, RANGE_OUTCOME_LIST: LIST } = RangeOutcome;
const recover = { $case: "recover", value: Recover.create() } as const;
const ranges = { $case: "ranges", value: nothingOf({}) } as const;

describe("recovery", () => {
  const log = createTestLog();
  let test: TestServer;
  let number = 0;
  let collection = "";

  beforeAll(async () => {
    test = await startTestServer({ logger: log.logger });
  });
  afterAll(() => test.stop());
  beforeEach(async () => {
    number += 1;
    collection = await test.create(`recovery-${number}`);
    await test.api.batchWriteItems({ collection, pushes: [upsert("a", "1"), upsert("b", "1")] });
    await test.api.deleteItem({ collection, id: "b", precondition: any });
  });

  const state = async () => (await test.api.getCollection({ collection })).collection;
  async function endOf(stream: ClientStream): Promise<Record<string, unknown>> {
    stream.end();
    expect((await stream.status()).code).toBe(0);
    return log.line("exchange");
  }

  it("begins an exchange where the client asks for it, and ends with a proof like any other", async () => {
    const stream = test.exchange();
    stream.open({ collection, recover: true });
    expect((await stream.next("opened")).tokenRefused).toBe(ErrorReason.ERROR_REASON_UNSPECIFIED);
    // Neither pages nor verdicts before the comparison.
    stream.send(batch([upsert("c", "1")], 3), recover, ranges);
    expect(await stream.next("verdicts")).toMatchObject({
      verdicts: [{ outcome: PushOutcome.PUSH_OUTCOME_COMPARE_FIRST }],
    });
    const answers = await stream.next("ranges");
    expect(answers).toMatchObject({ outcomes: [LIST], head: { revision: 3 }, forkRevision: 0, compactedRevision: 0 });
    expect(answers.lineage).toHaveLength(1);
    expect(answers.lists).toMatchObject([
      {
        items: [{ id: "a", revision: 1, fingerprint: printOf("a", "1"), content: contentOf("1") }],
        deleted: [{ id: "b", revision: 3 }],
        differing: [],
      },
    ]);
    stream.done();
    const { pages } = await stream.untilProof();
    expect(pages).toMatchObject([{ changes: [], checkpoint: { revision: 3 }, end: true, proof: sumOf({ a: "1" }) }]);
    stream.send(batch([upsert("c", "1")], 3));
    expect((await stream.next("verdicts")).verdicts).toMatchObject([{ outcome: PushOutcome.PUSH_OUTCOME_APPLIED }]);
    expect(await endOf(stream)).toMatchObject({ collection, recovery: true, outcome: "OK" });
  });

  it("goes on from its head, with what others wrote meanwhile", async () => {
    const stream = test.exchange();
    stream.open({ collection, recover: true });
    stream.send(recover, ranges);
    await stream.next("opened");
    await stream.next("ranges");
    await test.api.batchWriteItems({ collection, pushes: [upsert("d", "1")] });
    stream.done();
    const { pages } = await stream.untilProof();
    expect(pages.flatMap(({ changes }) => changes)).toMatchObject([{ id: "d" }]);
    expect(pages.at(-1)?.proof).toEqual(sumOf({ a: "1", d: "1" }));
    await endOf(stream);
  });

  it("also comes late in an exchange whose proof failed, and is not in the log where there was none", async () => {
    const token = (await test.api.listChanges({ collection })).checkpoint?.token ?? Buffer.alloc(0);
    const stream = test.exchange();
    stream.open({ collection, token });
    stream.done();
    await stream.next("opened");
    await stream.untilProof();
    stream.send(recover, ranges);
    expect((await stream.next("ranges")).outcomes).toEqual([LIST]);
    stream.done();
    expect((await stream.untilProof()).pages.at(-1)?.proof).toEqual(sumOf({ a: "1" }));
    expect(await endOf(stream)).toMatchObject({ recovery: true });
    const other = test.exchange();
    other.open({ collection, token });
    other.done();
    await other.next("opened");
    await other.untilProof();
    expect(await endOf(other)).toMatchObject({ recovery: false });
  });

  it("takes a replica of a deleted collection into the one that has its name, if it is told to", async () => {
    const { checkpoint } = await test.api.listChanges({ collection });
    const { uid: collectionUid = Buffer.alloc(0) } = (await state()) ?? {};
    await test.api.deleteCollection({ collection });
    const open = { collection, collectionUid, token: checkpoint?.token ?? Buffer.alloc(0), recreate: true };
    for (const items of [{}, { x: "1" }]) {
      const stream = test.exchange();
      stream.open(open);
      const opened = await stream.next("opened");
      expect(opened.tokenRefused).toBe(ErrorReason.ERROR_REASON_TOKEN_OTHER_HISTORY);
      expect(opened.collectionUid).toEqual((await state())?.uid);
      expect(opened.collectionUid).not.toEqual(collectionUid);
      // Without its lineage: a collection made anew shares nothing with the one that was deleted.
      stream.send(recover, ranges);
      expect(await stream.next("ranges")).toMatchObject({
        outcomes: [Object.keys(items).length === 0 ? EQUAL : LIST],
        forkRevision: 0,
      });
      stream.done();
      expect((await stream.untilProof()).pages.at(-1)?.proof).toEqual(sumOf(items));
      await endOf(stream);
      await test.api.batchWriteItems({ collection, pushes: [upsert("x", "1")] });
    }
  });

  it("answers a unary call as it answers a stream", async () => {
    const ids = Array.from({ length: 3000 }, (_, at) => `id ${at}`);
    await test.api.batchWriteItems({ collection, pushes: ids.map((id) => upsert(id, "x")) });
    await test.restart();
    await test.api.batchWriteItems({ collection, pushes: [upsert("id 7", "y", { expected: printOf("id 7", "x") })] });
    const { answers } = await test.api.compareRanges({ collection, ranges: nothingOf({}) });
    expect(answers).toMatchObject({ outcomes: [SPLIT], parts: [8], head: { revision: 3004 }, forkRevision: 0 });
    expect(answers?.lineage).toMatchObject([{ firstRevision: 1 }, { firstRevision: 3004 }]);
    const { lineage = [] } = answers ?? {};
    const stream = test.exchange();
    stream.open({ collection, recover: true });
    stream.send({ $case: "recover", value: { lineage } }, ranges);
    await stream.next("opened");
    const told = await stream.next("ranges");
    expect(told.forkRevision).toBe(3004);
    expect(told.witness).toEqual(answers?.head);
    expect({ ...told, forkRevision: 0, witness: undefined }).toEqual(answers);
    // A token like any other.
    const token = answers?.head?.token ?? Buffer.alloc(0);
    expect(await test.api.listChanges({ collection, token })).toMatchObject({ changes: [], end: true });
    await endOf(stream);
  });

  it("answers a unary call in part where it is much, and brings contents only where they are wanted", async () => {
    const ids = Array.from({ length: 2000 }, (_, at) => `${Math.floor(at / 500)}/${at}`);
    for (let at = 0; at < 2000; at += 1000) {
      const pushes = ids.slice(at, at + 1000).map((id) => upsert(id, "x".repeat(768)));
      await test.api.batchWriteItems({ collection, pushes });
    }
    const ends = { shared: [0, 0, 0], rest: ["1", "2", "3"] };
    const query = nothingOf({ ends, kinds: [2, 2, 2, 2], counts: [0, 0, 0, 0], sums: Buffer.alloc(0) });
    const ask = async (inlineBytes: number) =>
      (await test.api.compareRanges({ collection, ranges: query, inlineBytes })).answers as RangeAnswers;
    const bare = await ask(767);
    expect(bare.outcomes).toEqual([LIST, LIST, LIST, LIST]);
    const items = bare.lists.flatMap((list) => list.items);
    expect(items.map(({ id }) => id)).toEqual([...ids, "a"].sort());
    expect(items.filter(({ content }) => content !== undefined).map(({ id }) => id)).toEqual(["a"]);
    const part = await ask(768);
    expect(part.outcomes).toEqual([LIST, LIST, LIST]);
    expect(part.lists.flatMap((list) => list.items).every(({ content }) => content !== undefined)).toBe(true);
    expect(part.head).toEqual(bare.head);
    const nothing = nothingOf({ kinds: [0], counts: [], sums: Buffer.alloc(0) });
    const { answers } = await test.api.compareRanges({ collection, ranges: nothing });
    expect(answers).toMatchObject({ outcomes: [], head: { revision: 2003 } });
  });

  it("compares by a unary call with the collection that is meant, and no other of its name", async () => {
    const { uid = Buffer.alloc(0) } = (await state()) ?? {};
    const compare = (collectionUid: Buffer) =>
      test.api.compareRanges({ collection, collectionUid, ranges: nothingOf({}) });
    expect((await compare(uid)).answers?.outcomes).toEqual([LIST]);
    const foreign = { code: "FAILED_PRECONDITION", reason: "TOKEN_FOREIGN" };
    expect(await refusalOf(compare(Buffer.alloc(16)))).toMatchObject(foreign);
    expect(await refusalOf(compare(Buffer.alloc(3)))).toMatchObject({ fields: ["collection_uid"] });
    await test.api.deleteCollection({ collection });
    const deleted = { code: "FAILED_PRECONDITION", reason: "COLLECTION_DELETED" };
    expect(await refusalOf(compare(uid))).toMatchObject(deleted);
    await test.create(collection);
    expect(await refusalOf(compare(uid))).toMatchObject(deleted);
  });
});

describe("atomic groups on a stream", () => {
  let test: TestServer;
  const collection = "groups";
  beforeAll(async () => {
    test = await startTestServer({ limits: { groupItems: 3, groupBytes: 1000 } });
    await test.create(collection);
  });
  afterAll(() => test.stop());

  it("are refused whole: over a limit, in parts, or with a change that is rejected", async () => {
    const stream = test.exchange();
    stream.open({ collection });
    expect((await stream.next("opened")).limits).toMatchObject({ groupItems: 3, groupBytes: 1000 });
    await stream.next("page");
    const reasons = async (...pushes: ReturnType<typeof upsert>[]) => {
      stream.send(batch(pushes));
      const { verdicts } = await stream.next("verdicts");
      return verdicts.flatMap(({ count, reason, outcome }) =>
        Array(count).fill(outcome === PushOutcome.PUSH_OUTCOME_APPLIED ? "applied" : reason),
      );
    };
    const of = (group: number, ...ids: string[]) => ids.map((id) => upsert(id, "1", { group }));
    const bad = ErrorReason.ERROR_REASON_GROUP_INVALID;
    expect(await reasons(...of(1, "a", "b", "c", "d"), upsert("e", "1"))).toEqual([bad, bad, bad, bad, "applied"]);
    expect(await reasons(...of(1, "a"), upsert("b", "x".repeat(900), { group: 1 }))).toEqual([bad, bad]);
    expect(await reasons(...of(1, "a"), ...of(2, "b"), ...of(1, "c"))).toEqual([bad, "applied", bad]);
    expect(await reasons(...of(3, "f"), upsert("g", "1"), ...of(3, "h"))).toEqual([bad, "applied", bad]);
    const wrong = upsert("j", "1", { group: 4, fingerprint: printOf("j", "2") });
    const mismatch = ErrorReason.ERROR_REASON_FINGERPRINT_MISMATCH;
    expect(await reasons(...of(4, "i"), wrong, ...of(4, "k"), upsert("l", "1"))).toEqual([
      bad,
      mismatch,
      bad,
      "applied",
    ]);
    expect(await reasons(...of(5, "a", "c", "d"))).toEqual(["applied", "applied", "applied"]);
    stream.end();
    const { fingerprint } = (await test.api.getCollection({ collection })).collection ?? {};
    expect(fingerprint).toEqual(sumOf({ a: "1", b: "1", c: "1", d: "1", e: "1", g: "1", l: "1" }));
  });
});
