import type { Case } from "../case.js";
import { same } from "../expect.js";
import { COLLECTION, type Place, refused } from "../place.js";
import type { TesteeReplica } from "../testee-replica.js";

const OLD = { a: "1", b: "1", c: "1" };
const KIB = 1024;
const TOO_LARGE = { code: "INVALID_ARGUMENT", reason: "GROUP_INVALID" };

/** A pending atomic group is changed once more: it stays whole, and within its limits. */
export const groupChangeCases: readonly Case[] = [
  {
    name: "group/member-named-without-a-change-goes-along",
    run: (place) =>
      grouped(place, async (replica) => {
        await replica.transaction({ a: "2", b: "2" });
        await replica.transaction({ a: "2", b: "3", c: "3" });
        same("groups", new Set((await replica.pending()).map(({ group }) => group)).size, 1);
        await isOneCommit(place, replica, 3);
        await place.ends(replica, { items: { a: "2", b: "3", c: "3" } });
      }),
  },
  {
    name: "group/change-that-becomes-larger-goes-along",
    run: (place) =>
      grouped(place, async (replica) => {
        const larger = "larger ".repeat(100 * KIB);
        await replica.transaction({ a: "2", b: "2" });
        await replica.put("b", larger);
        await isOneCommit(place, replica, 2);
        await place.ends(replica, { items: { a: "2", b: larger, c: "1" } });
      }),
  },
  {
    name: "group/put-that-makes-it-over-1-MiB-in-all-is-refused",
    run: (place) =>
      grouped(place, async (replica) => {
        const half = "h".repeat(600 * KIB);
        await replica.transaction({ a: half, b: "2" });
        await refused(replica.put("b", half), TOO_LARGE);
        await isOneCommit(place, replica, 2);
        await place.ends(replica, { items: { a: half, b: "2", c: "1" } });
      }),
  },
  {
    name: "group/joined-over-1000-items-are-refused",
    run: (place) =>
      grouped(place, async (replica) => {
        await replica.transaction(many("x", 600));
        await refused(replica.transaction({ ...many("y", 500), "x-1": "joins" }), TOO_LARGE);
        same("pending", (await replica.pending()).length, 600);
        await isOneCommit(place, replica, 600);
        await place.ends(replica, { items: { ...OLD, ...many("x", 600) } });
      }),
  },
  {
    name: "group/version-that-makes-it-too-large-is-refused",
    run: (place) =>
      grouped(place, async (replica) => {
        place.needs("manual");
        await replica.transaction({ a: "mine", b: "mine" });
        await place.elsewhere({ a: "theirs" });
        await place.sync(replica, { standard: "MANUAL" });
        for (const id of ["a", "b"]) {
          await refused(replica.resolve(id, { content: "r".repeat(KIB * KIB) }), TOO_LARGE);
          await refused(replica.resolve(id, { content: "r".repeat(2 * KIB * KIB) }), TOO_LARGE);
        }
        same("held", await replica.held(), [{ id: "a", mine: "mine", theirs: "theirs" }, { id: "b" }]);
        await replica.resolve("a", { content: "merged" });
        await isOneCommit(place, replica, 2);
        same("held", await replica.held(), []);
        const recordsHere = await replica.conflicts();
        same("records", recordsHere, [{ id: "a", content: "mine" }]);
      }),
  },
  {
    name: "group/last-member-left-may-be-large",
    run: (place) =>
      grouped(place, async (replica) => {
        place.needs("chunks");
        const large = "l".repeat(2 * KIB * KIB);
        await replica.transaction({ a: "2", b: "2" });
        await replica.put("b", "1");
        await replica.put("a", large);
        same("report", await place.sync(replica), { sent: 1, rejected: [], verified: true });
        await place.ends(replica, { items: { a: large, b: "1", c: "1" } });
      }),
  },
  {
    name: "group/gives-way-to-a-content-that-was-never-taken",
    run: (place) =>
      grouped(place, async (replica) => {
        const there = "there ".repeat(8 * KIB);
        await replica.transaction({ a: "mine", b: "mine" });
        await place.elsewhere({ b: there });
        // It is to prevail over a content that is not inline, and so is not needed here. It never arrives.
        let pushes = 0;
        const relay = await place.relay({
          up: ({ $case }) => ($case === "push" && ++pushes === 2 ? "cut" : undefined),
        });
        await refused(replica.sync({ server: relay.address, standard: "CLIENT" }), { reason: "" });
        await place.elsewhere({ a: "theirs" });
        const report = await place.sync(replica, { standard: "SERVER" });
        same("report", report, { sent: 0, received: 2, verified: true });
        await place.ends(replica, {
          items: { a: "theirs", b: there, c: "1" },
          recordsHere: await replica.conflicts(),
        });
      }),
  },
];

async function grouped(place: Place, work: (replica: TesteeReplica) => Promise<void>): Promise<void> {
  place.needs("groups");
  await work(await place.equal(OLD));
}

/** What is pending is sent, all of it, as one commit. */
async function isOneCommit(place: Place, replica: TesteeReplica, sent: number): Promise<void> {
  const { api } = await place.server();
  const before = (await api.getCollection(COLLECTION)).revision;
  same("report", await place.sync(replica), { sent, rejected: [], verified: true });
  same("revisions", (await api.getCollection(COLLECTION)).revision - before, 1);
}

function many(prefix: string, count: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, at) => [`${prefix}-${at}`, `${at}`]));
}
