import { create, createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { connect, METHODS } from "../../../client/connection.js";
import { TercetError } from "../../../client/error.js";
import type { Content } from "../../../core/content.js";
import { fingerprintOf, toFingerprint } from "../../../core/fingerprint.js";
import { createRangeSum, sameTotal, totalOf } from "../../../core/range-sum.js";
import {
  ServerReflectionRequest,
  type ServerReflectionResponse,
  ServerReflectionService,
} from "../../../gen/grpc/reflection/v1/reflection.js";
import type { RangeFingerprint } from "../../../gen/tercet/v1/item.js";
import {
  BatchWriteItemsRequest,
  DeleteItemRequest,
  ListChangesRequest,
  WriteItemRequest,
} from "../../../gen/tercet/v1/item_service.js";
import { Push, PushOutcome } from "../../../gen/tercet/v1/sync.js";
import { holds, same, sameSet } from "../expect.js";
import { pushOf } from "../server-api.js";
import type { ServerCase, ServerPlace } from "../server-place.js";

const any = { state: { $case: "any", value: true } } as const;
const absent = { state: { $case: "absent", value: true } } as const;
const print = (id: string, content: string) => toFingerprint(fingerprintOf(id, content));

/** The three steps by plain calls, repeatable calls, reflection and health. */
export const unaryCases: readonly ServerCase[] = [
  { name: "server/unary/three-steps", run: (place) => threeSteps(place, "SERVER") },
  { name: "server/unary/three-steps-client", run: (place) => threeSteps(place, "CLIENT") },
  {
    name: "server/unary/write-with-preconditions",
    async run(place) {
      const collection = await place.collection();
      await withCalls(place, async ({ unary }) => {
        const write = (content: string, precondition: WriteItemRequest["precondition"]) => {
          const item = { id: "x", content: { $case: "text", value: content } } as const;
          return unary(METHODS.writeItem, WriteItemRequest.create({ collection, item, precondition }));
        };
        same("created", (await write("1", { ...absent, revisionSeen: undefined })).change, { id: "x", revision: 1 });
        await refusedBy(write("2", { ...absent, revisionSeen: undefined }), "PRECONDITION_FAILED");
        const one = { $case: "fingerprint", value: print("x", "1") } as const;
        same("changed", (await write("2", { state: one, revisionSeen: undefined })).change, { revision: 2 });
        await refusedBy(write("3", { state: one, revisionSeen: undefined }), "PRECONDITION_FAILED");
        same("repeated", (await write("2", { state: one, revisionSeen: undefined })).change, { revision: 2 });
        same("any", (await write("3", { ...any, revisionSeen: undefined })).change, { revision: 3 });
        const records = await place.api.conflicts(collection);
        same("what was overwritten", records, [{ id: "x", content: { value: "2" }, standard: 0 }]);
        const gone = DeleteItemRequest.create({
          collection,
          id: "x",
          precondition: { ...any, revisionSeen: undefined },
        });
        same("deleted", (await unary(METHODS.deleteItem, gone)).change, { kind: 2, revision: 4 });
      });
    },
  },
  {
    name: "server/unary/calls-can-be-repeated",
    async run(place) {
      const collection = await place.collection();
      await withCalls(place, async ({ unary }) => {
        const pushes = [Push.create(pushOf("x", "1"))];
        const request = BatchWriteItemsRequest.create({ collection, pushes, requestId: "the same" });
        const first = await unary(METHODS.batchWriteItems, request);
        await place.api.edit(collection, { x: "2" });
        same("repeated", await unary(METHODS.batchWriteItems, request), first);
        const other = BatchWriteItemsRequest.create({ ...request, pushes: [Push.create(pushOf("x", "3"))] });
        await refusedBy(unary(METHODS.batchWriteItems, other), "REQUEST_ID_REUSED");
        same("content", (await place.api.getContents(collection, ["x"])).get("x"), "2");
      });
    },
  },
  {
    name: "server/unary/contents-by-offset-and-length",
    async run(place) {
      const collection = await place.collection();
      await place.api.edit(collection, { x: "0123456789" });
      await withCalls(place, async ({ unary }) => {
        const { item } = await unary(METHODS.getItem, { collection, id: "x", offset: 3, length: 4 });
        same("item", item, { offset: 3, size: 10, content: { value: "3456" } });
        await refusedBy(unary(METHODS.getItem, { collection, id: "x", offset: 11, length: 1 }), "INVALID_FIELD");
      });
    },
  },
  {
    name: "server/unary/batch-get-tells-what-is-missing",
    async run(place) {
      const collection = await place.collection();
      await place.api.edit(collection, { a: "1", b: "1" });
      await withCalls(place, async ({ unary }) => {
        const answer = await unary(METHODS.batchGetItems, { collection, ids: ["b", "none", "a"] });
        same(
          "items",
          answer.items.map(({ id }) => id),
          ["b", "a"],
        );
        same("missing", answer.missing, ["none"]);
      });
    },
  },
  {
    name: "server/unary/lists-in-the-order-of-bytes",
    async run(place) {
      const collection = await place.collection();
      const ids = ["a", "é", "\uffff", "\u{10000}", "\u{1f600}"];
      await place.api.edit(collection, Object.fromEntries([...ids].reverse().map((id) => [id, "1"])));
      same("ids", [...(await place.api.listItems(collection)).keys()], ids);
    },
  },
  {
    name: "server/unary/compare-ranges",
    async run(place) {
      const collection = await place.collection();
      await place.api.edit(collection, { a: "1", b: "2" });
      await withCalls(place, async ({ unary }) => {
        const items = Buffer.concat([fingerprintOf("a", "1").subarray(0, 8), fingerprintOf("b", "1").subarray(0, 8)]);
        const ranges = { ends: undefined, kinds: [2 as const], counts: [2], sums: Buffer.alloc(0), items };
        const request = { collection, ranges, lineage: [], inlineBytes: 10, collectionUid: Buffer.alloc(0) };
        const { answers } = await unary(METHODS.compareRanges, request);
        same("outcomes", answers?.outcomes, [3]);
        same("what differs", answers?.lists[0], { items: [{ id: "b", content: { value: "2" } }], differing: [1] });
      });
    },
  },
  { name: "server/discovery/reflection-is-complete", run: reflection },
  {
    name: "server/discovery/health",
    async run(place) {
      for (const service of ["", "tercet.v1.SyncService", "tercet.v1.ItemService"]) {
        const name = Buffer.from(service);
        const request = name.length === 0 ? name : Buffer.concat([Buffer.from([0x0a, name.length]), name]);
        const said = await place.call("/grpc.health.v1.Health/Check", request);
        same(`health of "${service}"`, "answer" in said ? said.answer : said.error.details, Buffer.from([0x08, 0x01]));
      }
    },
  },
];

type Calls = ReturnType<typeof connect>;

async function withCalls(place: ServerPlace, work: (calls: Calls) => Promise<void>): Promise<void> {
  const calls = connect(place.address);
  try {
    await work(calls);
  } finally {
    await calls.close();
  }
}

async function refusedBy(call: Promise<unknown>, reason: string): Promise<void> {
  const error = await call.then(
    () => undefined,
    (each: unknown) => each,
  );
  if (error !== undefined && !(error instanceof TercetError)) throw error;
  same("error", { reason: error?.reason ?? "none" }, { reason });
}

/** What a script knows: items by id with the server's state, and changes of its own. */
async function threeSteps(place: ServerPlace, standard: "SERVER" | "CLIENT"): Promise<void> {
  const collection = await place.collection();
  const large = "x".repeat(5000);
  await place.api.edit(collection, { kept: "1", both: "1", deleted: "1", mine: "1" });
  await withCalls(place, async (calls) => {
    const known = new Map<string, Content>();
    let since = await listChanges(calls, collection, Buffer.alloc(0), known);
    same("first proof", proves(since.proof, known), true);
    await place.api.edit(collection, { both: "theirs", deleted: null, large });
    const pending: Readonly<Record<string, Content>> = { both: "mine", mine: "2", own: "1" };
    const before = new Map(known);
    since = await listChanges(calls, collection, since.token, known);
    const pushes = Object.entries(pending).flatMap(([id, content]) => {
      const theirs = known.get(id);
      const conflict = theirs !== before.get(id);
      if (conflict && standard === "SERVER") return [];
      const expected = theirs === undefined ? undefined : print(id, String(theirs));
      return [Push.create({ ...pushOf(id, content), expected, overrides: conflict ? 2 : 0 })];
    });
    const request = BatchWriteItemsRequest.create({ collection, pushes, revisionSeen: since.revision });
    const { verdicts } = await calls.unary(METHODS.batchWriteItems, request);
    same(
      "verdicts",
      verdicts.every(({ outcome }) => outcome === PushOutcome.PUSH_OUTCOME_APPLIED),
      true,
    );
    since = await listChanges(calls, collection, since.token, known);
    same("last proof", proves(since.proof, known), true);
    const ends = { kept: "1", both: standard === "SERVER" ? "theirs" : "mine", mine: "2", own: "1", large };
    same("items", Object.fromEntries(known), ends);
    sameSet("ids", [...known.keys()], Object.keys(ends));
  });
  const records = (await place.api.conflicts(collection)).map(({ id, content }) => [id, content?.value]);
  same("records", records, standard === "SERVER" ? [] : [["both", "theirs"]]);
}

interface Since {
  readonly token: Buffer;
  readonly revision: number;
  readonly proof: RangeFingerprint | undefined;
}

/** Takes all changes since a token, page by page, and contents that did not come inline. */
async function listChanges(
  calls: Calls,
  collection: string,
  from: Buffer,
  known: Map<string, Content>,
): Promise<Since> {
  for (let token = from; ; ) {
    const request = ListChangesRequest.create({ collection, token, pageSize: 2, inlineBytes: 100 });
    const { changes, checkpoint, end, proof } = await calls.unary(METHODS.listChanges, request);
    holds("every page has a checkpoint", checkpoint !== undefined && checkpoint.token.length > 0);
    const wanted = changes.filter(({ kind, content }) => kind === 1 && content === undefined).map(({ id }) => id);
    for (const { id, kind, content } of changes) {
      if (kind === 2) known.delete(id);
      else if (content !== undefined) known.set(id, content.value);
    }
    if (wanted.length > 0) {
      const { items } = await calls.unary(METHODS.batchGetItems, { collection, ids: wanted });
      for (const { id, content } of items) if (content !== undefined) known.set(id, content.value);
    }
    token = checkpoint?.token ?? token;
    if (end) return { token, revision: checkpoint?.revision ?? 0, proof };
  }
}

function proves(proof: RangeFingerprint | undefined, items: ReadonlyMap<string, Content>): boolean {
  const sum = createRangeSum();
  for (const [id, content] of items) sum.add(fingerprintOf(id, content));
  return sameTotal(proof, totalOf(sum));
}

/** The files that reflection gives are all there is to know, and agree with one another. */
async function reflection(place: ServerPlace): Promise<void> {
  const ask = (question: NonNullable<ServerReflectionRequest["messageRequest"]>): Promise<ServerReflectionResponse> => {
    const { path, requestSerialize, responseDeserialize } = ServerReflectionService.serverReflectionInfo;
    const stream = place.client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    return new Promise((resolve, reject) => {
      stream.on("data", resolve);
      stream.on("error", reject);
      stream.write({ ...ServerReflectionRequest.create(), messageRequest: question });
      stream.end();
    });
  };
  const listed = await ask({ $case: "listServices", value: "" });
  const services = listed.messageResponse?.$case === "listServicesResponse" ? listed.messageResponse.value.service : [];
  const names = services.map(({ name }) => name);
  for (const service of ["SyncService", "ItemService", "CollectionService"]) {
    holds(`${service} is listed`, names.includes(`tercet.v1.${service}`), names);
    const found = await ask({ $case: "fileContainingSymbol", value: `tercet.v1.${service}` });
    const files =
      found.messageResponse?.$case === "fileDescriptorResponse" ? found.messageResponse.value.fileDescriptorProto : [];
    const file = files.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
    const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: file.reverse() }));
    holds(`${service} can be built of its files`, registry.getService(`tercet.v1.${service}`) !== undefined);
  }
}
