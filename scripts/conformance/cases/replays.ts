import type { Case } from "../case.js";
import { same } from "../expect.js";
import { COLLECTION, type Place } from "../place.js";
import { type ClientMessage, encodeRequest } from "../relay.js";
import { openStream } from "../stream-client.js";
import { TesteeError } from "../testee.js";
import type { TesteeReplica } from "../testee-replica.js";

/** Copies of a replica, changes that arrive late, and whatever else happens twice. */
export const replayCases: readonly Case[] = [
  {
    name: "replay/copy-sends-the-same-changes",
    async run(place) {
      const replica = await place.equal({ a: "old", b: "old" });
      await replica.change({ a: "mine", b: null, c: "mine" });
      const copy = await place.copy(replica);
      same("first", await place.sync(replica), { sent: 2, sent_deletions: 1 });
      const report = await place.sync(copy);
      same("second", report, { sent: 0, sent_deletions: 0, settled: 3, conflicts: [], verified: true });
      await place.ends(copy, { items: { a: "mine", c: "mine" } });
    },
  },
  {
    name: "replay/restored-replica-catches-up",
    async run(place) {
      const replica = await place.equal({ a: "old", b: "old", c: "old" });
      const backup = await place.copy(replica);
      await replica.change({ a: "1", b: null });
      await place.sync(replica);
      await place.elsewhere({ a: "2", d: "new" });
      same("report", await place.sync(backup), { received: 2, deleted: 1, conflicts: [], verified: true });
      await place.ends(backup, { items: { a: "2", c: "old", d: "new" } });
    },
  },
  {
    name: "replay/restored-replica-with-an-older-change",
    async run(place) {
      const replica = await place.equal({ x: "old" });
      await replica.change({ x: "first" });
      const backup = await place.copy(replica);
      await place.sync(replica);
      await replica.change({ x: "second" });
      await place.sync(replica);
      const report = await place.sync(backup, { standard: "SERVER" });
      same("report", report, { conflicts: [{ id: "x", standard: "SERVER", prevailed: "theirs" }] });
      await place.ends(backup, { items: { x: "second" }, recordsHere: [{ id: "x", content: "first" }] });
    },
  },
  {
    name: "replay/two-copies-in-turn",
    async run(place) {
      const one = await place.equal({ a: "old" });
      const two = await place.copy(one);
      for (let turn = 0; turn < 4; turn++) {
        same("one", await place.sync(one), { received: turn === 0 ? 0 : 1, conflicts: [], verified: true });
        await one.change({ a: `one ${turn}`, [`one-${turn}`]: "1" });
        same("one", await place.sync(one), { sent: 2, conflicts: [], verified: true });
        same("two", await place.sync(two), { received: 2, conflicts: [], verified: true });
        await two.change({ a: `two ${turn}` });
        same("two", await place.sync(two), { sent: 1, conflicts: [], verified: true });
      }
      await place.sync(one);
      const items = { a: "two 3", "one-0": "1", "one-1": "1", "one-2": "1", "one-3": "1" };
      await place.ends(one, { items });
      await place.ends(two, { items });
    },
  },
  {
    name: "replay/sync-twice-does-nothing",
    async run(place) {
      const replica = await place.equal({ a: "old" });
      await replica.change({ a: "mine", b: "mine" });
      await place.sync(replica);
      const report = await place.sync(replica);
      same("report", report, { received: 0, deleted: 0, sent: 0, sent_deletions: 0, settled: 0, conflicts: [] });
    },
  },
  {
    name: "replay/there-and-back-is-a-conflict",
    async run(place) {
      const replica = await place.equal({ x: "old" });
      await replica.change({ x: "mine" });
      await place.elsewhere({ x: "away" });
      await place.elsewhere({ x: "old" });
      const report = await place.sync(replica, { standard: "SERVER" });
      same("report", report, { conflicts: [{ id: "x", standard: "SERVER", prevailed: "theirs" }] });
      await place.ends(replica, { items: { x: "old" }, recordsHere: [{ id: "x", content: "mine" }] });
    },
  },
  {
    name: "replay/deleted-and-created-again-there-is-a-conflict",
    async run(place) {
      const replica = await place.equal({ x: "old" });
      await replica.change({ x: null });
      await place.elsewhere({ x: null });
      await place.elsewhere({ x: "old" });
      const report = await place.sync(replica, { standard: "SERVER" });
      same("report", report, { conflicts: [{ id: "x", standard: "SERVER", prevailed: "theirs" }] });
      await place.ends(replica, { items: { x: "old" }, recordsHere: [{ id: "x", kind: "deleted" }] });
    },
  },
  {
    name: "replay/late-push-after-the-change-was-taken-back",
    run: (place) => lateArrival(place, { x: "old" }, { x: "one" }, { x: "old" }, { x: "old" }),
  },
  {
    name: "replay/late-creation-after-it-was-deleted",
    run: (place) => lateArrival(place, { kept: "kept" }, { x: "one" }, { x: null }, { kept: "kept" }),
  },
  {
    name: "replay/late-creation-after-it-was-deleted-and-recovered-from",
    run: (place) =>
      lateArrival(place, { kept: "kept" }, { x: "one" }, { x: null }, { kept: "kept" }, (replica) =>
        replica.loseCheckpoint(),
      ),
  },
  {
    name: "replay/late-push-after-a-newer-one",
    run: (place) => lateArrival(place, { x: "old" }, { x: "one" }, { x: "two" }, { x: "two" }),
  },
  {
    name: "replay/late-deletion-after-it-was-put-again",
    run: (place) => lateArrival(place, { x: "old" }, { x: null }, { x: "old" }, { x: "old" }),
  },
  {
    name: "replay/whole-exchange-arrives-once-more",
    async run(place) {
      const replica = await place.equal({ a: "old", b: "old" });
      await replica.change({ a: "mine", b: null, c: "mine" });
      const said: ClientMessage[] = [];
      const relay = await place.relay({ up: (message) => void said.push(message) });
      await replica.sync({ server: relay.address });
      await arrive(place, said);
      same("report", await place.sync(replica), { received: 0, deleted: 0, conflicts: [], verified: true });
      await place.ends(replica, { items: { a: "mine", c: "mine" } });
    },
  },
];

/** What a cut exchange sent arrives only after the next exchange is through: it must not be made any more. */
async function lateArrival(
  place: Place,
  base: Readonly<Record<string, string>>,
  sent: Readonly<Record<string, string | null>>,
  then: Readonly<Record<string, string | null>>,
  items: Readonly<Record<string, string>>,
  meanwhile: (replica: TesteeReplica) => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  const replica = await place.equal(base);
  await replica.change(sent);
  const late = await sendInVain(place, replica);
  await replica.change(then);
  await meanwhile(replica);
  same("report", await place.sync(replica), { verified: true, conflicts: [] });
  await arrive(place, late);
  same("report after the late arrival", await place.sync(replica), { verified: true, conflicts: [], received: 0 });
  await place.ends(replica, { items });
}

/** An exchange whose messages are held up on the way; its client gives up. */
async function sendInVain(place: Place, replica: TesteeReplica): Promise<readonly ClientMessage[]> {
  const said: ClientMessage[] = [];
  const relay = await place.relay({
    up(message) {
      said.push(message);
      if (message.$case === "open") return undefined;
      return message.$case === "done" ? "cut" : "lost";
    },
  });
  await replica.sync({ server: relay.address }).then(
    () => same("an exchange that was cut", "succeeded", "an error"),
    (error: unknown) => {
      if (!(error instanceof TesteeError)) throw error;
    },
  );
  return said;
}

async function arrive(place: Place, messages: readonly ClientMessage[]): Promise<void> {
  const stream = openStream((await place.server()).address);
  for (const message of messages) stream.sendRaw(encodeRequest(message));
  stream.end();
  same("status of the late stream", (await stream.status()).code, 0);
  stream.close();
  same("collection", (await (await place.server()).api.getCollection(COLLECTION)).name, COLLECTION);
}
