import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { reasonName } from "../../core/fault.js";
import type { ChangeStandard } from "../../gen/tercet/v1/item.js";
import {
  Fetch,
  Limits,
  type Open,
  Push,
  PushBatch,
  PushOutcome,
  type RangeQuery,
  Recover,
} from "../../gen/tercet/v1/sync.js";
import type { ClientStream } from "../../scripts/conformance/stream-client.js";
import { batch, upsert } from "./build.js";
import { startTestServer, type TestServer } from "./harness.js";
import { badRanges, nothingOf } from "./range-cases.js";
import { toRefusal } from "./refusal.js";

const LIMIT_FIELDS = {
  inlineBytes: "inline_bytes",
  eagerBytes: "eager_bytes",
  messageBytes: "message_bytes",
  itemBytes: "item_bytes",
  windowBytes: "window_bytes",
  windowItems: "window_items",
  groupItems: "group_items",
  groupBytes: "group_bytes",
};
const MIB = 1024 * 1024;

describe("bad input to an exchange", () => {
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

  const chunk = {
    uploadId: Buffer.alloc(16),
    id: "",
    revision: 0,
    modifyTimeUs: 0,
    offset: 0,
    data: Buffer.alloc(0),
    size: 0,
    text: false,
  };
  const fetchOf = (...items: { id: string; offset?: number }[]) =>
    ({ $case: "fetch", value: Fetch.create({ items }) }) as const;
  type Case = [what: string, act: (stream: ClientStream) => void, code: string, reason: string, fields?: string[]];
  const opened = (act: (stream: ClientStream) => void) => (stream: ClientStream) => {
    stream.open({ collection });
    act(stream);
  };
  const openedAs =
    (open: Partial<Open>, act: (stream: ClientStream) => void = () => undefined) =>
    (stream: ClientStream) => {
      stream.open({ collection, ...open });
      act(stream);
    };
  const recover = { $case: "recover", value: Recover.create() } as const;
  const done = { $case: "done", value: {} } as const;
  const rangesOf = (value: RangeQuery) => ({ $case: "ranges", value }) as const;
  const INVALID = "INVALID_ARGUMENT";
  const cases: Case[] = [
    ["a push before open", (s) => s.send(batch([upsert("a", "1")])), INVALID, "OUT_OF_ORDER"],
    ["done before open", (s) => s.done(), INVALID, "OUT_OF_ORDER"],
    ["fetch before open", (s) => s.send(fetchOf({ id: "a" })), INVALID, "OUT_OF_ORDER"],
    ["open twice", opened((s) => s.open({ collection })), INVALID, "OUT_OF_ORDER"],
    ["nothing at all", (s) => s.end(), INVALID, "OUT_OF_ORDER"],
    ["a bad name", openedAs({ collection: "-" }), INVALID, "INVALID_COLLECTION_NAME", ["open.collection"]],
    ["an unknown collection", openedAs({ collection: "none" }), "NOT_FOUND", "COLLECTION_NOT_FOUND"],
    [
      "an unknown standard",
      openedAs({ standard: 9 as ChangeStandard }),
      INVALID,
      "UNKNOWN_STANDARD",
      ["open.standard"],
    ],
    [
      "a uid of 3 bytes",
      openedAs({ collectionUid: Buffer.alloc(3) }),
      INVALID,
      "INVALID_FIELD",
      ["open.collection_uid"],
    ],
    ["the uid of another", openedAs({ collectionUid: Buffer.alloc(16) }), "FAILED_PRECONDITION", "TOKEN_FOREIGN"],
    ["a token of nobody", openedAs({ token: Buffer.from("token") }), INVALID, "TOKEN_MALFORMED", ["token"]],
    ["a client of 129 characters", openedAs({ client: "x".repeat(129) }), INVALID, "INVALID_FIELD", ["open.client"]],
    ...Object.entries(LIMIT_FIELDS).map(([name, field]): Case => {
      const limits = Limits.create({ [name]: -1 });
      return [`a negative limit, ${field}`, openedAs({ limits }), INVALID, "INVALID_FIELD", [`open.limits.${field}`]];
    }),
    [
      "a batch that has seen less than nothing",
      opened((s) => s.send(batch([upsert("a", "1")], -1))),
      INVALID,
      "INVALID_FIELD",
      ["push.revision_seen"],
    ],
    ["a range", openedAs({ range: { from: "a", to: "" } }), "UNIMPLEMENTED", "UNSUPPORTED"],
    ["recover before open", (s) => s.send(recover), INVALID, "OUT_OF_ORDER"],
    ["ranges before open", (s) => s.send(rangesOf(nothingOf({}))), INVALID, "OUT_OF_ORDER"],
    ["recover twice", openedAs({ recover: true }, (s) => s.send(recover, recover)), INVALID, "OUT_OF_ORDER"],
    [
      "recover once more after the first one is over",
      opened((s) => s.send(recover, rangesOf(nothingOf({})), done, recover)),
      INVALID,
      "OUT_OF_ORDER",
    ],
    ["ranges without recover", opened((s) => s.send(rangesOf(nothingOf({})))), INVALID, "OUT_OF_ORDER"],
    [
      "ranges before recover, in an exchange that begins with it",
      openedAs({ recover: true }, (s) => s.send(rangesOf(nothingOf({})))),
      INVALID,
      "OUT_OF_ORDER",
    ],
    [
      "ranges after done",
      opened((s) => s.send(recover, rangesOf(nothingOf({})), done, rangesOf(nothingOf({})))),
      INVALID,
      "OUT_OF_ORDER",
    ],
    ...badRanges.map(({ what, ranges, field }): Case => {
      return [`ranges: ${what}`, opened((s) => s.send(recover, rangesOf(ranges))), INVALID, "RANGES_INVALID", [field]];
    }),
    [
      "ranges beyond the window",
      opened((s) => s.send(recover, rangesOf(nothingOf({ kinds: Array(100_000).fill(1) })))),
      "RESOURCE_EXHAUSTED",
      "WINDOW_EXCEEDED",
    ],
    [
      "a chunk",
      opened((s) => s.send({ $case: "chunk", value: { ...chunk, fingerprint: undefined } })),
      "UNIMPLEMENTED",
      "UNSUPPORTED",
    ],
    ["a fetch of a bad id", opened((s) => s.send(fetchOf({ id: "" }))), INVALID, "INVALID_ID", ["fetch.items[0].id"]],
    [
      "a fetch of the same id twice",
      opened((s) => s.send(fetchOf({ id: "a" }, { id: "a" }))),
      INVALID,
      "DUPLICATE_ID",
      ["fetch.items[1].id"],
    ],
    [
      "a fetch from before the beginning",
      opened((s) => s.send(fetchOf({ id: "a", offset: -1 }))),
      INVALID,
      "INVALID_FIELD",
      ["fetch.items[0].offset"],
    ],
    ["a malformed message", opened((s) => s.sendRaw(Buffer.from([10, 5, 99]))), INVALID, "MALFORMED_MESSAGE"],
    ["a malformed first message", (s) => s.sendRaw(Buffer.from([10, 5, 99])), INVALID, "MALFORMED_MESSAGE"],
    [
      "a number beyond 2^53",
      opened((s) => s.sendRaw(Buffer.from([18, 10, 24, 255, 255, 255, 255, 255, 255, 255, 255, 127]))),
      INVALID,
      "MALFORMED_MESSAGE",
    ],
    ["a message over 4 MiB", opened((s) => s.sendRaw(Buffer.alloc(4 * MIB + 1))), "RESOURCE_EXHAUSTED", ""],
    [
      "more than the window without waiting",
      opened((s) => {
        const pushes = Array.from({ length: 40_000 }, () => Push.create());
        for (let i = 0; i < 4; i++) s.send({ $case: "push", value: PushBatch.create({ pushes }) });
      }),
      "RESOURCE_EXHAUSTED",
      "WINDOW_EXCEEDED",
    ],
  ];

  it("a bad push costs a stream only itself, and says which field", async () => {
    const [unsaid, invalid, unsupported] = ["FINGERPRINT_MISMATCH", "INVALID_FIELD", "UNSUPPORTED"];
    const uploadId = Buffer.alloc(16);
    const bad = [
      [{ fingerprint: undefined }, unsaid, "fingerprint: needs a fingerprint, its own or the batch's"],
      [{ group: -1 }, invalid, "group:"],
      [{ modifyTimeUs: -1 }, invalid, "modify_time_us:"],
      [{ revisionSeen: -1 }, invalid, "revision_seen:"],
      [{ uploadId }, unsupported, "upload_id:"],
      [{ uploadId, content: undefined, fingerprint: undefined }, unsupported, "upload_id:"],
    ] as const;
    const stream = test.exchange();
    stream.open({ collection });
    stream.send(batch([...bad.map(([more], index) => upsert(`bad-${index}`, "1", more)), upsert("good", "2")]));
    await stream.next("opened");
    const { verdicts } = await stream.skipTo("verdicts");
    const said = verdicts.map(({ outcome, reason, message }) => [outcome, reasonName(reason), message]);
    expect(said).toEqual([
      ...bad.map(([, reason, words]) => [PushOutcome.PUSH_OUTCOME_REJECTED, reason, expect.stringContaining(words)]),
      [PushOutcome.PUSH_OUTCOME_APPLIED, "UNSPECIFIED", ""],
    ]);
    stream.end();
  });

  it.each(cases)("%s ends the exchange, and nothing else", async (_, act, code, reason, fields = []) => {
    await test.api.batchWriteItems({ collection, pushes: [upsert("kept", "as it was")] });
    const before = await state();
    const stream = test.exchange();
    act(stream);
    expect(toRefusal(await stream.status())).toMatchObject({ code, reason, fields });
    expect(await state()).toEqual(before);
  });
});
