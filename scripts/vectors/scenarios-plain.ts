import { CLIENT, equalWorld, MANUAL, NEWEST, type Scenario, SERVER, type World, world } from "./scenario.js";

const OLD = { a: "1", b: "1", c: "1" };

/** Both sides changed `x`, beside what changed on one side only. */
function conflict(mine: string | null, theirs: string | null): World {
  const made = equalWorld({ x: "old", still: "still" });
  made.change({ x: mine, "only mine": "1" });
  made.elsewhere({ x: theirs, "only theirs": "2" });
  return made;
}

/** Exchanges in which nothing goes wrong. */
export const plainScenarios: readonly Scenario[] = [
  {
    name: "nothing-changed",
    description: "Nothing changed on either side since the checkpoint: one round trip, an empty page, and the proof.",
    exchanges: () => [equalWorld(OLD).record()],
  },
  {
    name: "first-pull",
    description:
      "A new replica pulls a collection: contents of both kinds, an empty one, ids that are not ASCII, a restart in the server's history, and no tombstone of what was deleted before.",
    exchanges() {
      const made = world();
      made.elsewhere({ a: "1", "\u00e9": Buffer.from([0, 255]), gone: "1", "\u{1f600}": "smile", empty: "" });
      made.server.happen({ kind: "start", epoch: Buffer.alloc(8, 2) });
      made.elsewhere({ gone: null, "\uffee": "before the pair in bytes" });
      return [made.record()];
    },
  },
  {
    name: "first-push",
    description:
      "A replica that never met the server fills a collection, which is made for it. Without a token it compares first, and pushes with the revision that it has seen.",
    exchanges() {
      const made = world();
      made.server.happen({ kind: "delete" });
      made.change({ a: "1", b: Buffer.from([1, 2, 3]), c: "" });
      return [made.record({ create: true })];
    },
  },
  {
    name: "both-sides-one-round-trip",
    description:
      "Each side changed, created and deleted items that the other did not touch. The client's changes are small and go right behind Open: one round trip.",
    exchanges() {
      const made = equalWorld({ ...OLD, d: "1", e: "1" });
      made.change({ a: "mine", b: null, "new here": "1" });
      made.elsewhere({ c: "theirs", d: null, "new there": "2" });
      return [made.record()];
    },
  },
  ...(
    [
      ["server", SERVER, "the server's change prevails, and the client keeps its own in a conflict record"],
      ["client", CLIENT, "the client's change prevails, and the server keeps its own in a conflict record"],
      ["newest", NEWEST, "the later change prevails, here the server's"],
      ["manual", MANUAL, "the item is held with both versions, and everything else goes on"],
    ] as const
  ).map(
    ([name, standard, what]): Scenario => ({
      name: `conflict-${name}`,
      description: `Both sides changed the same item into different things, under ${name.toUpperCase()}: ${what}.`,
      exchanges: () => [conflict("mine", "theirs").record({ standard })],
    }),
  ),
  {
    name: "conflict-newest-client",
    description: "Both sides changed the same item, under NEWEST: the client's change is the later one and is pushed.",
    exchanges() {
      const made = equalWorld({ x: "old" });
      made.elsewhere({ x: "theirs" });
      made.change({ x: "mine" });
      return [made.record({ standard: NEWEST })];
    },
  },
  {
    name: "conflict-manual-resolved",
    description:
      "A conflict is held under MANUAL, the user decides for mine, and the next exchange pushes it over theirs, which goes into a conflict record of the server.",
    exchanges() {
      const made = equalWorld({ x: "old" });
      made.change({ x: "mine" });
      made.elsewhere({ x: "theirs" });
      const held = made.record({ standard: MANUAL, title: "The conflict is held." });
      made.replica.resolveHeld("x", "mine", 1_759_999_000_000_000);
      return [held, made.record({ standard: MANUAL, title: "The user has decided for mine." })];
    },
  },
  {
    name: "deletions",
    description: "Deletions go both ways; an item that both sides deleted is settled without moving anything.",
    exchanges() {
      const made = equalWorld({ ...OLD, d: "1" });
      made.change({ a: null, c: null });
      made.elsewhere({ b: null, c: null });
      return [made.record()];
    },
  },
  {
    name: "conflict-deleted-here-server",
    description: "Deleted here and changed there, under SERVER: the item comes back, and the deletion is recorded.",
    exchanges: () => [conflict(null, "theirs").record({ standard: SERVER })],
  },
  {
    name: "conflict-deleted-here-client",
    description: "Deleted here and changed there, under CLIENT: the deletion is pushed over the server's change.",
    exchanges: () => [conflict(null, "theirs").record({ standard: CLIENT })],
  },
  {
    name: "conflict-deleted-there-server",
    description: "Changed here and deleted there, under SERVER: the deletion is taken, and the change recorded.",
    exchanges: () => [conflict("mine", null).record({ standard: SERVER })],
  },
  {
    name: "conflict-deleted-there-client",
    description: "Changed here and deleted there, under CLIENT: the change is pushed over the tombstone.",
    exchanges: () => [conflict("mine", null).record({ standard: CLIENT })],
  },
  {
    name: "equal-changes-agreed",
    description:
      "Both sides made the same of an item, the one as text, the other as bytes, and both created the same item. Nothing is a conflict.",
    exchanges() {
      const made = equalWorld({ x: "old" });
      made.change({ x: "same", y: "same" });
      made.elsewhere({ x: Buffer.from("same"), y: "same" });
      return [made.record()];
    },
  },
  {
    name: "large-contents-fetched",
    description:
      "Contents over the inline limit are not in the pages: the client compares first, fetches what it takes, says so (Taken), and asks for the proof.",
    exchanges() {
      const made = equalWorld({ x: "old" });
      made.elsewhere({ big: "b".repeat(300), bytes: Buffer.alloc(200, 65), small: "1", x: "x".repeat(150) });
      return [made.record({ wishes: { inlineBytes: 16 } })];
    },
  },
  {
    name: "large-pending-compare-first",
    description:
      "Pending changes over the eager limit wait for the comparison, so that the content of the one that gives way is never sent.",
    exchanges() {
      const made = equalWorld({ x: "old", y: "old" });
      made.change({ x: "m".repeat(300), y: "y".repeat(300) });
      made.elsewhere({ x: "theirs" });
      return [made.record({ standard: SERVER, wishes: { eagerBytes: 100 } })];
    },
  },
  {
    name: "bound-standard",
    description: "The collection binds CLIENT: it is in force although the client asks for SERVER.",
    exchanges() {
      const made = world();
      made.server.happen({ kind: "delete" });
      const uid = Buffer.alloc(16, 8);
      made.server.happen({ kind: "create", uid, standard: CLIENT, timeUs: 1_759_996_400_000_000 });
      made.elsewhere({ x: "old" });
      made.sync();
      made.change({ x: "mine" });
      made.elsewhere({ x: "theirs" });
      return [made.record({ standard: SERVER })];
    },
  },
  {
    name: "group-applied",
    description: "An atomic group of changes becomes one commit with one revision; a change beside it has its own.",
    exchanges() {
      const made = equalWorld(OLD);
      made.change({ alone: "1" });
      made.change({ a: "2", b: null, d: "2" }, "group");
      return [made.record()];
    },
  },
  {
    name: "group-from-server",
    description: "A commit of several items comes in one page, with the number of its group.",
    exchanges() {
      const made = equalWorld(OLD);
      made.elsewhere({ a: "2", b: null, d: "2" }, "group");
      return [made.record()];
    },
  },
  ...(
    [
      ["server", SERVER, "gives way whole: every member goes into a conflict record"],
      ["client", CLIENT, "prevails whole"],
    ] as const
  ).map(
    ([name, standard, what]): Scenario => ({
      name: `group-conflict-${name}`,
      description: `One member of an atomic group is in conflict, under ${name.toUpperCase()}: the group ${what}.`,
      exchanges() {
        const made = equalWorld(OLD);
        made.elsewhere({ b: "theirs" });
        made.change({ a: "2", b: "2", new: "2" }, "group");
        return [made.record({ standard })];
      },
    }),
  ),
];
