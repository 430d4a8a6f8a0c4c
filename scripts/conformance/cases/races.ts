import type { Case } from "../case.js";
import { holds, same } from "../expect.js";
import type { Place } from "../place.js";
import type { TesteeReplica } from "../testee-replica.js";

/** Somebody else is faster. */
export const raceCases: readonly Case[] = [
  {
    name: "race/lost-once",
    async run(place) {
      const replica = await place.equal({ x: "old", y: "1" });
      await replica.change({ x: "mine" });
      const pushes = await race(place, replica, "CLIENT", 1, (at) => ({ x: `faster ${at}` }));
      same("report", pushes.report, { sent: 1, contended: [], verified: true });
      await place.ends(replica, { items: { x: "mine", y: "1" }, recordsThere: [{ id: "x", content: "faster 0" }] });
    },
  },
  {
    name: "race/lost-three-times",
    async run(place) {
      const replica = await place.equal({ x: "old", y: "1" });
      await replica.change({ x: "mine" });
      const { report } = await race(place, replica, "CLIENT", 3, (at) => ({ x: `faster ${at}` }));
      same("report", report, { sent: 1, contended: [], verified: true });
      await place.ends(replica, { items: { x: "mine", y: "1" }, recordsThere: [{ id: "x", content: "faster 2" }] });
    },
  },
  {
    name: "race/lost-to-a-deletion",
    async run(place) {
      const replica = await place.equal({ x: "old", y: "1" });
      await replica.change({ x: "mine" });
      const { report } = await race(place, replica, "CLIENT", 1, () => ({ x: null }));
      same("report", report, { sent: 1, contended: [], verified: true });
      await place.ends(replica, { items: { x: "mine", y: "1" }, recordsThere: [{ id: "x", content: null }] });
    },
  },
  {
    name: "race/lost-to-the-same-change",
    async run(place) {
      const replica = await place.equal({ x: "old", y: "1" });
      await replica.change({ x: "same" });
      const { report } = await race(place, replica, "CLIENT", 1, () => ({ x: "same" }));
      same("report", report, { sent: 0, settled: 1, conflicts: [], verified: true });
      await place.ends(replica, { items: { x: "same", y: "1" } });
    },
  },
  {
    name: "race/lost-under-server",
    async run(place) {
      const replica = await place.equal({ x: "old", y: "1" });
      await replica.change({ x: "mine" });
      const { report } = await race(place, replica, "SERVER", 1, (at) => ({ x: `faster ${at}` }));
      const conflicts = [{ id: "x", standard: "SERVER", prevailed: "theirs" }];
      same("report", report, { sent: 0, received: 1, conflicts, verified: true });
      await place.ends(replica, { items: { x: "faster 0", y: "1" }, recordsHere: [{ id: "x", content: "mine" }] });
    },
  },
  {
    name: "race/there-and-back-before-the-push",
    async run(place) {
      const replica = await place.equal({ x: "old", y: "1" });
      await replica.change({ x: "mine" });
      const relay = await place.relay({
        async up(message) {
          if (message.$case !== "push" || raced) return undefined;
          raced = true;
          await place.elsewhere({ x: "away" });
          await place.elsewhere({ x: "old" });
          return undefined;
        },
      });
      let raced = false;
      const report = await replica.sync({ server: relay.address, standard: "SERVER" });
      same("report", report, { conflicts: [{ id: "x", prevailed: "theirs" }], verified: true });
      await place.ends(replica, { items: { x: "old", y: "1" }, recordsHere: [{ id: "x", content: "mine" }] });
    },
  },
  {
    name: "race/contended",
    async run(place) {
      const replica = await place.equal({ x: "old", y: "1" });
      await replica.change({ x: "mine", z: "mine" });
      const { report, pushes } = await race(place, replica, "CLIENT", 100, (at) => ({ x: `faster ${at}` }));
      same("report", report, { sent: 1, contended: ["x"], conflicts: [], verified: true });
      holds(`pushes of x: expected 6 (the first, and five after lost races), came ${pushes}`, pushes === 6);
      const theirs = `faster ${pushes - 1}`;
      const ending = { items: { x: "mine", y: "1", z: "mine" }, server: { x: theirs, y: "1", z: "mine" } };
      await place.ends(replica, { ...ending, pending: ["x"] });
      same("next", await place.sync(replica, { standard: "CLIENT" }), { sent: 1, contended: [], verified: true });
      await place.ends(replica, {
        items: { x: "mine", y: "1", z: "mine" },
        recordsThere: [{ id: "x", content: theirs }],
      });
    },
  },
  {
    name: "race/contended-group",
    async run(place) {
      place.needs("groups");
      const replica = await place.equal({ x: "old", y: "1" });
      await replica.transaction({ x: "mine", z: "mine" });
      const { report } = await race(place, replica, "CLIENT", 100, (at) => ({ x: `faster ${at}` }));
      same("report", report, { sent: 0, verified: true });
      same("pending", (await replica.pending()).map(({ id }) => id).sort(), ["x", "z"]);
      same("next", await place.sync(replica, { standard: "CLIENT" }), { sent: 2, verified: true });
    },
  },
  {
    name: "race/somebody-else-changes-what-is-not-pushed",
    async run(place) {
      const replica = await place.equal({ x: "old", y: "1" });
      await replica.change({ x: "mine" });
      const { report } = await race(place, replica, "CLIENT", 1, () => ({ y: "2", z: "new" }), "push");
      same("report", report, { sent: 1, received: 2, conflicts: [], verified: true });
      await place.ends(replica, { items: { x: "mine", y: "2", z: "new" } });
    },
  },
  {
    name: "race/changes-come-before-the-proof",
    async run(place) {
      const replica = await place.equal({ x: "old", y: "1" });
      await replica.change({ x: "mine" });
      const { report } = await race(place, replica, "CLIENT", 1, () => ({ y: null, z: "new" }), "done");
      same("report", report, { sent: 1, received: 1, deleted: 1, conflicts: [], verified: true });
      await place.ends(replica, { items: { x: "mine", z: "new" } });
    },
  },
  {
    name: "race/content-changes-before-it-is-fetched",
    async run(place) {
      const replica = await place.equal({ y: "1" });
      const [first, second] = ["1".repeat(40_000), "2".repeat(50_000)];
      await place.elsewhere({ x: first });
      const { report } = await race(place, replica, "SERVER", 1, () => ({ x: second }), "fetch");
      same("verified", report.verified, true);
      await place.ends(replica, { items: { x: second, y: "1" } });
    },
  },
  {
    name: "race/item-is-deleted-before-it-is-fetched",
    async run(place) {
      const replica = await place.equal({ y: "1" });
      await place.elsewhere({ x: "1".repeat(40_000), z: "2".repeat(40_000) });
      const { report } = await race(place, replica, "SERVER", 1, () => ({ x: null }), "fetch");
      same("verified", report.verified, true);
      await place.ends(replica, { items: { y: "1", z: "2".repeat(40_000) } });
    },
  },
];

/** An exchange in which somebody else edits before the first messages of this kind that the client sends pass. */
async function race(
  place: Place,
  replica: TesteeReplica,
  standard: string,
  times: number,
  edits: (at: number) => Readonly<Record<string, string | null>>,
  before: "push" | "done" | "fetch" = "push",
) {
  let pushes = 0;
  let races = 0;
  const relay = await place.relay({
    async up(message) {
      if (message.$case === "push" && message.value.pushes.some(({ id }) => id === "x")) pushes += 1;
      if (message.$case !== before || races >= times) return undefined;
      races += 1;
      await place.elsewhere(edits(races - 1));
      return undefined;
    },
  });
  const report = await replica.sync({ server: relay.address, standard });
  holds(`there was no ${before} to race against (${relay.log.join(", ")})`, races > 0);
  return { report, pushes };
}
