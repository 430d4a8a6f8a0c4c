import type { Content } from "../../../core/content.js";
import type { Case } from "../case.js";
import { holdTrips, same } from "../expect.js";
import type { Place } from "../place.js";
import type { Report, SyncOptions, TesteeReplica } from "../testee-replica.js";

/** An exchange in turns; at most so many of them. */
export async function within(
  place: Place,
  replica: TesteeReplica,
  budget: number,
  options: Omit<SyncOptions, "server"> = {},
): Promise<Report> {
  const relay = await place.relay({ lockstep: true });
  const report = await replica.sync({ ...options, server: relay.address });
  same("verified", report.verified, true);
  holdTrips(relay, budget);
  return report;
}

/** So many small items, from a name. */
export function numbered(count: number, content = "content", name = "item"): Record<string, Content> {
  const items: Record<string, Content> = {};
  for (let at = 0; at < count; at++) items[`${name}-${String(at).padStart(5, "0")}`] = `${content} ${at}`;
  return items;
}

const BIG = "b".repeat(40 * 1024);

/** How often a client may wait; counted at the relay. */
export const tripCases: readonly Case[] = [
  {
    name: "trips/nothing-changed",
    async run(place) {
      const replica = await place.equal(numbered(20));
      const report = await within(place, replica, 1);
      same("report", report, { received: 0, sent: 0, settled: 0 });
    },
  },
  {
    name: "trips/first-pull",
    async run(place) {
      const { api } = await place.server();
      await api.createCollection("things");
      await api.edit("things", numbered(500));
      const report = await within(place, await place.replica(), 1);
      same("report", report, { received: 500, count: 500 });
    },
  },
  {
    name: "trips/first-push",
    async run(place) {
      const replica = await place.replica();
      await replica.change(numbered(50));
      const report = await within(place, replica, 2, { create: true });
      same("report", report, { sent: 50, count: 50, conflicts: [] });
    },
  },
  {
    name: "trips/changed-there",
    async run(place) {
      const replica = await place.equal(numbered(50));
      await place.elsewhere({ ...numbered(20, "changed"), "item-00040": null });
      same("report", await within(place, replica, 1), { received: 20, deleted: 1 });
    },
  },
  {
    name: "trips/changed-here",
    async run(place) {
      const replica = await place.equal(numbered(50));
      await replica.change({ ...numbered(20, "changed"), "item-00040": null });
      same("report", await within(place, replica, 1), { sent: 20, sent_deletions: 1 });
    },
  },
  {
    name: "trips/changed-on-both-sides",
    async run(place) {
      const replica = await place.equal(numbered(50));
      await replica.change({ "item-00001": "mine", "item-00002": null, new: "mine" });
      await place.elsewhere({ "item-00011": "theirs", "item-00012": null, other: "theirs" });
      const moved = { sent: 2, sent_deletions: 1, received: 2, deleted: 1, conflicts: [] };
      same("report", await within(place, replica, 1), moved);
    },
  },
  {
    name: "trips/many-conflicts",
    async run(place) {
      const replica = await place.equal(numbered(100));
      await replica.change(numbered(100, "mine"));
      await place.elsewhere(numbered(100, "theirs"));
      const report = await within(place, replica, 2, { standard: "CLIENT" });
      same("report", { sent: report.sent, conflicts: report.conflicts.length }, { sent: 100, conflicts: 100 });
    },
  },
  {
    name: "trips/large-pending-changes",
    async run(place) {
      const replica = await place.equal({ kept: "kept" });
      for (let at = 0; at < 16; at++) await replica.put(`big-${at}`, BIG + at);
      same("report", await within(place, replica, 2), { sent: 16 });
    },
  },
  {
    name: "trips/contents-to-fetch",
    async run(place) {
      const replica = await place.equal({ kept: "kept" });
      await place.elsewhere({ one: BIG, two: `${BIG}2` });
      same("report", await within(place, replica, 2), { received: 2 });
    },
  },
  {
    name: "trips/large-pending-changes-that-do-not-prevail",
    async run(place) {
      const replica = await place.equal({ x: "old" });
      await replica.change({ x: BIG.repeat(15) });
      await place.elsewhere({ x: "theirs" });
      let pushed = 0;
      const relay = await place.relay({
        up(message) {
          if (message.$case === "push") pushed += message.value.pushes.length;
          return undefined;
        },
      });
      const report = await replica.sync({ server: relay.address, standard: "SERVER" });
      same("report", report, { received: 1, sent: 0, verified: true });
      same("pushes of a content that would not prevail", pushed, 0);
    },
  },
];
