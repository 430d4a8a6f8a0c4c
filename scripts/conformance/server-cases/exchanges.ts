import type { Content } from "../../../core/content.js";
import { fingerprintOf } from "../../../core/fingerprint.js";
import { createRangeSum, sameTotal, totalOf } from "../../../core/range-sum.js";
import {
  Capability,
  type ChangePage,
  Fetch,
  Limits,
  Open,
  Push,
  PushBatch,
  RangeKind,
} from "../../../gen/tercet/v1/sync.js";
import { holds, same } from "../expect.js";
import { sameRefusal } from "../refusal.js";
import { encodeRequest } from "../relay.js";
import { pushOf } from "../server-api.js";
import type { ServerCase, ServerPlace } from "../server-place.js";

/** What a server says in an exchange, and in which order. */
export const exchangeCases: readonly ServerCase[] = [
  {
    name: "server/exchange/a-proof-for-each-done",
    async run(place) {
      const collection = await place.collection();
      const stream = place.stream();
      stream.open({ collection });
      for (let at = 0; at < 3; at++) stream.done();
      stream.end();
      await stream.next("opened");
      for (let at = 0; at < 3; at++) await stream.untilProof();
      same("status", (await stream.status()).code, 0);
    },
  },
  {
    name: "server/exchange/what-opened-says",
    async run(place) {
      const collection = await place.collection();
      await place.api.edit(collection, { a: "1", b: "1" });
      const stream = place.stream();
      stream.open({ collection, capabilities: [Capability.CAPABILITY_CHUNKS, 77 as 1, 0] });
      stream.done();
      const opened = await stream.next("opened");
      const { uid, revision } = await place.api.getCollection(collection);
      same("opened", opened, { collectionUid: uid, standard: 1, tokenRefused: 0, head: revision, count: 2 });
      same("capabilities", opened.capabilities, [Capability.CAPABILITY_CHUNKS]);
      holds("server time", opened.serverTimeUs > 1e15, opened.serverTimeUs);
      holds("lineage", opened.lineage.every(({ id }) => id.length === 8) && opened.lineage.length > 0);
      stream.end();
    },
  },
  {
    name: "server/exchange/first-pull",
    async run(place) {
      const items = { b: "1", a: "2", c: Buffer.from([1, 2]), gone: "1" };
      const collection = await place.collection();
      await place.api.edit(collection, items);
      await place.api.edit(collection, { gone: null, a: "3" });
      const { pages } = await pull(place, { collection });
      const changes = pages.flatMap(filled);
      // Deletions from before the pull began are left out.
      same(
        "changes",
        changes.map(({ id, content }) => [id, content]),
        [
          ["b", "1"],
          ["c", Buffer.from([1, 2])],
          ["a", "3"],
        ],
      );
      same("proof", proves(pages, { b: "1", c: Buffer.from([1, 2]), a: "3" }), true);
    },
  },
  {
    name: "server/exchange/goes-on-from-a-token",
    async run(place) {
      const collection = await place.collection();
      await place.api.edit(collection, { a: "1", b: "1" });
      const first = await pull(place, { collection });
      const token = first.pages.at(-1)?.checkpoint?.token ?? Buffer.alloc(0);
      await place.api.edit(collection, { a: null, c: "1" });
      const { pages } = await pull(place, { collection, token });
      const changes = pages.flatMap(({ changes: each }) => each.map(({ id, kind }) => [id, kind]));
      same("changes", changes, [
        ["a", 2],
        ["c", 1],
      ]);
      const again = await pull(place, { collection, token: pages.at(-1)?.checkpoint?.token ?? Buffer.alloc(0) });
      same("nothing more", again.pages.flatMap(({ changes: each }) => each).length, 0);
    },
  },
  {
    name: "server/exchange/checkpoint-on-every-page-and-an-end",
    async run(place) {
      const collection = await place.collection();
      const items = Object.fromEntries(Array.from({ length: 60 }, (_, at) => [`item-${at}`, `${at}`.repeat(1000)]));
      await place.api.edit(collection, items);
      const { pages } = await pull(place, { collection, limits: Limits.create({ messageBytes: 16 * 1024 }) });
      holds("several pages", pages.length > 2, pages.length);
      same(
        "checkpoints",
        pages.every(({ checkpoint }) => (checkpoint?.token.length ?? 0) > 0),
        true,
      );
      const revisions = pages.map(({ checkpoint }) => checkpoint?.revision ?? 0);
      same(
        "revisions",
        revisions,
        [...revisions].sort((a, b) => a - b),
      );
      // Where Done was read after the end had been told, the proof follows on a page of its own, without changes.
      const afterEnd = pages.slice(pages.findIndex(({ end }) => end) + 1);
      holds("ends", afterEnd.length < pages.length && afterEnd.length <= 1, afterEnd.length);
      same("changes after the end", afterEnd.flatMap(({ changes }) => changes).length, 0);
      same("proof", proves(pages, items), true);
    },
  },
  {
    name: "server/exchange/page-never-cuts-a-commit",
    async run(place) {
      const collection = await place.collection();
      const items = Object.fromEntries(Array.from({ length: 60 }, (_, at) => [`item-${at}`, `${at}`.repeat(1000)]));
      await place.api.edit(collection, items, { group: true });
      const { pages } = await pull(place, { collection, limits: Limits.create({ messageBytes: 16 * 1024 }) });
      const counts = pages.map(({ changes }) => changes.length).filter((count) => count > 0);
      same("changes of the page with the commit", counts, [60]);
    },
  },
  {
    name: "server/exchange/own-pushes-are-not-echoed",
    async run(place) {
      const collection = await place.collection();
      const stream = place.stream();
      stream.open({ collection });
      const pushes = [Push.create(pushOf("mine", "1"))];
      stream.send({ $case: "push", value: PushBatch.create({ pushes, revisionSeen: 0 }) });
      stream.done();
      await stream.next("opened");
      const { verdicts, pages } = await stream.untilProof();
      same("verdicts", verdicts, [{ ordinal: 0, count: 1, outcome: 1, revision: 1 }]);
      same("changes", pages.flatMap(({ changes }) => changes).length, 0);
      same("proof", proves(pages, { mine: "1" }), true);
      stream.end();
      const { pages: others } = await pull(place, { collection });
      same(
        "changes for others",
        others.flatMap(({ changes }) => changes.map(({ id }) => id)),
        ["mine"],
      );
    },
  },
  {
    name: "server/exchange/fetch-answers-in-order",
    async run(place) {
      const collection = await place.collection();
      await place.api.edit(collection, { a: "1", b: "2", c: "3" });
      await place.api.edit(collection, { b: null });
      const stream = place.stream();
      stream.open({ collection, limits: Limits.create({ inlineBytes: 1 }) });
      const items = ["c", "b", "never", "a"].map((id) => ({ id, offset: 0, revision: 0 }));
      stream.send({ $case: "fetch", value: Fetch.create({ items }) });
      stream.done();
      await stream.next("opened");
      const contents: string[] = [];
      const deleted: string[] = [];
      while (contents.length + deleted.length < 4) {
        const message = await stream.skipTo("contents");
        contents.push(...message.items.map(({ id, content }) => `${id} ${String(content?.value)}`));
        deleted.push(...message.deleted.map(({ id }) => id));
      }
      same("contents", contents, ["c 3", "a 1"]);
      same("deleted", deleted, ["b", "never"]);
      stream.end();
    },
  },
  {
    name: "server/exchange/larger-contents-are-not-inline",
    async run(place) {
      const collection = await place.collection();
      await place.api.edit(collection, { small: "12", large: "123" });
      const { pages } = await pull(place, { collection, limits: Limits.create({ inlineBytes: 2 }) });
      const changes = pages.flatMap(({ changes: each }) => each);
      const inline = changes.filter(({ content }) => content !== undefined).map(({ id }) => id);
      same("inline", inline, ["small"]);
      const large = changes.find(({ id }) => id === "large");
      same("large", large, { size: 3, fingerprint: { value: fingerprintOf("large", "123") } });
    },
  },
  {
    name: "server/exchange/create",
    async run(place) {
      const collection = place.name("created");
      const { pages } = await pull(place, { collection, create: true });
      same("proof", proves(pages, {}), true);
      same("name", (await place.api.getCollection(collection)).name, collection);
      await place.api.deleteCollection(collection);
    },
  },
  {
    name: "server/exchange/deleted-collection",
    async run(place) {
      const collection = await place.collection();
      const { uid } = await place.api.getCollection(collection);
      await place.api.deleteCollection(collection);
      const stream = place.stream();
      stream.open({ collection, collectionUid: uid, create: true });
      const expected = { code: "FAILED_PRECONDITION", reason: "COLLECTION_DELETED" };
      sameRefusal("refusal", await stream.status(), expected);
    },
  },
  {
    name: "server/exchange/compacted-token-is-refused-and-recovered",
    async run(place) {
      const collection = await place.collection();
      await place.api.edit(collection, { a: "1", b: "1" });
      const first = await pull(place, { collection });
      const token = first.pages.at(-1)?.checkpoint?.token ?? Buffer.alloc(0);
      await place.api.edit(collection, { a: null });
      await place.api.compact(collection);
      const stream = place.stream();
      stream.open({ collection, token, capabilities: [Capability.CAPABILITY_RECONCILE] });
      const { tokenRefused } = await stream.next("opened");
      same("reason", tokenRefused, 22);
      const query = {
        ends: undefined,
        kinds: [RangeKind.RANGE_KIND_ITEMS],
        counts: [0],
        sums: Buffer.alloc(0),
        items: Buffer.alloc(0),
      };
      stream.send({ $case: "recover", value: { lineage: [] } }, { $case: "ranges", value: query });
      stream.done();
      const answers = await stream.next("ranges");
      const listed = answers.lists.flatMap(({ items }) => items.map(({ id }) => id));
      same("items", listed, ["b"]);
      const { pages } = await stream.untilProof();
      same("proof", proves(pages, { b: "1" }), true);
      stream.end();
      same("status", (await stream.status()).code, 0);
    },
  },
  {
    name: "server/exchange/unknown-fields-and-messages-are-ignored",
    async run(place) {
      const collection = await place.collection();
      await place.api.edit(collection, { a: "1" });
      const unknown = Buffer.from([0xfa, 0x3f, 0x02, 0x68, 0x69]);
      const open = Open.create({ collection, capabilities: [77 as 1] });
      const stream = place.stream();
      stream.sendRaw(Buffer.concat([encodeRequest({ $case: "open", value: open }), unknown]));
      stream.sendRaw(unknown);
      stream.sendRaw(Buffer.alloc(0));
      stream.done();
      await stream.next("opened");
      same("proof", proves((await stream.untilProof()).pages, { a: "1" }), true);
      stream.end();
      same("status", (await stream.status()).code, 0);
    },
  },
  {
    name: "server/exchange/garbage-for-a-message",
    async run(place) {
      const stream = place.stream();
      stream.open({ collection: await place.collection() });
      stream.sendRaw(Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]));
      const expected = { code: "INVALID_ARGUMENT", reason: "MALFORMED_MESSAGE" };
      sameRefusal("refusal", await stream.status(), expected);
    },
  },
  {
    name: "server/exchange/message-over-4-MiB",
    async run(place) {
      const stream = place.stream();
      stream.open({ collection: await place.collection() });
      stream.sendRaw(Buffer.alloc(4 * 1024 * 1024 + 1));
      sameRefusal("refusal", await stream.status(), { code: "RESOURCE_EXHAUSTED", reason: "" });
    },
  },
];

async function pull(place: ServerPlace, open: Partial<Open>): Promise<{ readonly pages: readonly ChangePage[] }> {
  const stream = place.stream();
  stream.open(open);
  stream.done();
  const opened = await stream.next("opened");
  same("token refused", opened.tokenRefused, 0);
  const { pages } = await stream.untilProof();
  stream.end();
  same("status", (await stream.status()).code, 0);
  return { pages };
}

/** Changes of a page with what was left out filled in. */
function filled({ changes }: ChangePage): { readonly id: string; readonly content: Content | undefined }[] {
  return changes.map(({ id, content }) => ({ id, content: content?.value }));
}

function proves(pages: readonly ChangePage[], items: Readonly<Record<string, Content>>): boolean {
  const sum = createRangeSum();
  for (const [id, content] of Object.entries(items)) sum.add(fingerprintOf(id, content));
  return sameTotal(pages.at(-1)?.proof, totalOf(sum));
}
