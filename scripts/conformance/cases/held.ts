import type { Case } from "../case.js";
import { same } from "../expect.js";
import { type Place, refused } from "../place.js";
import type { TesteeReplica } from "../testee-replica.js";

const STANDARD = "MANUAL";

/** Items that are held in conflict, and how they are resolved. */
export const heldCases: readonly Case[] = [
  {
    name: "held/resolved-mine",
    run: (place) =>
      held(place, "mine", "theirs", async (replica) => {
        await replica.resolve("x", "mine");
        same("report", await place.sync(replica, { standard: STANDARD }), { sent: 1, conflicts: [], verified: true });
        await place.ends(replica, {
          items: { x: "mine", y: "1" },
          recordsThere: [{ id: "x", content: "theirs", standard: 4 }],
        });
      }),
  },
  {
    name: "held/resolved-theirs",
    run: (place) =>
      held(place, "mine", "theirs", async (replica) => {
        await replica.resolve("x", "theirs");
        same("get", await replica.get("x"), "theirs");
        same("report", await place.sync(replica, { standard: STANDARD }), { sent: 0, received: 0, verified: true });
        const recordsHere = [{ id: "x", kind: "upserted", content: "mine", standard: STANDARD }];
        await place.ends(replica, { items: { x: "theirs", y: "1" }, recordsHere });
      }),
  },
  {
    name: "held/resolved-with-another-version",
    run: (place) =>
      held(place, "mine", "theirs", async (replica) => {
        await replica.resolve("x", { content: "merged" });
        same("report", await place.sync(replica, { standard: STANDARD }), { sent: 1, verified: true });
        await place.ends(replica, {
          items: { x: "merged", y: "1" },
          recordsHere: [{ id: "x", content: "mine" }],
          recordsThere: [{ id: "x", content: "theirs" }],
        });
      }),
  },
  {
    name: "held/resolved-by-deletion",
    run: (place) =>
      held(place, "mine", "theirs", async (replica) => {
        await replica.resolve("x", { content: null });
        same("report", await place.sync(replica, { standard: STANDARD }), { sent_deletions: 1, verified: true });
        await place.ends(replica, {
          items: { y: "1" },
          recordsHere: [{ id: "x", content: "mine" }],
          recordsThere: [{ id: "x", content: "theirs" }],
        });
      }),
  },
  {
    name: "held/my-deletion-resolved-mine",
    run: (place) =>
      held(place, null, "theirs", async (replica) => {
        await replica.resolve("x", "mine");
        same("report", await place.sync(replica, { standard: STANDARD }), { sent_deletions: 1, verified: true });
        await place.ends(replica, { items: { y: "1" }, recordsThere: [{ id: "x", content: "theirs" }] });
      }),
  },
  {
    name: "held/their-deletion-resolved-theirs",
    run: (place) =>
      held(place, "mine", null, async (replica) => {
        await replica.resolve("x", "theirs");
        same("report", await place.sync(replica, { standard: STANDARD }), { sent: 0, verified: true });
        await place.ends(replica, { items: { y: "1" }, recordsHere: [{ id: "x", content: "mine", prevailed: null }] });
      }),
  },
  {
    name: "held/their-deletion-resolved-mine",
    run: (place) =>
      held(place, "mine", null, async (replica) => {
        await replica.resolve("x", "mine");
        same("report", await place.sync(replica, { standard: STANDARD }), { sent: 1, verified: true });
        await place.ends(replica, { items: { x: "mine", y: "1" }, recordsThere: [{ id: "x", content: null }] });
      }),
  },
  {
    name: "held/stays-held-and-everything-else-goes-on",
    run: (place) =>
      held(place, "mine", "theirs", async (replica) => {
        await place.elsewhere({ z: "new" });
        await replica.change({ y: "2" });
        same("report", await place.sync(replica, { standard: STANDARD }), { sent: 1, received: 1, verified: true });
        const ending = { items: { x: "mine", y: "2", z: "new" }, server: { x: "theirs", y: "2", z: "new" } };
        await place.ends(replica, { ...ending, pending: ["x"], held: ["x"] });
      }),
  },
  {
    name: "held/theirs-moves-on",
    run: (place) =>
      held(place, "mine", "theirs", async (replica) => {
        await place.elsewhere({ x: "theirs again" });
        same("report", await place.sync(replica, { standard: STANDARD }), { sent: 0, verified: true });
        same("held", await replica.held(), [{ id: "x", mine: "mine", theirs: "theirs again" }]);
        await replica.resolve("x", "theirs");
        await place.sync(replica, { standard: STANDARD });
        await place.ends(replica, {
          items: { x: "theirs again", y: "1" },
          recordsHere: [{ id: "x", content: "mine" }],
        });
      }),
  },
  {
    name: "held/theirs-becomes-mine",
    run: (place) =>
      held(place, "mine", "theirs", async (replica) => {
        await place.elsewhere({ x: "mine" });
        same("report", await place.sync(replica, { standard: STANDARD }), { sent: 0, verified: true });
        await place.ends(replica, { items: { x: "mine", y: "1" } });
      }),
  },
  {
    name: "held/theirs-moves-on-after-it-was-resolved",
    run: (place) =>
      held(place, "mine", "theirs", async (replica) => {
        await replica.resolve("x", "mine");
        await place.elsewhere({ x: "theirs again" });
        const report = await place.sync(replica, { standard: STANDARD });
        same("report", report, { sent: 0, conflicts: [{ id: "x", prevailed: "held" }], verified: true });
        same("held", await replica.held(), [{ id: "x", mine: "mine", theirs: "theirs again" }]);
      }),
  },
  ...(["SERVER", "CLIENT"] as const).map((standard): Case => {
    return {
      name: `held/another-standard-is-in-force-${standard.toLowerCase()}`,
      run: (place) => held(place, "mine", "theirs", (replica) => judgedAnew(place, replica, standard)),
    };
  }),
  {
    name: "held/what-is-not-held-can-not-be-resolved",
    run: (place) =>
      held(place, "mine", "theirs", async (replica) => {
        const expected = { code: "FAILED_PRECONDITION", reason: "ITEM_HELD" };
        await refused(replica.resolve("y", "mine"), expected);
        await refused(replica.resolve("none", "theirs"), expected);
        same("held", (await replica.held()).length, 1);
      }),
  },
];

async function held(
  place: Place,
  mine: string | null,
  theirs: string | null,
  work: (replica: TesteeReplica) => Promise<void>,
): Promise<void> {
  place.needs("manual");
  const replica = await place.equal({ x: "old", y: "1" });
  await place.elsewhere({ x: theirs });
  await replica.change({ x: mine });
  const report = await place.sync(replica, { standard: STANDARD });
  same("report", report, { sent: 0, conflicts: [{ id: "x", standard: STANDARD, prevailed: "held" }], verified: true });
  same("held", await replica.held(), [{ id: "x", mine, theirs }]);
  await work(replica);
}

async function judgedAnew(place: Place, replica: TesteeReplica, standard: "SERVER" | "CLIENT"): Promise<void> {
  const report = await place.sync(replica, { standard });
  same("verified", report.verified, true);
  if (standard === "SERVER") {
    await place.ends(replica, { items: { x: "theirs", y: "1" }, recordsHere: [{ id: "x", content: "mine" }] });
  } else await place.ends(replica, { items: { x: "mine", y: "1" }, recordsThere: [{ id: "x", content: "theirs" }] });
}
