import type { OnTheWay } from "./record.js";
import { CLIENT, copyOf, equalWorld, type Scenario, SERVER, world } from "./scenario.js";

/** Exchanges in which something goes wrong: cuts, races, refusals and damage. */
export const faultScenarios: readonly Scenario[] = [
  {
    name: "verdict-lost",
    description:
      "The stream is cut after the server has made the client's changes and before the verdicts arrive. One is unchanged since, one was changed again, one was deleted again: the next exchange finds its own changes and no conflict.",
    exchanges() {
      const made = equalWorld({ x: "old", y: "old" });
      made.change({ x: "sent", y: "sent", z: "sent" });
      const cut = made.record({ arriving: 0, title: "The changes arrive, the answers are lost." });
      made.change({ y: "changed again", z: null });
      return [cut, made.record({ title: "The next exchange." })];
    },
  },
  {
    name: "first-pull-cut-and-resumed",
    description:
      "A first pull is cut after its second page, and goes on behind it. What was deleted since the pull began comes as a tombstone, whatever page it would have been in.",
    exchanges() {
      const made = world();
      const content = (at: number): string => String.fromCharCode(97 + at).repeat(4000);
      made.elsewhere(Object.fromEntries(Array.from({ length: 12 }, (_, at) => [`item-${at}`, content(at)])));
      const limits = { messageBytes: 16 * 1024 };
      const cut = made.record({ limits, arriving: 3, title: "Opened and two pages arrive." });
      made.elsewhere({ "item-1": null, "item-11": null, "item-0": "changed" });
      return [cut, made.record({ limits, title: "The pull goes on." })];
    },
  },
  {
    name: "race-lost",
    description:
      "Under CLIENT another client is faster than the push, after the feed was read: the verdict is CONFLICT with the item as it is, the client compares again and pushes again, in the same stream.",
    exchanges() {
      const made = equalWorld({ x: "old" });
      made.change({ x: "mine" });
      let raced = false;
      const before = (message: { readonly $case: string }): void => {
        if (message.$case !== "push" || raced) return;
        raced = true;
        made.elsewhere({ x: "faster" });
      };
      return [made.record({ standard: CLIENT, wishes: { eagerBytes: 1 }, before })];
    },
  },
  {
    name: "contended",
    description:
      "Under CLIENT others change the item each time before the push arrives. After the first push and five lost races the client gives up on it for this exchange: the change stays pending, and everything else is verified.",
    exchanges() {
      const made = equalWorld({ x: "old" });
      made.change({ x: "mine" });
      let races = 0;
      const before = (message: { readonly $case: string }): void => {
        if (message.$case !== "push") return;
        races += 1;
        made.elsewhere({ x: `faster ${races}` });
      };
      return [made.record({ standard: CLIENT, before })];
    },
  },
  {
    name: "created-here-deleted-there",
    description:
      "Created here; there it was made and deleted again since the checkpoint. A deletion of what this client never had is nothing to it: the item is created.",
    exchanges() {
      const made = equalWorld({ y: "kept" });
      made.change({ x: "mine" });
      made.elsewhere({ x: "theirs" });
      made.elsewhere({ x: null });
      return [made.record({ standard: SERVER })];
    },
  },
  {
    name: "sent-creation-deleted-there",
    description:
      "A creation arrives and its verdict is lost; then somebody else deletes the item. What is deleted may be what this client made: a conflict, here under SERVER.",
    exchanges() {
      const made = equalWorld({ y: "kept" });
      made.change({ x: "mine" });
      const cut = made.record({ arriving: 0, title: "The creation arrives, the answer is lost." });
      made.elsewhere({ x: null });
      return [cut, made.record({ standard: SERVER, title: "The next exchange." })];
    },
  },
  {
    name: "restarted-server",
    description:
      "The server was restarted since the checkpoint: that is no other history, the token is served. The push is the first commit of the new epoch.",
    exchanges() {
      const made = equalWorld({ x: "old" });
      made.change({ x: "mine" });
      const restarted = world(copyOf(made.server, 2), made.replica);
      const first = restarted.record({ title: "The first exchange after the restart." });
      return [first, restarted.record({ title: "The next one knows the new epoch." })];
    },
  },
  {
    name: "there-and-back",
    description:
      "The server's item was changed and changed back: its fingerprint is the one that the client's change is based on, and still it is a conflict.",
    exchanges() {
      const made = equalWorld({ x: "old" });
      made.change({ x: "mine" });
      made.elsewhere({ x: "away" });
      made.elsewhere({ x: "old" });
      return [made.record({ standard: SERVER })];
    },
  },
  {
    name: "change-rejected",
    description:
      "The server takes smaller items than the client knows of: the push is rejected by itself, stays pending and marked, and does not hold up the other.",
    exchanges() {
      const made = equalWorld({ x: "old" });
      made.change({ big: "b".repeat(300), small: "1" });
      return [made.record({ limits: { itemBytes: 200 } })];
    },
  },
  {
    name: "group-rejected",
    description: "A member of an atomic group is rejected, and with it the whole group; another change goes on.",
    exchanges() {
      const made = equalWorld({ a: "1", c: "1" });
      made.change({ a: "2", big: "b".repeat(300) }, "group");
      made.change({ c: "2" });
      return [made.record({ limits: { itemBytes: 200 } })];
    },
  },
  {
    name: "content-wrong-twice",
    description:
      "A fetched content does not agree with its fingerprint, and neither does the second one: the client ends the exchange with UNVERIFIED and names the item. The next exchange takes it.",
    exchanges() {
      const made = equalWorld({ x: "old" });
      made.elsewhere({ bad: "b".repeat(40) });
      const wrong = made.record({
        wishes: { inlineBytes: 16 },
        title: "Each content is damaged on the way.",
        damage(message) {
          if (message.$case !== "contents") return undefined;
          for (const item of message.value.items) item.content = { $case: "text", value: "damaged" };
          return "the content";
        },
      });
      return [wrong, made.record({ wishes: { inlineBytes: 16 }, title: "The next exchange." })];
    },
  },
  {
    name: "inline-content-wrong-once",
    description:
      "A content that came inline is damaged: the page's range fingerprint does not agree, and everything that it covers is fetched before anything is stored.",
    exchanges() {
      const made = equalWorld({ x: "old" });
      made.elsewhere({ x: "new", y: "new" });
      const damage: OnTheWay["damage"] = (message) => {
        const change = message.$case === "page" ? message.value.changes.find(({ id }) => id === "y") : undefined;
        if (change === undefined) return undefined;
        change.content = { $case: "text", value: "damaged" };
        return "the content of y";
      };
      return [made.record({ damage })];
    },
  },
  {
    name: "server-tells-unknown-kind",
    description:
      "The server tells of a change of a kind that the client does not know: the client ends the exchange before that page, and takes nothing of it.",
    exchanges() {
      const made = equalWorld({ x: "old" });
      made.elsewhere({ x: "new", y: "new" });
      const damage: OnTheWay["damage"] = (message) => {
        const change = message.$case === "page" ? message.value.changes.find(({ id }) => id === "y") : undefined;
        if (change === undefined) return undefined;
        change.kind = 9 as 1;
        return "the kind of y";
      };
      return [made.record({ damage })];
    },
  },
  {
    name: "server-tells-unknown-standard",
    description:
      "The standard in force is one that the client can't judge by: it ends the exchange, and stores nothing.",
    exchanges() {
      const made = equalWorld({ x: "old" });
      made.change({ x: "mine" });
      const damage: OnTheWay["damage"] = (message) => {
        if (message.$case !== "opened") return undefined;
        message.value.standard = 9 as 1;
        return "the standard";
      };
      return [made.record({ damage })];
    },
  },
  {
    name: "server-verdicts-out-of-order",
    description:
      "A verdict on a push that is not the next one: the client ends the exchange, and the change stays unsettled.",
    exchanges() {
      const made = equalWorld({ x: "old" });
      made.change({ x: "mine" });
      const damage: OnTheWay["damage"] = (message) => {
        const verdict = message.$case === "verdicts" ? message.value.verdicts[0] : undefined;
        if (verdict === undefined) return undefined;
        verdict.ordinal += 1;
        return "the ordinal";
      };
      return [made.record({ damage })];
    },
  },
  {
    name: "token-refused-and-stopped",
    description:
      "The server was restored to a time before the replica's checkpoint, and the user wants to be asked: the token is refused, the eager change gets COMPARE_FIRST, and the client ends the exchange. Nothing has changed.",
    exchanges() {
      const made = equalWorld({ x: "old" });
      const backup = copyOf(made.server, 2);
      made.change({ x: "after the backup" });
      made.sync();
      made.change({ x: "pending" });
      return [world(backup, made.replica).record({ onHistoryChange: "stop" })];
    },
  },
  {
    name: "collection-deleted",
    description:
      "The collection that the replica belongs to was deleted: the exchange fails and the replica keeps everything.",
    exchanges() {
      const made = equalWorld({ x: "old" });
      made.change({ x: "mine" });
      made.server.happen({ kind: "delete" });
      return [made.record({ create: true })];
    },
  },
  {
    name: "collection-deleted-recreated",
    description:
      "The same, but the user wants it made anew: it is created and filled with what the replica has, by recovery.",
    exchanges() {
      const made = equalWorld({ x: "old", y: "old" });
      made.change({ x: "mine" });
      made.server.happen({ kind: "delete" });
      return [made.record({ recreate: true })];
    },
  },
  {
    name: "collection-not-found",
    description: "There is no such collection, and the client does not ask to create it.",
    exchanges() {
      const made = world();
      made.server.happen({ kind: "delete" });
      return [made.record()];
    },
  },
];
