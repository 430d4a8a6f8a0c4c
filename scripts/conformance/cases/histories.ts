import type { Case } from "../case.js";
import { holds, same, sameSet } from "../expect.js";
import { type Place, refused } from "../place.js";
import type { Change, TesteeReplica } from "../testee-replica.js";
import { recovers } from "./recovery.js";

type Changes = Readonly<Record<string, Change>>;

const OLD = { a: "1", b: "1", c: "1" };

/** The server was restored from a backup, or started anew. */
export const historyCases: readonly Case[] = [
  {
    name: "history/restarted-server-is-no-other-history",
    async run(place) {
      const replica = await place.equal(OLD);
      await (await place.server()).restart();
      await replica.change({ a: "mine" });
      same("report", await place.sync(replica), { sent: 1, recovery: null, verified: true });
      await (await place.server()).restart();
      await place.elsewhere({ b: "theirs" });
      same("report", await place.sync(replica), { received: 1, recovery: null, verified: true });
      await place.ends(replica, { items: { a: "mine", b: "theirs", c: "1" } });
    },
  },
  {
    name: "history/backup-at-the-checkpoint-is-no-other-history",
    async run(place) {
      const replica = await place.equal(OLD);
      const server = await place.server();
      await server.backup();
      await server.restore();
      await replica.change({ a: "mine" });
      same("report", await place.sync(replica), { sent: 1, recovery: null, verified: true });
    },
  },
  {
    name: "history/offers-what-was-lost",
    async run(place) {
      const replica = await restored(place, { a: "2", b: null, d: "new" });
      const report = await recovers(place, replica, "history");
      sameSet("offered", report.recovery?.offered ?? [], ["a", "d"]);
      same("report", report, { sent: 2, conflicts: [] });
      // The deletion was lost with the history: the item has returned.
      await place.ends(replica, { items: { a: "2", b: "1", c: "1", d: "new" } });
    },
  },
  {
    name: "history/follows-the-server",
    async run(place) {
      const replica = await restored(place, { a: "2", d: "new" });
      const report = await recovers(place, replica, "history", { on_history_change: "follow" });
      same("report", report, { sent: 0, recovery: { offered: [] } });
      await place.ends(replica, { items: OLD, recordsHere: await lostRecords(replica) });
    },
  },
  {
    name: "history/stops-and-asks",
    async run(place) {
      const replica = await restored(place, { a: "2", d: "new" });
      await replica.change({ c: "mine" });
      const stop = place.sync(replica, { on_history_change: "stop" });
      await refused(stop, { code: "FAILED_PRECONDITION", reason: "TOKEN_OTHER_HISTORY" });
      same("a", await replica.get("a"), "2");
      sameSet(
        "pending",
        (await replica.pending()).map(({ id }) => id),
        ["c"],
      );
      const report = await recovers(place, replica, "history");
      sameSet("offered", report.recovery?.offered ?? [], ["a", "d"]);
      await place.ends(replica, { items: { a: "2", b: "1", c: "mine", d: "new" } });
    },
  },
  {
    name: "history/pending-changes-go-on",
    async run(place) {
      const replica = await restored(place, { a: "2" });
      await replica.change({ b: "mine", e: "mine", c: null });
      same("report", await recovers(place, replica, "history"), { sent: 3, sent_deletions: 1, conflicts: [] });
      await place.ends(replica, { items: { a: "2", b: "mine", e: "mine" } });
    },
  },
  {
    name: "history/pending-change-of-what-was-lost",
    async run(place) {
      const replica = await restored(place, { a: "2" });
      await replica.change({ a: "3" });
      same("report", await recovers(place, replica, "history"), { sent: 1, conflicts: [] });
      await place.ends(replica, { items: { ...OLD, a: "3" } });
    },
  },
  ...(["SERVER", "CLIENT"] as const).map((standard): Case => {
    return {
      name: `history/changed-after-the-restore-${standard.toLowerCase()}`,
      run: (place) => changedAfterwards(place, standard),
    };
  }),
  {
    name: "history/taken-and-new-items-after-the-restore",
    async run(place) {
      const replica = await restored(place, { a: "2" });
      await place.elsewhere({ z: "new there", b: "2" });
      const report = await recovers(place, replica, "history");
      same("report", report, { received: 2, sent: 1, recovery: { offered: ["a"] }, conflicts: [] });
      await place.ends(replica, { items: { ...OLD, a: "2", b: "2", z: "new there" } });
    },
  },
  {
    name: "history/what-was-deleted-after-the-restore",
    async run(place) {
      const replica = await restored(place, { a: "2" });
      await place.elsewhere({ c: null });
      same("report", await recovers(place, replica, "history"), { deleted: 1, sent: 1, conflicts: [] });
      await place.ends(replica, { items: { a: "2", b: "1" } });
    },
  },
  {
    name: "history/next-exchange-goes-on-as-ever",
    async run(place) {
      const replica = await restored(place, { a: "2" });
      await recovers(place, replica, "history");
      await place.elsewhere({ b: "2" });
      same("report", await place.sync(replica), { received: 1, recovery: null, verified: true });
    },
  },
  {
    name: "history/two-replicas-offer-the-same",
    async run(place) {
      const one = await place.equal(OLD);
      const server = await place.server();
      await server.backup();
      await one.change({ a: "2", d: "new" });
      await place.sync(one);
      const two = await place.replica();
      await place.sync(two);
      await server.restore();
      await recovers(place, one, "history");
      same("report", await recovers(place, two, "history"), { conflicts: [], verified: true });
      await place.ends(two, { items: { ...OLD, a: "2", d: "new" } });
    },
  },
  { name: "history/what-was-settled-before-a-cut-fetch", run: settledBeforeFetch },
];

/** A replica that was equal to a server that has been restored to before these changes of its. */
async function restored(place: Place, changes: Changes): Promise<TesteeReplica> {
  const replica = await place.equal(OLD);
  const server = await place.server();
  await server.backup();
  await replica.change(changes);
  same("before the restore", (await place.sync(replica)).verified, true);
  await server.restore();
  // What is committed from now on is of another history; without it, its revisions could still come to be the same.
  await place.elsewhere({ "after-the-restore": "1" });
  await place.elsewhere({ "after-the-restore": null });
  return replica;
}

/** Both versions that the server lost are in records here, whatever their order. */
async function lostRecords(replica: TesteeReplica): Promise<readonly object[]> {
  const records = await replica.conflicts();
  sameSet(
    "what was given up",
    records.map(({ id, content }) => ({ id, content })),
    [
      { id: "a", content: "2" },
      { id: "d", content: "new" },
    ],
  );
  return records;
}

/** The server changed what it lost, later: nobody can say who is right but the standard. */
async function changedAfterwards(place: Place, standard: "SERVER" | "CLIENT"): Promise<void> {
  const replica = await restored(place, { a: "2" });
  await place.elsewhere({ a: "other" });
  const report = await recovers(place, replica, "history", { standard });
  const prevailed = standard === "SERVER" ? "theirs" : "mine";
  same("report", report, { conflicts: [{ id: "a", standard, prevailed }] });
  if (standard === "SERVER") {
    await place.ends(replica, { items: { ...OLD, a: "other" }, recordsHere: [{ id: "a", content: "2" }] });
  } else await place.ends(replica, { items: { ...OLD, a: "2" }, recordsThere: [{ id: "a", content: "other" }] });
}

/**
 * In one message a change is acknowledged and another one refused, whose content has to be fetched. The exchange is cut there,
 * and what was acknowledged is lost with a restore: the replica has to know that the server had it.
 */
async function settledBeforeFetch(place: Place): Promise<void> {
  const replica = await place.equal(OLD);
  const server = await place.server();
  await server.backup();
  await place.elsewhere({ b: "theirs" });
  await replica.change({ a: "mine", b: "mine" });
  let damaged = false;
  const relay = await place.relay({
    up: ({ $case }) => ($case === "fetch" ? "cut" : undefined),
    down(message) {
      if (message.$case !== "verdicts") return message.$case === "page" ? "lost" : undefined;
      // As of a server that has not read its feed yet.
      const { verdicts, checkpoint, witness } = message.value;
      Object.assign(message.value, { checkpoint: undefined, witness: checkpoint ?? witness });
      for (const { current } of verdicts) {
        if (current === undefined) continue;
        damaged = true;
        current.content = { $case: "text", value: "not what its fingerprint says" };
      }
      return { instead: [message] };
    },
  });
  await refused(replica.sync({ server: relay.address }), { reason: "" });
  holds("the server told what is there in place of a change", damaged);
  const isSettled = (await replica.pending()).every(({ id }) => id !== "a");
  await server.restore();
  const report = await place.sync(replica);
  same("report", report, { sent: 2, conflicts: [], verified: true });
  // A client that stores both in one transaction knows of neither, and sends both again.
  if (isSettled) same("report", report, { recovery: { why: "history", offered: ["a"] } });
  await place.ends(replica, { items: { ...OLD, a: "mine", b: "mine" } });
}
