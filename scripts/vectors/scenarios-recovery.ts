import type { OnTheWay } from "./record.js";
import { CLIENT, compact, copyOf, equalWorld, numbered, type Scenario, SERVER, type World, world } from "./scenario.js";

const OLD = { a: "1", b: "1", c: "1", d: "1" };

/** The replica has lost its checkpoint, and nothing else. */
function withoutCheckpoint(made: World): World {
  const { replica } = made;
  const state = replica.state.bind(replica);
  let remembers = false;
  const forgetful = {
    ...replica,
    state: () => (remembers ? state() : { ...state(), token: Buffer.alloc(0), revision: 0 }),
    apply(batch: Parameters<typeof replica.apply>[0]) {
      remembers ||= batch.recovered !== undefined;
      return replica.apply(batch);
    },
  };
  return world(made.server, forgetful);
}

/** A server that was restored from a backup after `since`, and the replica that knows better. */
function restored(since: (made: World) => void): World {
  const made = equalWorld(OLD);
  const backup = copyOf(made.server, 2);
  since(made);
  return world(backup, made.replica);
}

/** Exchanges that have to reconcile. */
export const recoveryScenarios: readonly Scenario[] = [
  {
    name: "recovery-compacted",
    description:
      "The tombstones that the replica would need were compacted: the token is refused, and both sides compare by ranges. What was deleted there goes, what was changed there comes, what is pending is sent.",
    exchanges() {
      const made = equalWorld(OLD);
      made.elsewhere({ a: null, b: "2", e: "new" });
      compact(made.server);
      made.change({ c: "mine", f: "own" });
      return [made.record()];
    },
  },
  {
    name: "recovery-compacted-conflict",
    description: "Deleted there and changed here is a conflict, also where the tombstone is gone. Under CLIENT.",
    exchanges() {
      const made = equalWorld(OLD);
      made.elsewhere({ a: null });
      compact(made.server);
      made.change({ a: "mine" });
      return [made.record({ standard: CLIENT })];
    },
  },
  {
    name: "recovery-lost-checkpoint",
    description: "The replica has items and no checkpoint: it opens with recover, and finds the two items that differ.",
    exchanges() {
      const made = equalWorld(numbered(40));
      made.elsewhere({ "item-0007": "changed", "item-0030": null });
      return [withoutCheckpoint(made).record()];
    },
  },
  {
    name: "recovery-lost-checkpoint-equal",
    description: "The same where nothing differs: two round trips and a few hundred bytes.",
    exchanges: () => [withoutCheckpoint(equalWorld(numbered(40))).record()],
  },
  {
    name: "recovery-restored-server",
    description:
      "The server was restored from a backup and lost what the replica had agreed on with it: a changed item and two new ones are offered back, and made anew.",
    exchanges() {
      const made = restored((before) => {
        before.change({ a: "2", e: "new" });
        before.sync();
        before.elsewhere({ f: "2" });
        before.sync();
      });
      return [made.record()];
    },
  },
  ...(
    [
      ["server", SERVER],
      ["client", CLIENT],
    ] as const
  ).map(
    ([name, standard]): Scenario => ({
      name: `recovery-restored-server-conflict-${name}`,
      description: `The restored server was changed since: what it lost and has changed or deleted itself is a conflict, under ${name.toUpperCase()}.`,
      exchanges() {
        const made = restored((before) => {
          before.change({ a: "2", b: "2", c: "2" });
          before.sync();
        });
        made.elsewhere({ a: "other", b: null, d: "other" });
        return [made.record({ standard })];
      },
    }),
  ),
  {
    name: "recovery-restored-server-followed",
    description: "The user wants the restored server followed: what it lost goes into conflict records of the replica.",
    exchanges() {
      const made = restored((before) => {
        before.change({ a: "2", e: "new" });
        before.sync();
      });
      return [made.record({ onHistoryChange: "follow" })];
    },
  },
  {
    name: "recovery-witness",
    description:
      "A change is acknowledged, and the stream is cut before a checkpoint covers it: the replica keeps the token of that revision as its witness. Then the server is restored to a time between the checkpoint and the acknowledged change. The checkpoint alone would be served; the witness finds it out.",
    exchanges() {
      const made = equalWorld({ x: "0", y: "0" });
      const backup = copyOf(made.server, 2);
      made.change({ x: "acknowledged" });
      let raced = false;
      const before: OnTheWay["before"] = (message) => {
        if (message.$case !== "push" || raced) return;
        raced = true;
        made.elsewhere({ y: "1" });
      };
      const title = "The verdict arrives, the page behind it does not.";
      const cut = made.record({ wishes: { eagerBytes: 1 }, arriving: 3, before, title });
      const restoredWorld = world(backup, made.replica);
      restoredWorld.elsewhere({ x: "since" });
      return [cut, restoredWorld.record({ title: "With the restored server." })];
    },
  },
  {
    name: "recovery-by-ranges",
    description:
      "Two hundred and forty items of which a few differ: the ranges of both sides are split until they are small, over several round trips, and then compared item by item.",
    exchanges() {
      const made = equalWorld(numbered(240));
      made.elsewhere({ "item-0003": "changed", "item-0200": null, "item-0201": "changed", "item-0230a": "new" });
      compact(made.server);
      made.change({ "item-0100": "mine", "item-0005": null });
      return [made.record()];
    },
  },
  {
    name: "recovery-many-at-the-server",
    description: "The replica has a handful of items where the server has hundreds: whole ranges are listed.",
    exchanges() {
      const made = equalWorld({ a: "1", "item-0050": "50", z: "1" });
      made.elsewhere(numbered(120), "group");
      made.elsewhere({ gone: "1" });
      made.elsewhere({ gone: null });
      compact(made.server);
      return [made.record()];
    },
  },
  {
    name: "proof-failed-recovered",
    description:
      "A page loses a change on the way, so that the proof at the end fails: one recovery finds the item, and the second proof holds.",
    exchanges() {
      const made = equalWorld(numbered(30));
      made.elsewhere({ "item-0012": "lost on the way" });
      let lost = false;
      return [
        made.record({
          damage(message) {
            if (message.$case !== "page" || message.value.changes.length === 0 || lost) return undefined;
            lost = true;
            message.value.changes = [];
            message.value.fingerprint = undefined;
            return "its changes are gone";
          },
        }),
      ];
    },
  },
  {
    name: "proof-failed-twice",
    description: "The proof is wrong before and after the recovery: the exchange ends with UNVERIFIED.",
    exchanges() {
      const made = equalWorld({ x: "1" });
      return [
        made.record({
          damage(message) {
            const proof = message.$case === "page" ? message.value.proof : undefined;
            if (proof === undefined) return undefined;
            proof.sum = Buffer.alloc(32);
            return "the sum of the proof";
          },
        }),
      ];
    },
  },
];
