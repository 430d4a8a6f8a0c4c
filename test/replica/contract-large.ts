import { describe, expect, it } from "vitest";
import type { Action } from "../../client/replica/action.js";
import { GroupTooLarge } from "../../client/replica/local-items.js";
import type { OutgoingQuery } from "../../client/replica/outgoing-batch.js";
import type { Content } from "../../core/content.js";
import { fingerprintOf } from "../../core/fingerprint.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import { NOW, useReplica } from "./contract-world.js";
import { del, type Harness, LARGE, put } from "./drive.js";

const SERVER = ChangeStandard.CHANGE_STANDARD_SERVER;
const TEXT = "snow \u{2603} ".repeat(400);
const BYTES = Buffer.alloc(LARGE.wholeBytes + 777, "0123456789");
const SMALL = "small";
const ALL: OutgoingQuery = {
  select: { after: 0, through: Number.MAX_SAFE_INTEGER },
  maxBytes: 1000,
  maxChanges: 1000,
  eager: false,
};

/** Contents that are kept in pieces, and contents in the making, as every replica must keep them. */
export function describeLarge(name: string, open: () => Harness): void {
  describe(name, () => {
    const world = useReplica(open);

    function write(id: string, content: Content): void {
      world.replica.write([put(id, content)], NOW);
    }
    function take(id: string, content: Content, part: Partial<Extract<Action, { kind: "take" }>> = {}): void {
      const { upsert } = put(id, content);
      const [state] = world.replica.lookup([id]);
      const common = { sequence: state?.sequence ?? 0, revision: 3, modifyTimeUs: NOW, conflict: undefined };
      const action: Action = { kind: "take", id, ...common, upsert, ...part };
      expect(world.replica.apply({ actions: [action], nowUs: NOW }).stale).toEqual([]);
    }
    /** Contents in the making, as pieces of a few hundred bytes. */
    function stage(content: Buffer, text = false): number {
      let { key } = world.replica.stage({ text }, content.subarray(0, 300));
      for (let at = 300; at < content.length; at += 900)
        key = world.replica.stage(key, content.subarray(at, at + 900)).key;
      return key;
    }
    const pieces = (id: string, length: number): Buffer => {
      const found: Uint8Array[] = [];
      for (let at = 0; at < (world.replica.get(id)?.size ?? 0); at += length) {
        found.push(world.replica.readContent({ item: id }, at, length) as Uint8Array);
      }
      return Buffer.concat(found);
    };

    it("comes back as it was given, whole and in pieces, and says its size without being read", () => {
      world.replica.write([put("a", SMALL), put("b", BYTES), put("c", TEXT), put("d", SMALL), put("e", "")], NOW);
      take("f", TEXT);
      world.reopen();
      expect(
        world.replica.list({ prefix: "", after: "", limit: 9 }).map(({ id, size, text }) => [id, size, text]),
      ).toEqual([
        ["a", 5, true],
        ["b", BYTES.length, false],
        ["c", Buffer.byteLength(TEXT), true],
        ["d", 5, true],
        ["e", 0, true],
        ["f", Buffer.byteLength(TEXT), true],
      ]);
      expect(BYTES.equals(world.replica.get("b")?.content as Buffer)).toBe(true);
      expect([world.replica.get("c")?.content, world.replica.get("f")?.content]).toEqual([TEXT, TEXT]);
      for (const length of [1, 499, 500, 501, 5000]) expect(pieces("b", length).equals(BYTES)).toBe(true);
      for (const length of [1, 1000]) expect(pieces("c", length).toString()).toBe(TEXT);
      expect(pieces("a", 2).toString()).toBe(SMALL);
      expect(world.replica.audit()).toBeUndefined();
    });

    it("is read only in the version that was meant", () => {
      write("a", BYTES);
      const before = world.replica.get("a");
      const of = { item: "a", fingerprint: before?.fingerprint as Uint8Array };
      expect(world.replica.readContent(of, BYTES.length - 3, 99)).toEqual(BYTES.subarray(-3));
      expect(world.replica.readContent(of, BYTES.length, 99)?.length).toBe(0);
      write("a", TEXT);
      for (const gone of [of, { item: "b" }, { base: "a" }, { conflict: 1 }, { staged: 1 }] as const) {
        expect(world.replica.readContent(gone, 0, 99)).toBeUndefined();
      }
    });

    it("moves on with its item: to the base, into a record, and back", () => {
      take("a", BYTES);
      write("a", TEXT);
      expect(world.replica.getBase("a")).toMatchObject({ size: BYTES.length, text: false });
      expect(BYTES.equals(world.replica.getBaseContent("a") as Buffer)).toBe(true);
      expect(world.replica.readContent({ base: "a" }, 5, 4)?.toString()).toBe("5678");
      take("a", "theirs", { conflict: SERVER });
      world.reopen();
      expect(world.replica.getBase("a")).toBeUndefined();
      expect(world.replica.listConflicts(9, 9)).toMatchObject([{ size: Buffer.byteLength(TEXT), text: true }]);
      expect(world.replica.getConflict(1)?.content).toBe(TEXT);
      expect(world.replica.readContent({ conflict: 1 }, 0, 4)?.toString()).toBe("snow");
      const record = world.replica.getConflict(1);
      world.replica.settleConflict(1, true, NOW);
      expect(world.replica.get("a")?.content).toBe(TEXT);
      // Memory keeps what somebody holds; a file does not.
      if (name.includes("SQLite")) world.replica.write([del("a")], NOW);
      if (name.includes("SQLite")) expect(() => record?.content).toThrow("any more");
      world.replica.pruneConflicts(NOW + 1);
      expect(world.replica.audit()).toBeUndefined();
    });

    it("becomes theirs again by the base that is kept, without being given", () => {
      take("a", BYTES);
      write("a", SMALL);
      const fingerprint = fingerprintOf("a", BYTES);
      const upsert = { content: undefined, kept: true, fingerprint };
      take("a", "", { upsert, conflict: SERVER });
      expect(BYTES.equals(world.replica.get("a")?.content as Buffer)).toBe(true);
      write("a", SMALL);
      expect(() => take("a", "", { upsert: { ...upsert, fingerprint: fingerprintOf("a", "other") } })).toThrow("base");
      world.reopen();
      expect(world.replica.get("a")?.content).toBe(SMALL);
    });

    it("is sent piece by piece, under an upload id that stays with its version", () => {
      world.replica.write([put("a", SMALL), put("b", BYTES), put("c", SMALL)], NOW);
      const taken = (query: Partial<OutgoingQuery> = {}) => world.replica.takeOutgoing({ ...ALL, ...query });
      expect(taken().changes.map(({ id }) => id)).toEqual(["a"]);
      const { changes, more } = taken({ select: { after: 1, through: 9 } });
      expect([changes.map(({ id }) => id), more]).toEqual([["b"], true]);
      const upload = changes[0]?.upsert?.upload;
      expect(changes[0]?.upsert).toMatchObject({ content: undefined, size: BYTES.length });
      expect([upload?.begun, upload?.text, upload?.id.length]).toEqual([false, false, 16]);
      world.reopen();
      const again = taken({ select: { ids: ["b"] } }).changes[0];
      expect(again?.upsert?.upload).toMatchObject({ begun: true });
      expect(Buffer.from(again?.upsert?.upload?.id ?? []).equals(upload?.id as Buffer)).toBe(true);
      const of = { pending: "b", sequence: again?.sequence ?? 0 };
      expect(world.replica.readContent(of, 0, 5)?.toString()).toBe("01234");
      write("b", TEXT);
      expect(world.replica.readContent(of, 0, 5)).toBeUndefined();
      const other = taken({ select: { ids: ["b"] } }).changes[0]?.upsert?.upload;
      expect(other).toMatchObject({ begun: false, text: true });
      expect(Buffer.from(other?.id ?? []).equals(upload?.id as Buffer)).toBe(false);
    });

    it("is made in pieces by the application, and is written by its key", () => {
      const key = stage(Buffer.from(TEXT), true);
      const small = stage(Buffer.from("not large in the end"));
      const none = world.replica.stage({ text: true }, Buffer.alloc(0)).key;
      const upsert = (id: string, content: Content, staged: number) => {
        return { id, upsert: { content: undefined, staged, fingerprint: fingerprintOf(id, content) } };
      };
      const write = [upsert("a", TEXT, key), upsert("b", "not large in the end", small), upsert("c", "", none)];
      expect(() => world.replica.write(write, NOW, { items: 1, bytes: 1e6 })).toThrow(GroupTooLarge);
      expect(world.replica.write(write, NOW).sequences).toEqual([1, 2, 3]);
      expect(() => world.replica.stage(key, Buffer.from("more"))).toThrow("in the making");
      expect(() => world.replica.write([upsert("d", TEXT, key)], NOW)).toThrow("in the making");
      world.reopen();
      expect([world.replica.get("a")?.content, world.replica.get("c")?.content]).toEqual([TEXT, ""]);
      expect(Buffer.from("not large in the end").equals(world.replica.get("b")?.content as Buffer)).toBe(true);
      // What changes nothing is forgotten.
      const unused = stage(Buffer.from(TEXT), true);
      expect(world.replica.write([upsert("a", TEXT, unused)], NOW).sequences).toEqual([0]);
      expect(world.replica.readContent({ staged: unused }, 0, 1)).toBeUndefined();
    });

    it("is kept while it is downloaded, whatever happens, until it is taken or forgotten", () => {
      const download = { id: "a", revision: 7, modifyTimeUs: NOW, size: BYTES.length };
      const { key } = world.replica.stage({ text: false, download }, BYTES.subarray(0, 1200));
      expect(world.replica.stage({ text: true, download: { ...download, id: "b" } }, BYTES).offset).toBe(BYTES.length);
      world.reopen();
      expect(world.replica.listDownloads(["a", "c"])).toEqual([{ ...download, key, offset: 1200, text: false }]);
      expect(world.replica.readContent({ staged: key }, 1190, 99)?.toString()).toBe("0123456789");
      world.replica.stage(key, BYTES.subarray(1200));
      take("a", BYTES, { upsert: { content: undefined, staged: key, fingerprint: fingerprintOf("a", BYTES) } });
      expect(pieces("a", 700).equals(BYTES)).toBe(true);
      expect(world.replica.listDownloads(undefined).map(({ id }) => id)).toEqual(["b"]);
      // A later revision takes the place of an earlier one.
      const later = { ...download, id: "b", revision: 8 };
      world.replica.stage({ text: false, download: later }, BYTES.subarray(0, 10));
      expect(world.replica.listDownloads(undefined)).toMatchObject([{ id: "b", revision: 8, offset: 10 }]);
      const own = stage(BYTES);
      world.replica.unstage("downloads");
      expect(world.replica.listDownloads(undefined)).toEqual([]);
      expect(world.replica.readContent({ staged: own }, 0, 1)).toBeDefined();
      world.replica.unstage(own);
      expect(world.replica.readContent({ staged: own }, 0, 1)).toBeUndefined();
    });

    it("stays staged where an action on it is stale", () => {
      write("a", SMALL);
      const key = stage(BYTES);
      const upsert = { content: undefined, staged: key, fingerprint: fingerprintOf("a", BYTES) };
      const common = { revision: 3, modifyTimeUs: NOW, conflict: undefined, upsert };
      const action: Action = { kind: "take", id: "a", sequence: 9, ...common };
      expect(world.replica.apply({ actions: [action], nowUs: NOW }).stale).toEqual(["a"]);
      expect(world.replica.apply({ actions: [{ ...action, sequence: 1 }], nowUs: NOW }).stale).toEqual([]);
      expect(BYTES.equals(world.replica.get("a")?.content as Buffer)).toBe(true);
    });
  });
}
