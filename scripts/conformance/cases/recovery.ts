import type { Content } from "../../../core/content.js";
import type { Case } from "../case.js";
import { same, sameSet } from "../expect.js";
import { COLLECTION, type Place, refused } from "../place.js";
import type { Change, Report, SyncOptions, TesteeReplica } from "../testee-replica.js";
import { numbered, within } from "./trips.js";

type Items = Readonly<Record<string, Content>>;
type Changes = Readonly<Record<string, Change>>;
type Options = Omit<SyncOptions, "server">;

const OLD = { a: "1", b: "1", c: "1", d: "1" };

/** The server cannot go on from the replica's checkpoint, for each reason there is. */
export const recoveryCases: readonly Case[] = [
  {
    name: "recovery/compacted",
    async run(place) {
      const replica = await behindHorizon(place, OLD, { a: null, b: "2", e: "new" }, { c: "mine", f: "own", d: null });
      const report = await recovers(place, replica, "compacted");
      same("report", report, { received: 2, deleted: 1, sent: 2, sent_deletions: 1, conflicts: [] });
      await place.ends(replica, { items: { b: "2", c: "mine", e: "new", f: "own" } });
    },
  },
  {
    name: "recovery/compacted-nothing-else-changed",
    async run(place) {
      const replica = await behindHorizon(place, OLD, { a: null }, {});
      same("report", await recovers(place, replica, "compacted"), { received: 0, deleted: 1, sent: 0 });
      await place.ends(replica, { items: { b: "1", c: "1", d: "1" } });
    },
  },
  {
    name: "recovery/compacted-everything-was-deleted",
    async run(place) {
      const replica = await behindHorizon(place, OLD, { a: null, b: null, c: null, d: null }, {});
      same("report", await recovers(place, replica, "compacted"), { received: 0, deleted: 4, sent: 0 });
      await place.ends(replica, { items: {} });
    },
  },
  ...(["SERVER", "CLIENT", "MANUAL"] as const).map((standard): Case => {
    return { name: `recovery/compacted-conflict-${standard.toLowerCase()}`, run: (place) => conflict(place, standard) };
  }),
  {
    name: "recovery/compacted-deleted-on-both-sides",
    async run(place) {
      const replica = await behindHorizon(place, OLD, { a: null }, { a: null });
      same("report", await recovers(place, replica, "compacted"), { sent: 0, sent_deletions: 0, conflicts: [] });
      await place.ends(replica, { items: { b: "1", c: "1", d: "1" } });
    },
  },
  {
    name: "recovery/compacted-same-change-on-both-sides",
    async run(place) {
      const replica = await behindHorizon(place, OLD, { a: null, b: "same" }, { b: "same" });
      same("report", await recovers(place, replica, "compacted"), { sent: 0, settled: 1, conflicts: [] });
      await place.ends(replica, { items: { b: "same", c: "1", d: "1" } });
    },
  },
  {
    name: "recovery/compacted-new-replica-needs-none",
    async run(place) {
      await behindHorizon(place, OLD, { a: null }, {});
      const fresh = await place.replica();
      same("report", await place.sync(fresh), { received: 3, deleted: 0, recovery: null, verified: true });
    },
  },
  {
    name: "recovery/no-checkpoint-equal",
    async run(place) {
      const replica = await place.equal(OLD);
      await replica.loseCheckpoint();
      same("report", await recovers(place, replica, "asked"), { received: 0, deleted: 0, sent: 0 });
      await place.ends(replica, { items: OLD });
    },
  },
  {
    name: "recovery/no-checkpoint",
    async run(place) {
      const replica = await place.equal(numbered(40));
      await place.elsewhere({ "item-00007": "changed", "item-00030": null });
      await replica.change({ "item-00001": "mine", own: "mine" });
      await replica.loseCheckpoint();
      same("report", await recovers(place, replica, "asked"), { received: 1, deleted: 1, sent: 2, conflicts: [] });
      const { "item-00030": _gone, ...rest } = numbered(40);
      await place.ends(replica, { items: { ...rest, "item-00001": "mine", "item-00007": "changed", own: "mine" } });
    },
  },
  {
    name: "recovery/no-checkpoint-and-on-from-there",
    async run(place) {
      const replica = await place.equal(OLD);
      await replica.loseCheckpoint();
      await recovers(place, replica, "asked");
      await place.elsewhere({ a: "2" });
      same("report", await place.sync(replica), { received: 1, recovery: null, verified: true });
    },
  },
  {
    name: "recovery/sent-made-and-undone-is-a-conflict",
    async run(place) {
      const replica = await place.equal(OLD);
      await replica.change({ a: "mine" });
      const cut = await place.relay({ down: ({ $case }) => ($case === "verdicts" ? "cut" : undefined) });
      await refused(replica.sync({ server: cut.address }), {});
      // It was made, and somebody undid it knowingly: the item is in the state of the replica's base again.
      await place.elsewhere({ a: "between" });
      await place.elsewhere({ a: OLD.a });
      await replica.loseCheckpoint();
      const report = await recovers(place, replica, "asked", { standard: "SERVER" });
      same("report", report, { sent: 0, conflicts: [{ id: "a", standard: "SERVER", prevailed: "theirs" }] });
      await place.ends(replica, { items: OLD, recordsHere: [{ id: "a", content: "mine" }] });
    },
  },
  { name: "recovery/10-differences-at-5000-items", run: (place) => differences(place, 10) },
  { name: "recovery/1000-differences-at-5000-items", run: (place) => differences(place, 1000) },
  {
    name: "recovery/first-pull-of-half-the-items",
    async run(place) {
      const replica = await place.equal(numbered(1500));
      await place.elsewhere(numbered(1500, "more", "more"));
      await replica.loseCheckpoint();
      same("report", await recovers(place, replica, "asked"), { received: 1500, sent: 0, deleted: 0 });
      await place.ends(replica, { items: { ...numbered(1500), ...numbered(1500, "more", "more") } });
    },
  },
  { name: "recovery/proof-failed-once", run: proofFailedOnce },
  {
    name: "recovery/cut-and-begun-again",
    async run(place) {
      const replica = await behindHorizon(
        place,
        numbered(600),
        { "item-00007": null, "item-00008": "2" },
        { own: "1" },
      );
      const relay = await place.relay({ down: ({ $case }) => ($case === "ranges" ? "cut" : undefined) });
      await refused(replica.sync({ server: relay.address }), { reason: "" });
      same("report", await recovers(place, replica, "compacted"), { received: 1, deleted: 1, sent: 1 });
    },
  },
  ...recreationCases(),
];

/** A replica whose checkpoint lies before the tombstone horizon. */
async function behindHorizon(place: Place, old: Items, theirs: Changes, mine: Changes): Promise<TesteeReplica> {
  const replica = await place.equal(old);
  await place.elsewhere(theirs);
  await (await place.server()).api.compact(COLLECTION);
  await replica.change(mine);
  return replica;
}

/** An exchange that has to recover. */
export async function recovers(
  place: Place,
  replica: TesteeReplica,
  why: string,
  options: Options = {},
): Promise<Report> {
  place.needs("reconcile");
  const report = await place.sync(replica, options);
  same("report", report, { verified: true, recovery: { why } });
  return report;
}

/** Deleted there and changed here is a conflict, also where the tombstone is gone. */
async function conflict(place: Place, standard: "SERVER" | "CLIENT" | "MANUAL"): Promise<void> {
  if (standard === "MANUAL") place.needs("manual");
  const replica = await behindHorizon(place, OLD, { a: null }, { a: "mine" });
  const report = await recovers(place, replica, "compacted", { standard });
  const prevailed = { SERVER: "theirs", CLIENT: "mine", MANUAL: "held" }[standard];
  same("report", report, { conflicts: [{ id: "a", standard, prevailed }] });
  const { a: _gone, ...rest } = OLD;
  const mine = { ...rest, a: "mine" };
  if (standard === "SERVER") await place.ends(replica, { items: rest, recordsHere: [{ id: "a", content: "mine" }] });
  // The tombstone is gone: there is nothing left at the server that could give way.
  if (standard === "CLIENT") await place.ends(replica, { items: mine });
  if (standard === "MANUAL") await place.ends(replica, { items: mine, server: rest, pending: ["a"], held: ["a"] });
}

/** So many differences of all kinds; bytes and round trips grow with them, not with the collection. */
async function differences(place: Place, count: number): Promise<void> {
  const SIZE = 5000;
  const items = numbered(SIZE);
  const replica = await place.equal(items);
  const ids = Object.keys(items);
  const theirs: Record<string, Change> = {};
  const mine: Record<string, Change> = {};
  for (let at = 0; at < count; at++) {
    const id = ids[Math.floor((at * SIZE) / count)] ?? "";
    const kind = at % 5;
    if (kind === 0) theirs[id] = `changed ${at}`;
    else if (kind === 1) theirs[id] = null;
    else if (kind === 2) theirs[`${id}-new`] = "new there";
    else if (kind === 3) mine[id] = `mine ${at}`;
    else mine[`${id}-own`] = "new here";
  }
  await place.elsewhere({ ...theirs, "item-00001": null });
  await (await place.server()).api.compact(COLLECTION);
  await replica.change(mine);
  place.needs("reconcile");
  const report = await within(place, replica, 8);
  const each = count / 5;
  same("report", report, {
    received: 2 * each,
    deleted: each + 1,
    sent: 2 * each,
    conflicts: [],
    recovery: { why: "compacted" },
  });
  const all: Changes = { ...items, ...theirs, ...mine, "item-00001": null };
  const ends: Record<string, Content> = {};
  for (const [id, content] of Object.entries(all)) if (content !== null) ends[id] = content;
  await place.ends(replica, { items: ends });
}

/** The first proof that comes is wrong; what both sides hold is right, so the comparison finds nothing. */
async function proofFailedOnce(place: Place): Promise<void> {
  place.needs("reconcile");
  const replica = await place.equal(OLD);
  await place.elsewhere({ a: "2" });
  let failed = false;
  const relay = await place.relay({
    down(message) {
      if (failed || message.$case !== "page" || message.value.proof === undefined) return undefined;
      failed = true;
      message.value.proof.sum = Buffer.from(message.value.proof.sum.map((byte) => byte ^ 1));
      return { instead: [message] };
    },
  });
  const report = await replica.sync({ server: relay.address });
  same("report", report, { verified: true, recovery: { why: "unverified" } });
  await place.ends(replica, { items: { ...OLD, a: "2" } });
}

/** The collection is another one by now. */
function recreationCases(): Case[] {
  async function lost(place: Place, again: boolean): Promise<TesteeReplica> {
    const replica = await place.equal(OLD);
    await replica.change({ a: "mine" });
    const { api } = await place.server();
    await api.deleteCollection(COLLECTION);
    if (again) {
      await api.createCollection(COLLECTION);
      await api.edit(COLLECTION, { b: "1", z: "somebody's" });
    }
    return replica;
  }
  return [
    {
      name: "recovery/collection-deleted",
      async run(place) {
        const replica = await lost(place, false);
        await refused(place.sync(replica, { create: true }), {
          code: "FAILED_PRECONDITION",
          reason: "COLLECTION_DELETED",
        });
        same("items", (await replica.list()).length, 4);
        sameSet(
          "pending",
          (await replica.pending()).map(({ id }) => id),
          ["a"],
        );
      },
    },
    {
      name: "recovery/collection-deleted-and-made-anew",
      async run(place) {
        const replica = await lost(place, true);
        await refused(place.sync(replica), { code: "FAILED_PRECONDITION", reason: "COLLECTION_DELETED" });
        same("items", (await replica.list()).length, 4);
      },
    },
    {
      name: "recovery/recreate-what-was-deleted",
      async run(place) {
        const replica = await lost(place, false);
        const report = await recovers(place, replica, "recreated", { recreate: true });
        same("report", report, { received: 0, deleted: 0, sent: 4, conflicts: [] });
        await place.ends(replica, { items: { ...OLD, a: "mine" } });
        same("next", await place.sync(replica), { recovery: null, sent: 0, verified: true });
      },
    },
    {
      name: "recovery/recreate-into-what-was-made-anew",
      async run(place) {
        const replica = await lost(place, true);
        const report = await recovers(place, replica, "recreated", { recreate: true });
        same("report", report, { received: 1, sent: 3, conflicts: [] });
        await place.ends(replica, { items: { ...OLD, a: "mine", z: "somebody's" } });
      },
    },
  ];
}
