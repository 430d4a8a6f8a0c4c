import type { Case } from "../case.js";
import { same } from "../expect.js";
import { printsOf, refused } from "../place.js";

const EMPTY_SUM = "0".repeat(64);

/** What a replica does without a server, and around its exchanges. */
export const localCases: readonly Case[] = [
  {
    name: "local/empty-replica",
    async run(place) {
      const replica = await place.replica();
      same("items", await replica.list(), []);
      same("pending", await replica.pending(), []);
      same("item", await replica.item("x"), null);
      const none = { items: 0, pending: 0, held: 0, conflicts: 0, revision: 0, count: 0, fingerprint: EMPTY_SUM };
      same("status", await replica.status(), none);
    },
  },
  {
    name: "local/pending-changes-in-order",
    async run(place) {
      const replica = await place.equal({ a: "1", b: "1", c: "1" });
      await replica.change({ c: "2" });
      await replica.change({ a: null });
      await replica.change({ d: "1" });
      same("pending", await replica.pending(), [
        { id: "c", kind: "upserted", held: false, rejected: "", group: 0 },
        { id: "a", kind: "deleted", held: false, rejected: "", group: 0 },
        { id: "d", kind: "upserted", held: false, rejected: "", group: 0 },
      ]);
      same("status", await replica.status(), { items: 3, pending: 3, count: 3 });
      same("item", await replica.item("c"), { pending: true });
      same("item", await replica.item("b"), { pending: false });
    },
  },
  {
    name: "local/delete-tells-whether-there-was-an-item",
    async run(place) {
      const replica = await place.equal({ a: "1" });
      same("of one that is there", await replica.delete("a"), true);
      same("of one that is gone", await replica.delete("a"), false);
      same("of one that never was", await replica.delete("b"), false);
      same("report", await place.sync(replica), { sent_deletions: 1, verified: true });
    },
  },
  {
    name: "local/transaction-is-all-or-nothing",
    async run(place) {
      const replica = await place.equal({ a: "1" });
      const changes = { a: "2", "bad\nid": "x", c: "3" };
      await refused(replica.transaction(changes), { code: "INVALID_ARGUMENT", reason: "INVALID_ID" });
      same("items", await replica.list(), printsOf({ a: "1" }));
      same("pending", await replica.pending(), []);
    },
  },
  {
    name: "local/bad-name-of-a-collection",
    async run(place) {
      for (const name of ["", "-a", "a b", "ä", "x".repeat(129)]) {
        await refused(place.replica(name), { code: "INVALID_ARGUMENT", reason: "INVALID_COLLECTION_NAME" });
      }
    },
  },
  {
    name: "local/copies-go-their-own-ways",
    async run(place) {
      const replica = await place.equal({ a: "1" });
      const copy = await place.copy(replica);
      await copy.change({ a: "2", b: "2" });
      same("items of the original", await replica.list(), printsOf({ a: "1" }));
      same("items of the copy", await copy.list(), printsOf({ a: "2", b: "2" }));
      same("pending of the original", await replica.pending(), []);
    },
  },
  {
    name: "local/an-unknown-command-is-refused",
    async run(place) {
      const unknown = place.testee.ask({ do: "no such command" });
      await refused(unknown, { code: "UNIMPLEMENTED", reason: "UNSUPPORTED" });
    },
  },
  {
    name: "local/deleted-items-are-not-in-lists",
    async run(place) {
      const replica = await place.equal({ a: "1", b: "1" });
      await replica.change({ a: null });
      same("items", await replica.list(), printsOf({ b: "1" }));
      same("item", await replica.item("a"), null);
    },
  },
  {
    name: "local/item-limit-that-the-server-told",
    async run(place) {
      const replica = await place.equal({ a: "1" }, { limits: { itemBytes: 1000 } });
      await replica.put("fits", "x".repeat(1000));
      const tooLarge = replica.put("large", "x".repeat(1001));
      await refused(tooLarge, { code: "INVALID_ARGUMENT", reason: "ITEM_TOO_LARGE" });
      same("report", await place.sync(replica), { sent: 1, verified: true });
      await place.ends(replica, { items: { a: "1", fits: "x".repeat(1000) } });
    },
  },
  {
    name: "local/rejected-change-stays-pending-and-is-tried-again",
    async run(place) {
      const replica = await place.equal({ a: "1" });
      const big = "x".repeat(300);
      await replica.change({ big, small: "1" });
      const server = await place.server();
      await server.restart({ limits: { itemBytes: 200 } });
      const report = await place.sync(replica);
      same("report", report, { sent: 1, rejected: [{ id: "big", reason: "ITEM_TOO_LARGE" }], verified: true });
      same("pending", await replica.pending(), [{ id: "big", rejected: "ITEM_TOO_LARGE" }]);
      await place.ends(replica, {
        items: { a: "1", big, small: "1" },
        server: { a: "1", small: "1" },
        pending: ["big"],
      });
      await server.restart({ limits: {} });
      same("report", await place.sync(replica), { sent: 1, rejected: [], verified: true });
      await place.ends(replica, { items: { a: "1", big, small: "1" } });
    },
  },
  {
    name: "local/rejected-change-lets-the-others-of-its-message-go",
    async run(place) {
      // Nothing is sent before the server has said that it takes less than it did.
      const limits = { eagerBytes: 100 };
      const replica = await place.equal({ a: "1" }, { limits });
      const big = "x".repeat(300);
      await replica.change({ before: "1", big, behind: "1" });
      await (await place.server()).restart({ limits: { ...limits, itemBytes: 200 } });
      const report = await place.sync(replica);
      same("report", report, { sent: 2, rejected: [{ id: "big", reason: "ITEM_TOO_LARGE" }], verified: true });
      const server = { a: "1", before: "1", behind: "1" };
      await place.ends(replica, { items: { ...server, big }, server, pending: ["big"] });
    },
  },
];
