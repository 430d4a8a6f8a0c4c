import { createHash } from "node:crypto";
import { status } from "@grpc/grpc-js";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ErrorReason } from "../../gen/tercet/v1/error.js";
import { type ChangeKind, ChangeStandard, type FingerprintAlgorithm } from "../../gen/tercet/v1/item.js";
import { Done, ExchangeRequest, Limits, type Push, PushBatch, PushOutcome } from "../../gen/tercet/v1/sync.js";
import type { ClientStream } from "../../scripts/conformance/stream-client.js";
import { batch, contentOf, deletion, printOf, sumOf, upsert } from "./build.js";
import { startTestServer, type TestServer } from "./harness.js";
import { toRefusal } from "./refusal.js";

const MIB = 1024 * 1024;
const {
  PUSH_OUTCOME_APPLIED: APPLIED,
  PUSH_OUTCOME_ALREADY_APPLIED: ALREADY,
  PUSH_OUTCOME_CONFLICT: CONFLICT,
  PUSH_OUTCOME_COMPARE_FIRST: COMPARE_FIRST,
  PUSH_OUTCOME_REJECTED: REJECTED,
} = PushOutcome;

describe("SyncService.Exchange", () => {
  let test: TestServer;
  let number = 0;
  let collection = "";

  beforeAll(async () => {
    test = await startTestServer();
  });
  afterAll(() => test.stop());
  beforeEach(async () => {
    number += 1;
    collection = await test.create(`exchange-${number}`);
  });

  async function state() {
    return (await test.api.getCollection({ collection })).collection;
  }

  it("makes two sides equal: pushes, verdicts, pages, a proof, OK", async () => {
    await test.api.batchWriteItems({ collection, pushes: [upsert("server", "theirs"), upsert("both", "theirs")] });
    const stream = test.exchange();
    stream.open({ collection, client: "test" });
    stream.send(batch([upsert("client", "mine"), upsert("both", "mine"), upsert("server", "theirs")]));
    stream.done();
    const opened = await stream.next("opened");
    expect(opened).toMatchObject({
      head: 2,
      count: 2,
      standard: ChangeStandard.CHANGE_STANDARD_SERVER,
      tokenRefused: 0,
    });
    expect(opened.collectionUid).toEqual((await state())?.uid);
    const { verdicts, pages } = await stream.untilProof();
    expect(verdicts).toMatchObject([
      { ordinal: 0, outcome: APPLIED, revision: 3 },
      { ordinal: 1, outcome: CONFLICT, current: { id: "both", fingerprint: printOf("both", "theirs") } },
      { ordinal: 2, outcome: ALREADY, revision: 1 },
    ]);
    const page = pages.at(-1);
    expect(pages.flatMap(({ changes }) => changes)).toMatchObject([
      { id: "server", revision: 1, content: contentOf("theirs"), fingerprint: undefined },
      { id: "both", revision: 0, content: contentOf("theirs"), fingerprint: undefined },
    ]);
    const [withChanges] = pages.filter(({ changes }) => changes.length > 0);
    expect(withChanges?.fingerprint).toEqual(sumOf({ server: "theirs", both: "theirs" }));
    expect(page?.proof).toEqual(sumOf({ server: "theirs", both: "theirs", client: "mine" }));
    expect(page).toMatchObject({ end: true, checkpoint: { revision: 3 } });

    const overriding = { expected: printOf("both", "theirs"), overrides: ChangeStandard.CHANGE_STANDARD_CLIENT };
    stream.send(batch([upsert("both", "mine", overriding)], 3));
    stream.done();
    expect(await stream.next("verdicts")).toMatchObject({
      verdicts: [{ ordinal: 3, outcome: APPLIED, revision: 4 }],
      checkpoint: { revision: 4 },
    });
    const last = (await stream.untilProof()).pages.at(-1);
    expect(last?.proof).toEqual(sumOf({ server: "theirs", both: "mine", client: "mine" }));
    stream.end();
    expect((await stream.status()).code).toBe(status.OK);
    expect(await state()).toMatchObject({ conflicts: 1, revision: 4, fingerprint: last?.proof });

    const again = test.exchange();
    again.open({ collection, token: last?.checkpoint?.token ?? Buffer.alloc(0) });
    again.done();
    again.end();
    await again.next("opened");
    const nothing = (await again.untilProof()).pages;
    expect(nothing.flatMap(({ changes }) => changes)).toEqual([]);
    expect(nothing.at(-1)).toMatchObject({ end: true, proof: last?.proof });
    expect((await again.status()).code).toBe(status.OK);
  });

  it("answers every Done with one proof", async () => {
    const stream = test.exchange();
    stream.open({ collection });
    for (let i = 0; i < 3; i++) stream.done();
    stream.end();
    await stream.next("opened");
    for (let i = 0; i < 3; i++) await stream.untilProof();
    expect((await stream.status()).code).toBe(status.OK);
  });

  it("brings contents that were fetched, and says what is deleted", async () => {
    const large = "x".repeat(20_000);
    await test.api.batchWriteItems({ collection, pushes: [upsert("large", large), upsert("gone", "1")] });
    await test.api.batchWriteItems({ collection, pushes: [deletion("gone", "1")] });
    const stream = test.exchange();
    stream.open({ collection });
    stream.done();
    await stream.next("opened");
    const { pages } = await stream.untilProof();
    expect(pages.flatMap(({ changes }) => changes)).toMatchObject([{ id: "large", size: 20_000, content: undefined }]);
    const wanted = ["gone", "large", "never"].map((id) => ({ id, offset: 0, revision: 0 }));
    stream.send({ $case: "fetch", value: { items: wanted } });
    expect(await stream.next("contents")).toMatchObject({
      items: [{ id: "large", content: contentOf(large), fingerprint: printOf("large", large) }],
      deleted: [{ id: "gone" }, { id: "never" }],
    });
    stream.send({ $case: "fetch", value: { items: [{ id: "large", offset: 19_990, revision: 1 }] } });
    expect(await stream.next("contents")).toMatchObject({ items: [{ offset: 19_990, size: 20_000 }] });
    stream.end();
    expect((await stream.status()).code).toBe(status.OK);
  });

  it("creates a collection if it is asked to", async () => {
    const stream = test.exchange();
    stream.open({ collection: "made", create: true });
    stream.end();
    await stream.next("opened");
    expect((await stream.status()).code).toBe(status.OK);
    expect((await test.api.getCollection({ collection: "made" })).collection?.revision).toBe(0);
  });

  it("refuses one push and makes the others of its batch", async () => {
    const one = upsert("x", "x");
    const unknown = { algorithm: 9 as FingerprintAlgorithm, value: Buffer.alloc(32) };
    const bad: [Push, ErrorReason][] = [
      [{ ...one, kind: 3 as ChangeKind }, ErrorReason.ERROR_REASON_UNKNOWN_KIND],
      [{ ...one, overrides: 9 as ChangeStandard }, ErrorReason.ERROR_REASON_UNKNOWN_STANDARD],
      [{ ...one, fingerprint: unknown }, ErrorReason.ERROR_REASON_UNKNOWN_ALGORITHM],
      [{ ...one, fingerprint: printOf("x", "y") }, ErrorReason.ERROR_REASON_FINGERPRINT_MISMATCH],
      [upsert("x", "x".repeat(MIB + 1)), ErrorReason.ERROR_REASON_ITEM_TOO_LARGE],
      [upsert("", "x"), ErrorReason.ERROR_REASON_INVALID_ID],
      [upsert("x\u0000", "x"), ErrorReason.ERROR_REASON_INVALID_ID],
    ];
    const stream = test.exchange();
    stream.open({ collection });
    await stream.next("opened");
    await stream.next("page");
    for (const [index, [push, reason]] of bad.entries()) {
      stream.send(batch([upsert(`b${index}`, "1"), push, upsert(`a${index}`, "2")]));
      expect((await stream.next("verdicts")).verdicts).toMatchObject([
        { outcome: APPLIED },
        { outcome: REJECTED, reason },
        { outcome: APPLIED },
      ]);
    }
    stream.send(batch([upsert("twice", "1"), upsert("once", "2"), upsert("twice", "1")]));
    const twice = { outcome: REJECTED, reason: ErrorReason.ERROR_REASON_DUPLICATE_ID };
    expect((await stream.next("verdicts")).verdicts).toMatchObject([twice, { outcome: APPLIED }, twice]);
    stream.end();
    expect((await stream.status()).code).toBe(status.OK);
    expect((await state())?.fingerprint?.count).toBe(2 * bad.length + 1);
  });

  it("refuses an id that is not UTF-8 and takes U+FFFD", async () => {
    const stream = test.exchange();
    stream.open({ collection });
    await stream.next("opened");
    await stream.next("page");
    // The id of a push, made other bytes of the same length: 0xff 0xfe 0xfd instead of U+FFFD.
    const value = PushBatch.create({ pushes: [upsert("\ufffd", "x"), upsert("good", "x")], revisionSeen: 0 });
    const bytes = ExchangeRequest.encode({ message: { $case: "push", value } }).finish();
    const at = Buffer.from(bytes).indexOf("\ufffd");
    bytes.set([0xff, 0xfe, 0xfd], at);
    stream.sendRaw(bytes);
    expect((await stream.next("verdicts")).verdicts).toMatchObject([
      { outcome: REJECTED, reason: ErrorReason.ERROR_REASON_INVALID_ID },
      { outcome: APPLIED },
    ]);
    stream.send(batch([upsert("\ufffd", "x")]));
    expect((await stream.next("verdicts")).verdicts).toMatchObject([{ outcome: APPLIED }]);
    stream.call.cancel();
  });

  it("compares first where the token comes from another history", async () => {
    await test.api.batchWriteItems({ collection, pushes: [upsert("a", "1")] });
    const token = (await test.api.listChanges({ collection })).checkpoint?.token ?? Buffer.alloc(0);
    token.fill(1, 17, 25);
    createHash("sha256")
      .update(token.subarray(0, -4))
      .digest()
      .copy(token, token.length - 4, 0, 4);
    const stream = test.exchange();
    stream.open({ collection, token });
    stream.send(batch([upsert("b", "1"), upsert("c", "1")], 1));
    stream.done();
    stream.end();
    expect((await stream.next("opened")).tokenRefused).toBe(ErrorReason.ERROR_REASON_TOKEN_OTHER_HISTORY);
    expect((await stream.next("verdicts")).verdicts).toMatchObject([{ ordinal: 0, count: 2, outcome: COMPARE_FIRST }]);
    expect((await stream.status()).code).toBe(status.OK);
    expect((await state())?.revision).toBe(1);
  });

  it("cuts verdicts into messages under the limit, however many there are", async () => {
    const stream = test.exchange();
    stream.open({ collection, limits: Limits.create({ messageBytes: 16_384 }) });
    await stream.next("opened");
    await stream.next("page");
    const ids = Array.from({ length: 5000 }, () => upsert("", ""));
    stream.send(batch(ids));
    let verdicts = 0;
    let messages = 0;
    while (verdicts < ids.length) {
      messages += 1;
      verdicts += (await stream.next("verdicts")).verdicts.length;
    }
    expect(messages).toBeGreaterThan(10);
    stream.call.cancel();
  });

  it("tells the replica of a deleted collection so", async () => {
    const uid = (await state())?.uid ?? Buffer.alloc(0);
    await test.api.deleteCollection({ collection });
    const again = test.exchange();
    again.open({ collection, collectionUid: uid, create: true });
    const deleted = { code: "FAILED_PRECONDITION", reason: "COLLECTION_DELETED" };
    expect(toRefusal(await again.status())).toMatchObject(deleted);
    await test.create(collection);
    const stream = test.exchange();
    stream.open({ collection, collectionUid: uid });
    expect(toRefusal(await stream.status())).toMatchObject(deleted);
  });

  it("keeps what had a verdict before the stream ended badly", async () => {
    const stream = test.exchange();
    stream.open({ collection });
    stream.send(batch([upsert("a", "1")]));
    stream.done();
    await stream.next("opened");
    expect((await stream.untilProof()).verdicts).toMatchObject([{ outcome: APPLIED }]);
    stream.sendRaw(Buffer.from([10, 5, 99]));
    expect(toRefusal(await stream.status()).reason).toBe("MALFORMED_MESSAGE");
    expect((await state())?.fingerprint).toEqual(sumOf({ a: "1" }));
  });

  it("goes on after streams that were cut at any point, and ignores unknown messages", async () => {
    const steps: ((stream: ClientStream) => unknown)[] = [
      (stream) => stream.sendRaw(Buffer.from([0xfa, 0x06, 0])),
      (stream) => stream.open({ collection }),
      (stream) => stream.next("opened"),
      (stream) => stream.next("page"),
      (stream) => stream.send(batch([upsert("a", "1")])),
      (stream) => stream.next("verdicts"),
      (stream) => stream.done(),
      (stream) => stream.next("page"),
      (stream) => stream.end(),
    ];
    for (let cut = 0; cut <= steps.length; cut++) {
      const stream = test.exchange();
      for (const step of steps.slice(0, cut)) await step(stream);
      stream.call.cancel();
      await stream.status();
    }
    const stream = test.exchange();
    for (const step of steps) await step(stream);
    expect((await stream.status()).code).toBe(status.OK);
    expect((await state())?.fingerprint).toEqual(sumOf({ a: "1" }));
  });

  it("sends everything to a client that half-closes at once", async () => {
    const pushes = Array.from({ length: 3000 }, (_, i) => upsert(`item-${i}`, "x".repeat(200)));
    await test.api.batchWriteItems({ collection, pushes });
    const stream = test.exchange();
    stream.open({ collection });
    stream.send({ $case: "done", value: Done.create() });
    stream.end();
    await stream.next("opened");
    const { pages } = await stream.untilProof();
    expect(pages.length).toBeGreaterThan(3);
    expect(pages.flatMap(({ changes }) => changes)).toHaveLength(3000);
    expect(pages.at(-1)?.proof).toEqual((await state())?.fingerprint);
    expect((await stream.status()).code).toBe(status.OK);
  });

  it("lets many exchanges push at once, each change once", async () => {
    const streams = Array.from({ length: 20 }, () => test.exchange());
    await Promise.all(
      streams.map(async (stream, index) => {
        stream.open({ collection });
        const pushes = Array.from({ length: 50 }, (_, i) => upsert(`${index}-${i}`, "x"));
        stream.send(batch(pushes));
        stream.done();
        stream.end();
        await stream.next("opened");
        const { verdicts } = await stream.untilProof();
        expect(verdicts).toMatchObject([{ outcome: APPLIED, count: 50 }]);
        expect((await stream.status()).code).toBe(status.OK);
      }),
    );
    expect(await state()).toMatchObject({ revision: 1000, fingerprint: { count: 1000 } });
  });
});
