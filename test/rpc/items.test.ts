import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fingerprintOf, toFingerprint } from "../../core/fingerprint.js";
import { createRangeSum, toRangeFingerprint, totalOf } from "../../core/range-sum.js";
import { type ChangeInfo, ChangeKind, ChangeStandard } from "../../gen/tercet/v1/item.js";
import { type Precondition, WriteItemRequest } from "../../gen/tercet/v1/item_service.js";
import { Push, PushOutcome } from "../../gen/tercet/v1/sync.js";
import { refusalOf, startTestServer, type TestServer, unary, upsert } from "./harness.js";

describe("ItemService", () => {
  let test: TestServer;
  let number = 0;
  let collection = "";

  beforeAll(async () => {
    test = await startTestServer();
  });
  afterAll(() => test.stop());

  /** A collection that no other test uses. */
  async function fresh(): Promise<string> {
    number += 1;
    collection = `items-${number}`;
    await unary((done) =>
      test.collections.createCollection({ collection, standard: ChangeStandard.CHANGE_STANDARD_UNSPECIFIED }, done),
    );
    return collection;
  }

  function write(id: string, text: string, precondition: Precondition, requestId = ""): Promise<ChangeInfo> {
    const item = { id, content: { $case: "text", value: text } } as const;
    const request = { ...WriteItemRequest.create({ collection, item, requestId }), precondition };
    return unary<{ change: ChangeInfo | undefined }>((done) => test.items.writeItem(request, done)).then(
      ({ change }) => change as ChangeInfo,
    );
  }
  const absent: Precondition = { state: { $case: "absent", value: true } };
  const any: Precondition = { state: { $case: "any", value: true } };
  const has = (id: string, text: string, revisionSeen?: number): Precondition => ({
    state: { $case: "fingerprint", value: toFingerprint(fingerprintOf(id, text)) },
    revisionSeen,
  });
  const get = (id: string, offset = 0, length = 0) =>
    unary<{ item: NonNullable<unknown> | undefined }>((done) =>
      test.items.getItem({ collection, id, offset, length }, done),
    ).then(({ item }) => item);
  const state = () =>
    unary<{ collection: { revision: number; conflicts: number; fingerprint: unknown } | undefined }>((done) =>
      test.collections.getCollection({ collection }, done),
    ).then((answer) => answer.collection);

  it("writes an item and reads it back", async () => {
    await fresh();
    const change = await write("a", "one", absent);
    expect(change).toMatchObject({ id: "a", revision: 1, size: 3, kind: ChangeKind.CHANGE_KIND_UPSERTED });
    expect(change.fingerprint?.value).toEqual(fingerprintOf("a", "one"));
    expect(change.modifyTimeUs).toBeGreaterThan(1e15);
    expect(await get("a")).toEqual({
      id: "a",
      fingerprint: toFingerprint(fingerprintOf("a", "one")),
      revision: 1,
      modifyTimeUs: change.modifyTimeUs,
      size: 3,
      offset: 0,
      content: { $case: "text", value: "one" },
    });
  });
});
