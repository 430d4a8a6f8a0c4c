import { createCipheriv, createHash } from "node:crypto";
import type { Content } from "../../../core/content.js";
import type { Case } from "../case.js";
import { holds, same } from "../expect.js";
import type { Place } from "../place.js";
import { refused } from "../place.js";
import { encodeRequest, type RelayPlan } from "../relay.js";
import type { TesteeReplica } from "../testee-replica.js";

const MIB = 1024 * 1024;

/** Bytes that do not repeat, from a seed: a key stream, for they are made whenever the kit starts. */
function bytesOf(seed: string, size: number): Buffer {
  const key = createHash("sha256").update(seed).digest();
  return createCipheriv("aes-256-ctr", key, Buffer.alloc(16)).update(Buffer.alloc(size));
}

const MINE = bytesOf("mine", 2.5 * MIB);
const THEIRS = bytesOf("theirs", 2.25 * MIB);
const TEXT = "Zürich 東京 😀 ".repeat(75_000);

/** Contents over 1 MiB, which travel in chunks. */
export const largeCases: readonly Case[] = [
  ...[
    { name: "bytes", content: MINE },
    { name: "text", content: TEXT },
    { name: "1-MiB-and-a-byte", content: bytesOf("limit", MIB + 1) },
  ].flatMap(({ name, content }): Case[] => [
    { name: `large/pushed-${name}`, run: (place) => pushed(place, content) },
    { name: `large/pulled-${name}`, run: (place) => pulled(place, content) },
  ]),
  {
    name: "large/among-small-ones",
    async run(place) {
      const source = await withLarge(place, { large: MINE, a: "1", z: "1" });
      const replica = await place.replica();
      await replica.change({ own: "1", "own-large": TEXT });
      const report = await place.sync(replica);
      same("report", report, { received: 4, sent: 2, verified: true });
      await place.sync(source);
      const items = { kept: "kept", a: "1", z: "1", large: MINE, own: "1", "own-large": TEXT };
      for (const each of [source, replica]) await place.ends(each, { items });
    },
  },
  {
    name: "large/many-within-the-window",
    async run(place) {
      place.needs("chunks");
      const windowBytes = 2 * MIB;
      await (await place.server()).restart({ limits: { windowBytes } });
      const replica = await place.equal({ kept: "kept" });
      const items = Object.fromEntries(
        ["a", "b", "c", "d", "e", "f", "g", "h"].map((id) => [id, bytesOf(id, 1.25 * MIB)]),
      );
      await replica.change(items);
      let most = 0;
      const relay = await place.relay(uncovered((bytes) => (most = Math.max(most, bytes))));
      same("report", await replica.sync({ server: relay.address }), { sent: 8, verified: true });
      holds("chunks without an UploadState are within window_bytes", most <= windowBytes, most);
      await place.ends(replica, { items: { kept: "kept", ...items } });
    },
  },
  {
    name: "large/becomes-small-and-large-again",
    async run(place) {
      const one = await withLarge(place, { x: MINE });
      const two = await place.replica();
      await place.sync(two);
      await one.put("x", "small");
      await place.sync(one);
      same("small", await place.sync(two), { received: 1, verified: true });
      await two.put("x", THEIRS);
      same("large", await place.sync(two), { sent: 1, verified: true });
      same("large", await place.sync(one), { received: 1, verified: true });
      await place.ends(one, { items: { kept: "kept", x: THEIRS } });
    },
  },
  {
    name: "large/deleted",
    async run(place) {
      const one = await withLarge(place, { x: MINE });
      const two = await place.replica();
      await place.sync(two);
      await one.delete("x");
      await place.sync(one);
      same("report", await place.sync(two), { deleted: 1, verified: true });
      await place.ends(two, { items: { kept: "kept" } });
    },
  },
  ...(["SERVER", "CLIENT"] as const).map((standard): Case => {
    return { name: `large/conflict-${standard.toLowerCase()}`, run: (place) => conflict(place, standard) };
  }),
  {
    name: "large/same-change-on-both-sides-moves-nothing",
    async run(place) {
      const one = await withLarge(place, { x: MINE });
      const two = await place.replica();
      await two.put("x", MINE);
      let bytes = 0;
      const relay = await place.relay(counting((each) => (bytes += each)));
      same("report", await two.sync({ server: relay.address }), { settled: 1, conflicts: [], verified: true });
      holds("equal fingerprints move no content", bytes < MIB / 4, bytes);
      await place.ends(one, { items: { kept: "kept", x: MINE } });
    },
  },
  {
    name: "large/upload-that-was-cut",
    async run(place) {
      place.needs("chunks");
      const replica = await place.equal({ kept: "kept" });
      await replica.put("x", MINE);
      let chunks = 0;
      const relay = await place.relay({ up: ({ $case }) => ($case === "chunk" && ++chunks > 8 ? "cut" : undefined) });
      await refused(replica.sync({ server: relay.address }), { reason: "" });
      same("report", await place.sync(replica), { sent: 1, conflicts: [], verified: true });
      await place.ends(replica, { items: { kept: "kept", x: MINE } });
    },
  },
  {
    name: "large/download-that-was-cut",
    async run(place) {
      await withLarge(place, { x: MINE });
      const replica = await place.replica();
      let chunks = 0;
      const relay = await place.relay({ down: ({ $case }) => ($case === "chunk" && ++chunks > 8 ? "cut" : undefined) });
      await refused(replica.sync({ server: relay.address }), { reason: "" });
      same("content before it is whole", await replica.item("x"), null);
      same("verified", (await place.sync(replica)).verified, true);
      await place.ends(replica, { items: { kept: "kept", x: MINE } });
    },
  },
  {
    name: "large/changed-there-between-two-chunks",
    async run(place) {
      const source = await withLarge(place, { x: MINE });
      const replica = await place.replica();
      let chunks = 0;
      const relay = await place.relay({
        async down({ $case }) {
          if ($case === "chunk" && ++chunks === 2) await place.elsewhere({ x: "small by now" });
          return undefined;
        },
      });
      same("verified", (await replica.sync({ server: relay.address })).verified, true);
      await place.sync(replica);
      await place.sync(source);
      for (const each of [replica, source]) await place.ends(each, { items: { kept: "kept", x: "small by now" } });
    },
  },
  { name: "large/chunk-damaged-once", run: (place) => damaged(place, 1) },
  {
    name: "large/chunk-damaged-every-time",
    async run(place) {
      const { replica, exchange } = await damage(place, Number.POSITIVE_INFINITY);
      await refused(exchange, { code: "DATA_LOSS", reason: "UNVERIFIED" });
      same("content that was never right", await replica.item("x"), null);
      same("verified", (await place.sync(replica)).verified, true);
      await place.ends(replica, { items: { kept: "kept", x: MINE } });
    },
  },
];

/** A replica that has put large contents to the server. */
async function withLarge(place: Place, items: Readonly<Record<string, Content>>): Promise<TesteeReplica> {
  place.needs("chunks");
  const replica = await place.equal({ kept: "kept" });
  await replica.change(items);
  const count = Object.keys(items).length;
  same("pushed", await place.sync(replica), { sent: count, conflicts: [], verified: true });
  return replica;
}

/** Tells of the bytes of chunks that no UploadState has covered yet. */
function uncovered(tell: (bytes: number) => void): RelayPlan {
  const sent = new Map<string, number>();
  const held = new Map<string, number>();
  const sum = (each: ReadonlyMap<string, number>) => [...each.values()].reduce((total, bytes) => total + bytes, 0);
  return {
    lockstep: true,
    up(message) {
      if (message.$case !== "chunk") return undefined;
      const { uploadId, offset, data } = message.value;
      sent.set(uploadId.toString("hex"), offset + data.length);
      tell(sum(sent) - sum(held));
      return undefined;
    },
    down(message) {
      if (message.$case === "upload") held.set(message.value.uploadId.toString("hex"), message.value.offset);
      return undefined;
    },
  };
}

/** No message may be over what every gRPC implementation takes. */
function counting(count: (bytes: number) => void): RelayPlan {
  return {
    up(message) {
      const { length } = encodeRequest(message);
      count(length);
      holds("a message must not be over 4 MiB", length <= 4 * MIB, length);
      return undefined;
    },
  };
}

async function pushed(place: Place, content: Content): Promise<void> {
  place.needs("chunks");
  const replica = await place.equal({ kept: "kept" });
  await replica.put("x", content);
  let largest = 0;
  const relay = await place.relay(
    counting((bytes) => {
      largest = Math.max(largest, bytes);
    }),
  );
  same("report", await replica.sync({ server: relay.address }), { sent: 1, verified: true });
  holds("chunks of at most about message_bytes", largest <= 160 * 1024, largest);
  await place.ends(replica, { items: { kept: "kept", x: content } });
}

async function pulled(place: Place, content: Content): Promise<void> {
  await withLarge(place, { x: content });
  const replica = await place.replica();
  same("report", await place.sync(replica), { received: 2, verified: true });
  same("content", await replica.get("x"), content);
  await place.ends(replica, { items: { kept: "kept", x: content } });
}

async function conflict(place: Place, standard: "SERVER" | "CLIENT"): Promise<void> {
  const one = await withLarge(place, { x: "old" });
  const two = await place.replica();
  await place.sync(two);
  await one.put("x", THEIRS);
  await place.sync(one);
  await two.put("x", MINE);
  const prevailed = standard === "SERVER" ? "theirs" : "mine";
  const report = await place.sync(two, { standard });
  same("report", report, { conflicts: [{ id: "x", standard, prevailed }], verified: true });
  same("content", await two.get("x"), standard === "SERVER" ? THEIRS : MINE);
  same("records here", await two.conflicts(), standard === "SERVER" ? [{ id: "x", content: MINE }] : []);
}

async function damage(place: Place, times: number) {
  await withLarge(place, { x: MINE });
  const replica = await place.replica();
  let damages = 0;
  const relay = await place.relay({
    down(message) {
      if (message.$case !== "chunk" || message.value.offset === 0 || damages >= times) return undefined;
      damages += 1;
      message.value.data = Buffer.from(message.value.data.map((byte, at) => (at === 0 ? byte ^ 1 : byte)));
      return { instead: [message] };
    },
  });
  return { replica, exchange: replica.sync({ server: relay.address }) };
}

/** It is asked for once more. */
async function damaged(place: Place, times: number): Promise<void> {
  const { replica, exchange } = await damage(place, times);
  same("report", await exchange, { received: 2, verified: true });
  await place.ends(replica, { items: { kept: "kept", x: MINE } });
}
