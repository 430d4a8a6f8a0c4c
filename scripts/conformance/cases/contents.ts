import type { Content } from "../../../core/content.js";
import type { Case } from "../case.js";
import { same } from "../expect.js";
import { COLLECTION, NOON_US, type Place } from "../place.js";

const ALL_BYTES = Buffer.from(Array.from({ length: 256 }, (_, at) => at));
const KIB = 1024;

/** Contents that go from one replica to another as they are. */
const CONTENTS: Readonly<Record<string, Content>> = {
  "empty-text": "",
  "empty-bytes": Buffer.alloc(0),
  "all-bytes": ALL_BYTES,
  "zero-bytes": Buffer.alloc(1000),
  "bytes-that-are-no-utf8": Buffer.from([0xff, 0xfe, 0xc0, 0x80, 0xed, 0xa0, 0x80]),
  "text-in-many-scripts": "Zürich Αθήνα Москва القاهرة 東京 서울 😀 \u{10ffff}",
  "text-with-control-characters": "a\0b\tc\r\nd\u001be\u007f\u0085",
  "text-with-byte-order-mark": "\ufefftext",
  "text-with-noncharacters": "\ufffd\uffff\ufdd0",
  "text-that-looks-like-json": '{"a": "\\u0000", "b": [1e400]}',
  "at-the-inline-limit": "x".repeat(16 * KIB),
  "above-the-inline-limit": "x".repeat(16 * KIB + 1),
  "bytes-above-the-inline-limit": Buffer.alloc(16 * KIB + 1, ALL_BYTES),
  "above-the-inline-limit-in-bytes-only": "ü".repeat(8 * KIB + 1),
  "larger-than-a-message-part": "x".repeat(300 * KIB),
  "1-MiB": "x".repeat(KIB * KIB),
};

/** Contents, and what is said of them. */
export const contentCases: readonly Case[] = [
  ...Object.entries(CONTENTS).map(([name, content]): Case => {
    return { name: `content/${name}`, run: (place) => thereAndBack(place, content) };
  }),
  {
    name: "content/text-and-bytes-are-the-same",
    async run(place) {
      const replica = await place.equal({ kept: "kept" });
      await place.elsewhere({ x: Buffer.from("schön"), y: "schön" });
      await replica.change({ x: "schön", y: Buffer.from("schön") });
      same("report", await place.sync(replica), { settled: 2, sent: 0, received: 0, conflicts: [], verified: true });
      await place.ends(replica, { items: { kept: "kept", x: "schön", y: "schön" } });
    },
  },
  {
    name: "content/changed-from-text-to-other-bytes",
    async run(place) {
      const replica = await place.equal({ x: "text" });
      await replica.put("x", ALL_BYTES);
      same("report", await place.sync(replica), { sent: 1, verified: true });
      const other = await place.replica();
      await place.sync(other);
      same("content", await other.get("x"), ALL_BYTES);
    },
  },
  {
    name: "content/put-as-it-was-is-settled",
    async run(place) {
      const replica = await place.equal({ x: "same" });
      await replica.change({ x: "other" });
      await replica.change({ x: "same" });
      const report = await place.sync(replica);
      same("report", report, { received: 0, conflicts: [], verified: true });
      await place.ends(replica, { items: { x: "same" } });
    },
  },
  {
    name: "content/created-and-deleted-before-it-was-sent",
    async run(place) {
      const replica = await place.equal({ kept: "kept" });
      await replica.change({ x: "mine" });
      await replica.change({ x: null });
      const report = await place.sync(replica);
      same("report", report, { sent: 0, sent_deletions: 0, conflicts: [], verified: true });
      await place.ends(replica, { items: { kept: "kept" } });
    },
  },
  {
    name: "content/modify-time-travels",
    async run(place) {
      await place.setClock(NOON_US);
      const one = await place.equal({ kept: "kept" });
      await place.setTesteeClock(NOON_US + 5_000_000);
      await one.put("x", "mine");
      await place.setClock(NOON_US + 10_000_000);
      await place.sync(one);
      const two = await place.replica();
      await place.sync(two);
      for (const each of [one, two])
        same("item", await each.item("x"), { modify_time_us: NOON_US + 5_000_000, pending: false });
    },
  },
];

async function thereAndBack(place: Place, content: Content): Promise<void> {
  const one = await place.equal({ kept: "kept" });
  await one.put("x", content);
  same("sent", await place.sync(one), { sent: 1, verified: true });
  const two = await place.replica();
  same("received", await place.sync(two), { received: 2, verified: true });
  for (const each of [one, two])
    same("content", await each.get("x"), typeof content === "string" ? content : Buffer.from(content));
  const there = await (await place.server()).api.getContents(COLLECTION, ["x"]);
  same("content at the server", there.get("x"), typeof content === "string" ? content : Buffer.from(content));
  await place.ends(two, { items: { kept: "kept", x: content } });
}
