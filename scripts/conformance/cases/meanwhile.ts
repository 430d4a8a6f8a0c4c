import type { Content } from "../../../core/content.js";
import type { Case } from "../case.js";
import { holds, same, sameSet } from "../expect.js";
import { COLLECTION, type Place } from "../place.js";
import { TesteeError } from "../testee.js";
import type { Change } from "../testee-replica.js";

const KIB = 1024;
const LARGE = Buffer.alloc(1280 * KIB, "large ");

/** What the application does while an exchange runs. */
export const meanwhileCases: readonly Case[] = [
  {
    name: "local/writes-go-on-during-an-exchange",
    run: (place) => writeMeanwhile(place, "page", { a: "again", d: "new" }),
  },
  {
    name: "local/written-between-a-push-and-its-verdict",
    run: (place) => writeMeanwhile(place, "verdicts", { a: "again", b: null }),
  },
  {
    name: "local/written-during-its-upload-and-before-it",
    async run(place) {
      place.needs("chunks");
      // An upload has to wait for the server in its middle.
      await place.server({ limits: { windowBytes: 512 * KIB } });
      const changes = { a: Buffer.alloc(1536 * KIB, "again "), d: "no longer large" };
      await writeMeanwhile(place, "upload", changes, { a: LARGE, d: LARGE, e: LARGE });
    },
  },
  { name: "group/written-between-a-push-and-its-verdict", run: groupMeanwhile },
  { name: "local/two-exchanges-at-once", run: twoAtOnce },
];

/** The application writes in the middle of an exchange: nothing of it is lost, and the next exchange brings it over (R8). */
async function writeMeanwhile(
  place: Place,
  before: "page" | "verdicts" | "upload",
  changes: Readonly<Record<string, Change>>,
  mine: Readonly<Record<string, Content>> = { a: "mine" },
): Promise<void> {
  place.needs("concurrent");
  const replica = await place.equal({ a: "1", b: "1", c: "1" });
  await replica.change(mine);
  await place.elsewhere({ c: "theirs" });
  let written = false;
  const relay = await place.relay({
    async down({ $case }) {
      if ($case !== before || written) return undefined;
      written = true;
      await replica.change(changes);
      return undefined;
    },
  });
  same("verified", (await replica.sync({ server: relay.address })).verified, true);
  holds(`there was no ${before} to write before`, written);
  same("report", await place.sync(replica), { conflicts: [], verified: true });
  const all: Readonly<Record<string, Change>> = { b: "1", c: "theirs", ...mine, ...changes };
  const items = Object.fromEntries(
    Object.entries(all).flatMap(([id, content]) => (content === null ? [] : [[id, content]])),
  );
  await place.ends(replica, { items });
  same("collection", (await (await place.server()).api.getCollection(COLLECTION)).conflicts, 0);
}

/** What gives way as a whole, its members fall back to what the server has of them: of one, what was just made. */
async function groupMeanwhile(place: Place): Promise<void> {
  place.needs("concurrent");
  place.needs("groups");
  const replica = await place.equal({ a: "1", x: "1" });
  await replica.put("a", "2");
  await replica.put("x", "2");
  let isDeleted = false;
  let isWritten = false;
  const relay = await place.relay({
    // After it was told that there is nothing new, and before its push is held against what there is.
    async up({ $case }) {
      if ($case === "push" && !isDeleted) await place.elsewhere({ a: null });
      isDeleted ||= $case === "push";
      return undefined;
    },
    async down({ $case }) {
      if ($case === "verdicts" && !isWritten) await replica.transaction({ a: "3", x: "3" });
      isWritten ||= $case === "verdicts";
      return undefined;
    },
  });
  const report = await replica.sync({ server: relay.address, standard: "SERVER" });
  same("report", report, { sent: 1, recovery: null, verified: true });
  holds("there was no push and no verdict", isDeleted && isWritten);
  const records = await replica.conflicts();
  sameSet(
    "items with a record",
    records.map(({ id }) => id),
    ["a", "x"],
  );
  await place.ends(replica, { items: { x: "2" }, recordsHere: records });
}

/** So many requests are answered before an exchange that was held up goes on: time for another one, if that may begin. */
const REQUESTS_MEANWHILE = 300;

/** The second waits for the end of the first, or is refused: it must not take away what the first one's proof is about. */
async function twoAtOnce(place: Place): Promise<void> {
  place.needs("concurrent");
  const replica = await place.equal({ a: "1" });
  await replica.change({ mine: "1" });
  let second: Promise<unknown> | undefined;
  const relay = await place.relay({
    async down(message) {
      if (message.$case !== "page" || message.value.proof === undefined || second !== undefined) return undefined;
      await place.elsewhere({ theirs: "1" });
      let ended = false;
      second = place.sync(replica).then(
        (report) => same("second report", report, { recovery: null, verified: true }),
        (error: unknown) => {
          if (!(error instanceof TesteeError && error.code === "FAILED_PRECONDITION")) throw error;
        },
      );
      second.finally(() => (ended = true)).catch(() => undefined);
      for (let asked = 0; asked < REQUESTS_MEANWHILE && !ended; asked++) await replica.status();
      return undefined;
    },
  });
  const report = await replica.sync({ server: relay.address });
  same("first report", report, { sent: 1, recovery: null, verified: true });
  await second;
  same("third report", await place.sync(replica), { recovery: null, verified: true });
  await place.ends(replica, { items: { a: "1", mine: "1", theirs: "1" } });
}
