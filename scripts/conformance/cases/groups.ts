import type { Case } from "../case.js";
import { holds, same, sameSet } from "../expect.js";
import { COLLECTION, NOON_US, type Place, printsOf, refused } from "../place.js";
import type { TesteeReplica } from "../testee-replica.js";

const OLD = { a: "1", b: "1", c: "1" };

/** Atomic groups: all or nothing, here as there. */
export const groupCases: readonly Case[] = [
  {
    name: "group/one-commit",
    run: (place) =>
      grouped(place, async (replica) => {
        const { api } = await place.server();
        const before = (await api.getCollection(COLLECTION)).revision;
        await replica.transaction({ a: "2", b: null, d: "new" });
        same("report", await place.sync(replica), { sent: 2, sent_deletions: 1, verified: true });
        same("revisions", (await api.getCollection(COLLECTION)).revision - before, 1);
        await place.ends(replica, { items: { a: "2", c: "1", d: "new" } });
      }),
  },
  {
    name: "group/pending-changes-say-so",
    run: (place) =>
      grouped(place, async (replica) => {
        await replica.transaction({ a: "2", b: "2" });
        await replica.put("c", "2");
        await replica.transaction({ d: "2", e: "2" });
        const groups = new Map((await replica.pending()).map(({ id, group }) => [id, group]));
        const [a, b, c, d, e] = ["a", "b", "c", "d", "e"].map((id) => groups.get(id) ?? 0);
        holds("a and b are a group", a !== 0 && a === b, [a, b]);
        holds("d and e are another one", d !== 0 && d === e && d !== a, [d, e]);
        same("group of what came alone", c, 0);
      }),
  },
  {
    name: "group/transaction-of-one-is-none",
    run: (place) =>
      grouped(place, async (replica) => {
        await replica.transaction({ a: "2" });
        same("pending", await replica.pending(), [{ id: "a", group: 0 }]);
        same("report", await place.sync(replica), { sent: 1, verified: true });
      }),
  },
  {
    name: "group/groups-that-share-an-item-become-one",
    run: (place) =>
      grouped(place, async (replica) => {
        const { api } = await place.server();
        const before = (await api.getCollection(COLLECTION)).revision;
        await replica.transaction({ a: "2", b: "2" });
        await replica.transaction({ b: "3", c: "3" });
        same("groups", new Set((await replica.pending()).map(({ group }) => group)).size, 1);
        same("report", await place.sync(replica), { sent: 3, verified: true });
        same("revisions", (await api.getCollection(COLLECTION)).revision - before, 1);
        await place.ends(replica, { items: { a: "2", b: "3", c: "3" } });
      }),
  },
  {
    name: "group/prevails-whole",
    run: (place) =>
      grouped(place, async (replica) => {
        await replica.transaction({ a: "mine", b: "mine" });
        await place.elsewhere({ a: "theirs" });
        const report = await place.sync(replica, { standard: "CLIENT" });
        same("report", report, { sent: 2, received: 0, verified: true });
        await place.ends(replica, {
          items: { a: "mine", b: "mine", c: "1" },
          recordsThere: [{ id: "a", content: "theirs" }],
        });
      }),
  },
  {
    name: "group/gives-way-whole",
    run: (place) =>
      grouped(place, async (replica) => {
        await replica.transaction({ a: "mine", b: "mine" });
        await replica.put("c", "mine");
        await place.elsewhere({ a: "theirs" });
        same("report", await place.sync(replica, { standard: "SERVER" }), { sent: 1, verified: true });
        const records = await replica.conflicts();
        sameSet(
          "records",
          records.map(({ id, content }) => ({ id, content })),
          [
            { id: "a", content: "mine" },
            { id: "b", content: "mine" },
          ],
        );
        await place.ends(replica, { items: { a: "theirs", b: "1", c: "mine" }, recordsHere: records });
      }),
  },
  {
    name: "group/gives-way-with-a-creation",
    run: (place) =>
      grouped(place, async (replica) => {
        await replica.transaction({ a: "mine", d: "created", b: null });
        await place.elsewhere({ a: "theirs" });
        await place.sync(replica, { standard: "SERVER" });
        const records = await replica.conflicts();
        sameSet(
          "records",
          records.map(({ id }) => id),
          ["a", "b", "d"],
        );
        await place.ends(replica, { items: { ...OLD, a: "theirs" }, recordsHere: records });
      }),
  },
  {
    name: "group/held-whole",
    run: (place) =>
      grouped(place, async (replica) => {
        place.needs("manual");
        await replica.transaction({ a: "mine", b: "mine" });
        await place.elsewhere({ a: "theirs" });
        same("report", await place.sync(replica, { standard: "MANUAL" }), { sent: 0, verified: true });
        await place.ends(replica, {
          items: { a: "mine", b: "mine", c: "1" },
          server: { ...OLD, a: "theirs" },
          pending: ["a", "b"],
          held: ["a", "b"],
        });
        await replica.resolve("b", "mine");
        same("held", await replica.held(), []);
        same("report", await place.sync(replica, { standard: "MANUAL" }), { sent: 2, verified: true });
        same("items", await replica.list(), printsOf({ a: "mine", b: "mine", c: "1" }));
        const { api } = await place.server();
        // Of b, which nobody else had changed, there may be one or not.
        const records = (await api.conflicts(COLLECTION)).filter(({ id }) => id === "a");
        same("conflict records of a", records, [{ content: { value: "theirs" } }]);
      }),
  },
  {
    name: "group/newest-judges-its-latest-time",
    run: (place) =>
      grouped(
        place,
        async (replica) => {
          await place.setTesteeClock(NOON_US + 10_000_000);
          await replica.transaction({ a: "mine", b: "mine" });
          await place.setTesteeClock(NOON_US + 30_000_000);
          await replica.put("b", "later");
          await place.elsewhere({ a: "theirs" }, { modifyTimeUs: NOON_US + 20_000_000 });
          const report = await place.sync(replica, { standard: "NEWEST" });
          same("report", report, { sent: 2, verified: true });
          await place.ends(replica, { items: { a: "mine", b: "later", c: "1" }, recordsThere: [{ id: "a" }] });
        },
        NOON_US,
      ),
  },
  {
    name: "group/rejected-whole",
    run: (place) =>
      grouped(place, async (replica) => {
        await replica.transaction({ a: "2", big: "b".repeat(300) });
        await replica.put("c", "2");
        await (await place.server()).restart({ limits: { itemBytes: 200 } });
        const report = await place.sync(replica);
        same("report", report, { sent: 1, verified: true });
        sameSet(
          "rejected",
          report.rejected.map(({ id }) => id),
          ["a", "big"],
        );
        await place.ends(replica, {
          items: { a: "2", b: "1", c: "2", big: "b".repeat(300) },
          server: { ...OLD, c: "2" },
          pending: ["a", "big"],
        });
      }),
  },
  {
    name: "group/from-the-server",
    run: (place) =>
      grouped(place, async (replica) => {
        await place.elsewhere({ a: "2", b: null, d: "new" }, { group: true });
        same("report", await place.sync(replica), { received: 2, deleted: 1, verified: true });
        await place.ends(replica, { items: { a: "2", c: "1", d: "new" } });
      }),
  },
  {
    name: "group/1000-items",
    run: (place) =>
      grouped(place, async (replica) => {
        await replica.transaction(many(1000));
        same("report", await place.sync(replica), { sent: 1000, verified: true });
        await place.ends(replica, { items: { ...OLD, ...many(1000) } });
      }),
  },
  { name: "group/1001-items-are-refused", run: (place) => refusedGroup(place, many(1001)) },
  {
    name: "group/over-1-MiB-is-refused",
    run: (place) => refusedGroup(place, { x: "x".repeat(600 * 1024), y: "y".repeat(600 * 1024) }),
  },
  {
    name: "group/cut-before-its-verdict",
    run: (place) =>
      grouped(place, async (replica) => {
        await replica.transaction({ a: "2", b: null, d: "new" });
        const relay = await place.relay({ down: ({ $case }) => ($case === "verdicts" ? "cut" : undefined) });
        await refused(replica.sync({ server: relay.address }), { reason: "" });
        same("report", await place.sync(replica), { verified: true, conflicts: [] });
        await place.ends(replica, { items: { a: "2", c: "1", d: "new" } });
      }),
  },
];

async function grouped(place: Place, work: (replica: TesteeReplica) => Promise<void>, clockUs = 0): Promise<void> {
  place.needs("groups");
  if (clockUs !== 0) await place.setClock(clockUs);
  const replica = await place.equal(OLD);
  if (clockUs !== 0) await place.setClock(clockUs + 40_000_000);
  await work(replica);
}

function many(count: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, at) => [`item-${at}`, `${at}`]));
}

function refusedGroup(place: Place, changes: Readonly<Record<string, string>>): Promise<void> {
  return grouped(place, async (replica) => {
    await refused(replica.transaction(changes), { code: "INVALID_ARGUMENT", reason: "GROUP_INVALID" });
    same("pending", await replica.pending(), []);
    same("items", (await replica.list()).length, 3);
  });
}
