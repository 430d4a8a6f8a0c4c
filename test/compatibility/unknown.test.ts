import type { Client } from "@grpc/grpc-js";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ItemServiceService, WriteItemRequest } from "../../gen/tercet/v1/item_service.js";
import { Capability, ExchangeRequest, Open, PushOutcome } from "../../gen/tercet/v1/sync.js";
import { streamOver } from "../../scripts/conformance/stream-client.js";
import { listVectors, readVectors } from "../conformance/read.js";
import { type Recorded, replayClient, replayServer } from "../conformance/replay.js";
import { callRaw, createApi } from "../rpc/api.js";
import { absent, batch, contentOf, deletion, printOf, sumOf, upsert } from "../rpc/build.js";
import { connect, startTestServer, type TestServer } from "../rpc/harness.js";
import { refusalOf, toRefusal } from "../rpc/refusal.js";
import { createWalker } from "../rpc/walker.js";
import { requestType, withUnknownFields } from "./newer-peer.js";

/** A number that no enum of v1 has, nor will have soon. */
const UNKNOWN = 9999;
const { PUSH_OUTCOME_APPLIED: APPLIED, PUSH_OUTCOME_REJECTED: REJECTED } = PushOutcome;

/** A content in chunks. */
function piecesOf(content: string) {
  const data = Buffer.from(content);
  const bytes = 128 * 1024;
  return Array.from({ length: Math.ceil(data.length / bytes) }, (_, at) => {
    const offset = at * bytes;
    return { revision: 0, offset, data: data.subarray(offset, offset + bytes), size: data.length, modifyTimeUs: 0 };
  });
}

/** A connection of a client of a later version: there are unknown fields in all that it sends, on every level. */
function newerClient(address: string): Client {
  const client = connect(address);
  const unary = client.makeUnaryRequest.bind(client) as (...args: unknown[]) => unknown;
  const bidi = client.makeBidiStreamRequest.bind(client) as (...args: unknown[]) => unknown;
  const newer =
    (make: typeof unary) =>
    (path: string, serialize: (value: unknown) => Buffer, ...rest: unknown[]) =>
      make(path, (value: unknown) => Buffer.from(withUnknownFields(requestType(path), serialize(value))), ...rest);
  return Object.assign(client, { makeUnaryRequest: newer(unary), makeBidiStreamRequest: newer(bidi) });
}

describe("a client of a later version", () => {
  let test: TestServer;
  let newer: Client;
  let number = 0;
  let collection = "";
  beforeAll(async () => {
    test = await startTestServer();
    newer = newerClient(test.server.address);
  });
  afterAll(async () => {
    newer.close();
    await test.stop();
  });
  beforeEach(async () => {
    number += 1;
    collection = await test.create(`newer-${number}`);
  });

  it("sends fields that the server does not know, indeed", () => {
    const bytes = withUnknownFields(
      "ExchangeRequest",
      ExchangeRequest.encode({ message: batch([upsert("a", "1")]) }).finish(),
    );
    expect(bytes.length).toBeGreaterThan(200);
    expect(ExchangeRequest.decode(bytes)).toEqual({ message: batch([upsert("a", "1")]) });
  });

  it("makes every unary call with unknown fields", async () => {
    const api = createApi(newer);
    await api.createCollection({ collection });
    const item = { id: "é", content: contentOf("1") };
    const { change } = await api.writeItem({ collection, item, precondition: absent, requestId: `${collection}-1` });
    expect(change).toMatchObject({ revision: 1, fingerprint: printOf("é", "1") });
    // The fields are part of the request: one that differs in them only is the same request here.
    const again = await test.api.writeItem({ collection, item, precondition: absent, requestId: `${collection}-1` });
    expect(again.change?.revision).toBe(1);
    expect((await api.getItem({ collection, id: "é" })).item?.content).toEqual(contentOf("1"));
    expect((await api.listItems({ collection, contents: true })).items).toHaveLength(1);
    const fingerprint = { state: { $case: "fingerprint", value: printOf("é", "1") } } as const;
    await api.deleteItem({ collection, id: "é", precondition: fingerprint });
    const pushes = [upsert("a", "1"), upsert("b", "1", { group: 1 }), upsert("c", "1", { group: 1 })];
    const { verdicts } = await api.batchWriteItems({ collection, pushes });
    expect(verdicts.every(({ outcome }) => outcome === APPLIED)).toBe(true);
    expect((await api.batchGetItems({ collection, ids: ["a", "é"] })).missing).toEqual(["é"]);
    const page = await api.listChanges({ collection });
    expect(page).toMatchObject({ end: true, proof: sumOf({ a: "1", b: "1", c: "1" }) });
    expect((await api.listChanges({ collection, token: page.checkpoint?.token ?? Buffer.alloc(0) })).changes).toEqual(
      [],
    );
    const ranges = { kinds: [1 as const], counts: [0], sums: Buffer.alloc(8), items: Buffer.alloc(0), ends: undefined };
    expect((await api.compareRanges({ collection, ranges })).answers?.head?.revision).toBe(page.checkpoint?.revision);
    await api.writeItem({
      collection,
      item: { id: "a", content: contentOf("2") },
      precondition: { state: { $case: "any", value: true } },
    });
    expect((await api.listConflicts({ collection })).conflicts).toHaveLength(1);
    expect((await api.getConflict({ collection, number: 1 })).conflict?.id).toBe("a");
    expect((await api.restoreConflict({ collection, number: 1 })).change?.fingerprint).toEqual(printOf("a", "1"));
    expect((await api.getCollection({ collection })).collection?.conflicts).toBe(2);
    await api.pruneConflicts({ olderThanUs: 3_600_000_000 });
    const horizon = { $case: "throughRevision", value: 1 } as const;
    expect((await api.compactCollection({ collection, horizon })).compactedRevision).toBe(1);
    expect((await api.listCollections({ pageSize: 1000 })).collections.map(({ name }) => name)).toContain(collection);
    await api.deleteCollection({ collection });
  });

  it("walks the three steps and recovers with unknown fields", async () => {
    const api = createApi(newer);
    const by = createWalker(() => api, collection, 2);
    for (let at = 0; at < 100; at++) by.put(`id ${at}`, `content ${at}`);
    await by.walk();
    by.put("id 1", "changed");
    by.delete("id 2");
    await by.recover();
    expect(await by.walk()).toEqual(by.agreed());
  });

  it("makes an exchange with unknown fields: pushes, fetch, a large content, a proof", async () => {
    const long = "x".repeat(100_000);
    await test.api.writeItem({ collection, item: { id: "there", content: contentOf(long) }, precondition: absent });
    const stream = streamOver(newer);
    const capabilities = [Capability.CAPABILITY_CHUNKS, Capability.CAPABILITY_GROUPS, Capability.CAPABILITY_RECONCILE];
    stream.open({ collection, capabilities });
    stream.send(batch([upsert("a", "1"), upsert("b", "2", { group: 1 }), upsert("c", "3", { group: 1 })]));
    stream.done();
    await stream.next("opened");
    const { verdicts, pages } = await stream.untilProof();
    expect(verdicts.map(({ outcome }) => outcome)).toEqual([APPLIED, APPLIED]);
    expect(pages.flatMap(({ changes }) => changes.map(({ id }) => id))).toEqual(["there"]);
    stream.send({ $case: "fetch", value: { items: [{ id: "there", offset: 0, revision: 0 }] } });
    const contents = await stream.skipTo("contents");
    expect(contents.items[0]?.content).toEqual(contentOf(long));
    stream.send({ $case: "taken", value: { revision: 1 } });
    const large = "y".repeat(1024 * 1024 + 5);
    const fingerprint = printOf("d", large);
    const uploadId = Buffer.alloc(16, 3);
    for (const piece of piecesOf(large)) {
      stream.send({ $case: "chunk", value: { ...piece, uploadId, id: "d", text: true, fingerprint } });
    }
    stream.send(batch([upsert("d", "", { content: undefined, fingerprint, uploadId })], 1));
    stream.send(batch([deletion("a", "1")], 4));
    stream.done();
    expect(await stream.skipTo("upload")).toMatchObject({ offset: large.length });
    const after = await stream.untilProof();
    expect(after.verdicts).toMatchObject([{ outcome: APPLIED }, { outcome: APPLIED }]);
    expect(after.pages.at(-1)?.proof).toEqual(sumOf({ b: "2", c: "3", d: large, there: long }));
    stream.end();
    expect((await stream.status()).code).toBe(0);
  });

  it("sends messages and capabilities that the server does not know: they are ignored", async () => {
    const stream = test.exchange();
    const open = Open.create({
      collection,
      capabilities: [UNKNOWN as Capability, Capability.CAPABILITY_GROUPS, -1 as Capability],
    });
    stream.send({ $case: "open", value: open });
    // Field 1000 of the oneof, a message; and a message without any field.
    stream.sendRaw(Uint8Array.of(0xc2, 0x3e, 2, 8, 1));
    stream.sendRaw(new Uint8Array());
    stream.send(batch([upsert("a", "1")]));
    stream.done();
    expect((await stream.next("opened")).capabilities).toEqual([Capability.CAPABILITY_GROUPS]);
    expect((await stream.untilProof()).verdicts).toMatchObject([{ outcome: APPLIED }]);
    stream.end();
    expect((await stream.status()).code).toBe(0);
  });

  it("sends a kind, a standard and an algorithm that the server does not know: those pushes are rejected by themselves", async () => {
    const unknown = UNKNOWN as 1;
    const print = { algorithm: unknown, value: Buffer.alloc(48) };
    const pushes = [
      upsert("kind", "1", { kind: unknown }),
      upsert("standard", "1", { overrides: unknown }),
      upsert("algorithm", "1", { fingerprint: print }),
      upsert("good", "1"),
      upsert("expected", "1", { expected: print }),
    ];
    const reasons = [5, 6, 7, undefined, 7];
    const expected = reasons.map((reason) =>
      reason === undefined ? { outcome: APPLIED } : { outcome: REJECTED, reason },
    );
    expect((await test.api.batchWriteItems({ collection, pushes })).verdicts).toMatchObject(expected);
    const stream = test.exchange();
    stream.open({ collection });
    stream.send(batch(pushes.map((push) => (push.id === "good" ? { ...push, ...upsert("good 2", "1") } : push))));
    stream.done();
    await stream.next("opened");
    expect((await stream.untilProof()).verdicts).toMatchObject(expected);
    stream.end();
    expect((await stream.status()).code).toBe(0);
  });

  it("asks for what is decided by a value that the server does not know: it is refused, and says why", async () => {
    const unknown = UNKNOWN as 1;
    const stream = test.exchange();
    stream.open({ collection, standard: unknown });
    expect(toRefusal(await stream.status())).toMatchObject({ reason: "UNKNOWN_STANDARD", fields: ["open.standard"] });
    const create = test.api.createCollection({ collection: `${collection}-2`, standard: unknown });
    expect(await refusalOf(create)).toMatchObject({ code: "INVALID_ARGUMENT", reason: "UNKNOWN_STANDARD" });
    const ranges = { kinds: [unknown], counts: [0], sums: Buffer.alloc(8), items: Buffer.alloc(0), ends: undefined };
    expect(await refusalOf(test.api.compareRanges({ collection, ranges }))).toMatchObject({ reason: "RANGES_INVALID" });
    const precondition = {
      state: { $case: "fingerprint", value: { algorithm: unknown, value: Buffer.alloc(8) } },
    } as const;
    const write = test.api.writeItem({ collection, item: { id: "a", content: contentOf("1") }, precondition });
    expect(await refusalOf(write)).toMatchObject({ code: "INVALID_ARGUMENT", reason: "UNKNOWN_ALGORITHM" });
  });

  it("states a precondition that the server does not know: nothing is written", async () => {
    const item = { id: "a", content: contentOf("1") };
    const request = WriteItemRequest.encode(WriteItemRequest.create({ collection, item })).finish();
    // Precondition, with field 99 alone.
    const bytes = Buffer.concat([request, Uint8Array.of(0x1a, 3, 0x98, 0x06, 1)]);
    const refusal = await refusalOf(callRaw(test.client, ItemServiceService.writeItem as never, bytes));
    expect(refusal).toMatchObject({ code: "INVALID_ARGUMENT", reason: "PRECONDITION_MISSING" });
    expect((await test.api.listItems({ collection })).items).toEqual([]);
  });
});

interface Transcript {
  readonly name: string;
  readonly exchanges: readonly Recorded[];
}

const transcripts = listVectors()
  .filter((name) => name.startsWith("exchanges/"))
  .map((name) => readVectors<Transcript>(name));

describe.each(transcripts)("whole exchanges with unknown fields: $name", ({ exchanges }) => {
  it("the server says and does what it does without", () => {
    for (const recorded of exchanges) replayServer(recorded, withUnknownFields);
  });

  it("the client says and does what it does without", () => {
    for (const recorded of exchanges) {
      if (recorded.before.replica !== undefined) replayClient(recorded, withUnknownFields);
    }
  });
});
