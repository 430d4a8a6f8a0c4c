import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  connect,
  createReplica,
  METHODS,
  openReplica,
  type Replica,
  rebuildReplica,
  type SyncOptions,
} from "../../client/index.js";
import { startServer } from "../../server/index.js";
import { type Place, refusal, startPlace } from "./harness.js";

describe("what the library refuses", () => {
  let place: Place;
  let replica: Replica;
  beforeEach(async () => {
    place = await startPlace();
    replica = place.replica();
  });
  afterEach(() => place.stop());

  const bad: readonly [field: string, options: Partial<SyncOptions>][] = [
    ["timeoutMs", { timeoutMs: 0 }],
    ["timeoutMs", { timeoutMs: -1 }],
    ["timeoutMs", { timeoutMs: Number.NaN }],
    ["stepTimeoutMs", { stepTimeoutMs: 0 }],
    ["stepTimeoutMs", { stepTimeoutMs: -5 }],
    ["stepTimeoutMs", { stepTimeoutMs: "60" as never }],
    ["conflictRetentionMs", { conflictRetentionMs: -1 }],
    ["onHistoryChange", { onHistoryChange: "fork" as never }],
    ["limits.inlineBytes", { limits: { inlineBytes: -1 } }],
    ["resolver", { resolver: "mine" as never }],
    ["onProgress", { onProgress: true as never }],
    ["limits.windowItems", { limits: { windowItems: 1.5 } }],
    ["create", { create: "no" as never }],
    ["recreate", { recreate: 1 as never }],
    ["dryRun", { dryRun: 1 as never }],
    ["signal", { signal: {} as never }],
    ["client", { client: 5 as never }],
  ];
  it.each(bad)("an exchange with %s that makes no sense: %o", async (field, options) => {
    const told = await refusal(() => replica.sync({ server: place.server, create: true, ...options }));
    expect(told).toMatchObject({ code: "INVALID_ARGUMENT", reason: "INVALID_FIELD", fields: [field] });
    expect(replica.status().revision).toBe(0);
  });

  it("what programs in JavaScript leave out, by its name", async () => {
    const path = join(place.directory, "new.replica");
    const none = undefined as never;
    replica.put("y", "1");
    const calls: readonly [field: string, call: () => unknown, reason?: string][] = [
      ["path", () => createReplica(none, { collection: "c" })],
      ["options", () => createReplica(path, none)],
      ["collection", () => createReplica(path, {} as never), "INVALID_COLLECTION_NAME"],
      ["path", () => openReplica(none)],
      ["options", () => openReplica(path, null as never)],
      ["damagedPath", () => rebuildReplica(none, path)],
      ["newPath", () => rebuildReplica(path, none)],
      ["options", () => replica.sync(none)],
      ["server", () => replica.sync({} as never)],
      ["server", () => replica.sync({ live: true } as never)],
      ["options", () => replica.verify(none)],
      ["address", () => connect(none)],
      ["options", () => connect(place.server, null as never)],
      ["id", () => replica.put(none, "x"), "INVALID_ID"],
      ["content", () => replica.put("x", none)],
      ["items", () => replica.putMany(none)],
      ["items", () => replica.putMany({ x: "1" } as never)],
      ["items", () => replica.putMany(["xy"] as never)],
      ["content", () => replica.putMany([["x"]] as never)],
      ["changes", () => replica.transaction(none)],
      ["path", () => replica.putFile("x", none)],
      ["source", () => replica.putStream("x", none)],
      ["path", () => replica.putFile("x", 1n as never)],
      ["options", () => replica.putFile("x", path, null as never)],
      ["source", () => replica.putStream("x", "content" as never)],
      ["options", () => replica.putStream("x", [] as never, null as never)],
      ["options", () => replica.verdict("y", null as never)],
      ["options", () => replica.pruneConflicts(none)],
      ["options", () => replica.list(null as never)],
      ["limits", () => replica.sync({ server: place.server, limits: null as never })],
      ["backoff", () => replica.sync({ server: place.server, live: true, backoff: null as never }).ended],
      ["listener", () => replica.on("change", none)],
      ["prefix", () => replica.list({ prefix: 5 as never })],
      ["after", () => replica.list({ after: null as never })],
      ["options", () => replica.changes(null as never)],
      ["signal", () => replica.changes({ signal: {} as never })],
      ["signal", () => replica.sync({ server: place.server, live: true, signal: {} as never }).ended],
      ["signal", () => replica.put("y", "1").verdict({ signal: {} as never })],
    ];
    for (const [field, call, reason = "INVALID_FIELD"] of calls) {
      expect(await refusal(call)).toMatchObject({ code: "INVALID_ARGUMENT", reason, fields: [field] });
    }
    expect(existsSync(path)).toBe(false);
    expect(replica.status().items).toBe(1);
    await replica.putStream("x", [Buffer.from("pieces "), Buffer.from("in an array")] as never, { text: true });
    expect(replica.get("x")).toMatchObject({ content: "pieces in an array" });
  });

  it("options that nobody would listen to, by their names", async () => {
    const path = join(place.directory, "new.replica");
    const { server } = place;
    const calls: readonly [field: string, call: (other: object) => unknown][] = [
      ["resolve", (other) => replica.sync({ server, create: true, ...other })],
      ["resolve", (other) => replica.sync({ server, live: true, ...other }).ended],
      ["resolve", (other) => replica.verify({ server, ...other })],
      ["limits.resolve", (other) => replica.sync({ server, create: true, limits: other })],
      ["resolve", (other) => createReplica(path, { collection: "c", ...other })],
      ["resolve", (other) => openReplica(path, other)],
      ["resolve", (other) => rebuildReplica(path, `${path}2`, other)],
      ["resolve", (other) => connect(server, other)],
      ["resolve", (other) => replica.put("waits", "1").verdict(other)],
      ["resolve", (other) => replica.list(other)],
      ["resolve", (other) => replica.changes(other)],
      ["resolve", (other) => replica.putFile("x", path, other)],
      ["resolve", (other) => replica.putStream("x", process.stdin, other)],
      ["resolve", (other) => replica.pruneConflicts({ olderThanMs: 1, ...other })],
      ["backoff.resolve", (other) => replica.sync({ server, live: true, backoff: other }).ended],
    ];
    for (const [field, call] of calls) {
      const told = await refusal(() => call({ resolve: () => "mine" }));
      expect(told).toMatchObject({ code: "INVALID_ARGUMENT", reason: "INVALID_FIELD", fields: [field] });
    }
    expect(existsSync(path)).toBe(false);
    expect(replica.status().revision).toBe(0);
    for (const other of [{ tombstones: 1 }, { limits: { items: 1 } }] as object[]) {
      const directory = join(place.directory, "other");
      await expect(startServer({ directory, port: 0, ...other })).rejects.toThrow(
        /^(tombstones|limits\.items) is not known/,
      );
      expect(existsSync(directory)).toBe(false);
    }
  });

  it("errors are whole in a log that is JSON", async () => {
    const told = await replica.sync({ server: place.server }).catch((error: unknown) => error);
    expect(JSON.parse(JSON.stringify(told))).toMatchObject({
      name: "TercetError",
      message: expect.stringContaining("c"),
      code: "NOT_FOUND",
      reason: "COLLECTION_NOT_FOUND",
    });
  });

  it("options that this kind of exchange does not look at, by their names", async () => {
    const { server } = place;
    const none = (): void => undefined;
    const calls: readonly [field: string, call: () => unknown][] = [
      ["backoff", () => replica.sync({ server, create: true, backoff: { maxMs: 1 } } as never)],
      ["onState", () => replica.sync({ server, create: true, onState: none } as never)],
      ["onRecovery", () => replica.sync({ server, create: true, live: false, onRecovery: none } as never)],
      ["onState", () => replica.verify({ server, onState: none } as never)],
      ["resolver", () => replica.sync({ server, create: true, dryRun: true, resolver: () => "mine" })],
      ["onRecovery", () => replica.sync({ server, live: true, onRecovery: 1 as never }).ended],
    ];
    for (const [field, call] of calls) {
      expect(await refusal(call)).toMatchObject({ reason: "INVALID_FIELD", fields: [field] });
    }
    expect(replica.status().revision).toBe(0);
    const mine = (): "mine" => "mine";
    await replica.sync({ server, create: true, dryRun: false, resolver: mine, ...({ backoff: undefined } as object) });
  });

  it("takes options that say as much as nothing", async () => {
    for (const timeoutMs of [Infinity, 3e9]) {
      const report = await replica.sync({ server: place.server, create: true, timeoutMs, limits: {} });
      expect(report.verified).toBe(true);
    }
  });

  it("a list with a limit that is no number of items, at once", async () => {
    for (const limit of [-1, 0.5, Number.NaN]) {
      const told = await refusal(() => replica.list({ limit }));
      expect(told).toMatchObject({ code: "INVALID_ARGUMENT", reason: "INVALID_FIELD", fields: ["limit"] });
    }
    replica.putMany([
      ["a", "1"],
      ["b", "2"],
    ]);
    expect([...replica.list({ limit: 0 })]).toEqual([]);
    expect([...replica.list({ limit: 1 })].map(({ id }) => id)).toEqual(["a"]);
    expect([...replica.list({ limit: Infinity })]).toHaveLength(2);
  });

  it("a way to settle a record that there is none of, instead of forgetting the record", async () => {
    const told = await refusal(() => replica.resolveConflict(1, "Restore" as never));
    expect(told).toMatchObject({ code: "INVALID_ARGUMENT", fields: ["how"] });
  });

  it("addresses that are none", async () => {
    for (const address of ["", "host:99999", "host:65536", "host:0", "host:port", "a b"]) {
      const told = await refusal(() => connect(address));
      expect(told).toMatchObject({ code: "INVALID_ARGUMENT", reason: "INVALID_FIELD" });
      expect(told.message).toContain(`"${address}"`);
    }
    await connect("host:65535").close();
  });

  it("every method of a replica that is closed", async () => {
    replica.put("a", "1");
    const open = replica.list();
    open.next();
    replica.close();
    const calls: Record<Exclude<keyof Replica, "collection" | "close">, () => unknown> = {
      putFile: () => replica.putFile("a", "none"),
      putStream: () => replica.putStream("a", process.stdin),
      openContent: () => replica.openContent("a"),
      put: () => replica.put("a", "2"),
      putMany: () => replica.putMany([]),
      get: () => replica.get("a"),
      list: () => replica.list(),
      delete: () => replica.delete("a"),
      transaction: () => replica.transaction(() => undefined),
      pending: () => replica.pending(),
      conflicts: () => replica.conflicts(),
      conflict: () => replica.conflict(1),
      resolveConflict: () => replica.resolveConflict(1, "discard"),
      status: () => replica.status(),
      verdict: () => replica.verdict("a"),
      held: () => replica.held(),
      heldItem: () => replica.heldItem("a"),
      resolve: () => replica.resolve("a", "mine"),
      pruneConflicts: () => replica.pruneConflicts({ olderThanMs: 0 }),
      sync: () => replica.sync({ server: place.server }),
      verify: () => replica.verify({ server: place.server }),
      on: () => replica.on("change", () => undefined),
      off: () => replica.off("change", () => undefined),
      changes: () => replica.changes(),
      check: () => replica.check(),
      audit: () => replica.audit(),
    };
    const live = (): unknown => replica.sync({ server: place.server, live: true });
    const message = "this replica of c is closed";
    for (const [name, call] of Object.entries({ ...calls, live, "the next page": () => open.next() })) {
      expect([name, await refusal(call)]).toMatchObject([name, { code: "FAILED_PRECONDITION", message }]);
    }
    replica.close();
    openReplica(join(place.directory, "c.replica")).close();
  });

  it("calls on a connection that is closed", async () => {
    const connection = connect(place.server);
    await replica.sync({ server: connection, create: true });
    await connection.close();
    const message = `the connection to ${place.server} is closed`;
    const calls = [
      () => replica.sync({ server: connection }),
      () => connection.unary(METHODS.getCollection, { collection: "c" }),
    ];
    for (const call of calls) {
      expect(await refusal(call)).toMatchObject({ code: "FAILED_PRECONDITION", message });
    }
    expect((await replica.sync({ server: place.server })).verified).toBe(true);
  });

  it("a replica over a file that exists, told apart from any other failure", async () => {
    const path = join(place.directory, "c.replica");
    expect(await refusal(() => createReplica(path, { collection: "c" }))).toMatchObject({ code: "exists" });
    const nowhere = join(place.directory, "no", "c.replica");
    expect(await refusal(() => createReplica(nowhere, { collection: "c" }))).toMatchObject({
      code: "failed",
      message: `cannot create a replica at ${nowhere}: its directory does not exist`,
    });
  });
});
