import { fingerprintOf } from "../../../core/fingerprint.js";
import { ChangeStandard } from "../../../gen/tercet/v1/item.js";
import type { Case } from "../case.js";
import { same } from "../expect.js";
import { COLLECTION, NOON_US, type Place } from "../place.js";

const MINUTE_US = 60_000_000;

/** Modify times, and which standard is in force. */
export const timeCases: readonly Case[] = [
  {
    name: "newest/tie-greater-fingerprint-here",
    run: (place) => tie(place, "mine"),
  },
  {
    name: "newest/tie-greater-fingerprint-there",
    run: (place) => tie(place, "theirs"),
  },
  {
    name: "newest/tie-deletion-is-less",
    async run(place) {
      await place.setClock(NOON_US);
      const replica = await place.equal({ x: "old" });
      await place.setClock(NOON_US + MINUTE_US);
      await place.elsewhere({ x: null }, { modifyTimeUs: NOON_US + MINUTE_US });
      await replica.change({ x: "mine" });
      const report = await place.sync(replica, { standard: "NEWEST" });
      same("report", report, { conflicts: [{ id: "x", standard: "NEWEST", prevailed: "mine" }], verified: true });
      await place.ends(replica, { items: { x: "mine" }, recordsThere: [{ id: "x", content: null }] });
    },
  },
  {
    name: "newest/time-far-ahead-is-clamped",
    async run(place) {
      await place.setClock(NOON_US);
      const replica = await place.equal({ x: "old" });
      await place.setTesteeClock(NOON_US + 60 * MINUTE_US);
      await replica.change({ x: "mine" });
      // Theirs is half a minute beyond what counts of mine, which is said to be far later.
      await place.setClock(NOON_US + MINUTE_US / 2);
      await place.elsewhere({ x: "theirs" }, { modifyTimeUs: NOON_US + (3 * MINUTE_US) / 2 });
      await place.setClock(NOON_US);
      const report = await place.sync(replica, { standard: "NEWEST" });
      same("report", report, { conflicts: [{ id: "x", standard: "NEWEST", prevailed: "theirs" }], verified: true });
      await place.ends(replica, { items: { x: "theirs" }, recordsHere: [{ id: "x", content: "mine" }] });
    },
  },
  {
    name: "newest/deletion-is-later",
    async run(place) {
      await place.setClock(NOON_US);
      const replica = await place.equal({ x: "old" });
      await place.elsewhere({ x: "theirs" }, { modifyTimeUs: NOON_US + 1000 });
      await place.setClock(NOON_US + 2000);
      await replica.change({ x: null });
      const report = await place.sync(replica, { standard: "NEWEST" });
      same("report", report, { sent_deletions: 1, conflicts: [{ id: "x", prevailed: "mine" }], verified: true });
      await place.ends(replica, { items: {}, recordsThere: [{ id: "x", content: "theirs" }] });
    },
  },
  {
    name: "standard/server-where-nothing-is-said",
    async run(place) {
      const replica = await place.equal({ x: "old" });
      await place.elsewhere({ x: "theirs" });
      await replica.change({ x: "mine" });
      const report = await place.sync(replica);
      same("report", report, { standard: "SERVER", conflicts: [{ id: "x", standard: "SERVER", prevailed: "theirs" }] });
    },
  },
  ...(["SERVER", "CLIENT", "NEWEST", "MANUAL"] as const).map((bound): Case => {
    return { name: `standard/bound-${bound.toLowerCase()}-is-in-force`, run: (place) => boundStandard(place, bound) };
  }),
];

const COUNTER_PARTS: Readonly<Record<string, string>> = {
  SERVER: "CLIENT",
  CLIENT: "SERVER",
  NEWEST: "SERVER",
  MANUAL: "CLIENT",
};

async function boundStandard(place: Place, bound: "SERVER" | "CLIENT" | "NEWEST" | "MANUAL"): Promise<void> {
  if (bound === "MANUAL") place.needs("manual");
  await place.setClock(NOON_US);
  const { api } = await place.server();
  await api.createCollection(COLLECTION, ChangeStandard[`CHANGE_STANDARD_${bound}`]);
  await api.edit(COLLECTION, { x: "old" });
  const replica = await place.replica();
  await place.sync(replica);
  await place.elsewhere({ x: "theirs" }, { modifyTimeUs: NOON_US + 1000 });
  await place.setClock(NOON_US + 2000);
  await replica.change({ x: "mine" });
  const report = await place.sync(replica, { standard: COUNTER_PARTS[bound] });
  const prevailed = { SERVER: "theirs", CLIENT: "mine", NEWEST: "mine", MANUAL: "held" }[bound];
  same("report", report, { standard: bound, conflicts: [{ id: "x", standard: bound, prevailed }], verified: true });
}

async function tie(place: Place, prevailed: "mine" | "theirs"): Promise<void> {
  await place.setClock(NOON_US);
  const replica = await place.equal({ x: "old" });
  await place.setClock(NOON_US + MINUTE_US);
  const greater = greaterThan("x", "less");
  const [mine, theirs] = prevailed === "mine" ? [greater, "less"] : ["less", greater];
  await place.elsewhere({ x: theirs }, { modifyTimeUs: NOON_US + MINUTE_US });
  await replica.change({ x: mine });
  const report = await place.sync(replica, { standard: "NEWEST" });
  same("report", report, { conflicts: [{ id: "x", standard: "NEWEST", prevailed }], verified: true });
  const records = prevailed === "mine" ? { recordsThere: [{ id: "x" }] } : { recordsHere: [{ id: "x" }] };
  await place.ends(replica, { items: { x: greater }, ...records });
}

/** A content whose fingerprint is greater than that of another one, byte by byte, and less as a little-endian number. */
function greaterThan(id: string, content: string): string {
  const other = fingerprintOf(id, content);
  for (let at = 0; ; at++) {
    const print = fingerprintOf(id, `greater ${at}`);
    if (print.compare(other) > 0 && Buffer.from(print).reverse().compare(Buffer.from(other).reverse()) < 0)
      return `greater ${at}`;
  }
}
