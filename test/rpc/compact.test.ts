import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ErrorReason } from "../../gen/tercet/v1/error.js";
import { any, contentOf, sumOf, upsert } from "./build.js";
import { createTestClock, createTestLog, type TestClock, type TestLog } from "./clock.js";
import { startTestServer, type TestServer } from "./harness.js";
import { refusalOf } from "./refusal.js";

const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;
const collection = "c";
const REMOVED = "old tombstones, conflict records and uploads removed";

describe("old tombstones and conflict records", () => {
  let clock: TestClock;
  let log: TestLog;
  let started: TestServer[];
  beforeEach(() => {
    clock = createTestClock();
    log = createTestLog();
    started = [];
  });
  afterEach(async () => {
    for (const server of started) await server.stop();
  });

  async function start(options: Parameters<typeof startTestServer>[0] = {}): Promise<TestServer> {
    const server = await startTestServer({ logger: log.logger, ...options }, clock);
    started.push(server);
    return server;
  }

  /** A collection with `a` deleted at revision 3, `b` a day later at revision 4, and a conflict record of each. */
  async function fill({ api, create }: TestServer): Promise<Buffer> {
    await create(collection);
    await api.batchWriteItems({ collection, pushes: [upsert("a", "1"), upsert("b", "1")] });
    const token = (await api.listChanges({ collection })).checkpoint?.token ?? Buffer.alloc(0);
    await api.deleteItem({ collection, id: "a", precondition: any });
    clock.advance(DAY_MS);
    await api.deleteItem({ collection, id: "b", precondition: any });
    return token;
  }
  const through = (value: number) => ({ $case: "throughRevision", value }) as const;
  const olderThan = (ms: number) => ({ $case: "olderThanUs", value: ms * 1000 }) as const;
  const stateOf = async ({ api }: TestServer) => (await api.getCollection({ collection })).collection;

  it("are forgotten up to a revision or an age, as often as one likes, never back and never beyond the head", async () => {
    const test = await start();
    await fill(test);
    const compact = async (horizon: ReturnType<typeof through> | ReturnType<typeof olderThan>) =>
      (await test.api.compactCollection({ collection, horizon })).compactedRevision;
    expect(await compact(olderThan(DAY_MS + MINUTE_MS))).toBe(0);
    expect(await compact(olderThan(DAY_MS - MINUTE_MS))).toBe(3);
    expect(await compact(olderThan(DAY_MS - MINUTE_MS))).toBe(3);
    expect(await compact(through(0))).toBe(3);
    expect((await stateOf(test))?.compactedRevision).toBe(3);
    expect(await compact(through(Number.MAX_SAFE_INTEGER))).toBe(4);
    expect(await compact(olderThan(100 * DAY_MS))).toBe(4);
    expect(await stateOf(test)).toMatchObject({ revision: 4, compactedRevision: 4, fingerprint: { count: 0 } });
    // A write of now is never older than now.
    await test.api.writeItem({ collection, item: { id: "c", content: contentOf("1") }, precondition: any });
    expect(await compact(olderThan(0))).toBe(4);
    clock.advance(MINUTE_MS);
    expect(await compact(olderThan(0))).toBe(5);
  });

  it("cost a reader from before the horizon its token, in words and details, and nothing else", async () => {
    const test = await start();
    const before = await fill(test);
    const at = async () => (await test.api.listChanges({ collection })).checkpoint?.token ?? Buffer.alloc(0);
    const head = await at();
    await test.api.compactCollection({ collection, horizon: through(3) });
    const compacted = await refusalOf(test.api.listChanges({ collection, token: before }));
    expect(compacted).toMatchObject({ code: "FAILED_PRECONDITION", reason: "TOKEN_COMPACTED", fields: [] });
    expect(compacted.message).toContain("compacted up to 3");
    expect((await test.api.listChanges({ collection, token: head })).changes).toEqual([]);
    const stream = test.exchange();
    stream.open({ collection, token: before });
    expect((await stream.next("opened")).tokenRefused).toBe(ErrorReason.ERROR_REASON_TOKEN_COMPACTED);
    stream.end();
    const item = { id: "a", content: contentOf("1") };
    const precondition = { state: { $case: "absent", value: true }, revisionSeen: 2 } as const;
    // Whether it was deleted meanwhile is not known any more.
    const write = test.api.writeItem({ collection, item, precondition });
    expect((await refusalOf(write)).reason).toBe("PRECONDITION_FAILED");
  });

  it("go by themselves: at the start, and each time that the timer strikes", async () => {
    const test = await start({ tombstoneRetentionMs: DAY_MS / 2, conflictRetentionMs: 10 * DAY_MS });
    await fill(test);
    clock.strike();
    expect(await log.line(REMOVED)).toMatchObject({ compacted: 1, pruned: 0 });
    expect(await stateOf(test)).toMatchObject({ compactedRevision: 3, conflicts: 2 });
    clock.advance(DAY_MS);
    await test.restart();
    expect(await log.line(REMOVED)).toMatchObject({ compacted: 1, pruned: 0 });
    expect(await stateOf(test)).toMatchObject({ compactedRevision: 4, conflicts: 2, fingerprint: sumOf({}) });
    clock.advance(8 * DAY_MS + 1);
    clock.strike();
    expect(await log.line(REMOVED)).toMatchObject({ compacted: 0, pruned: 1 });
    expect((await test.api.listConflicts({ collection })).conflicts.map(({ id }) => id)).toEqual(["b"]);
  });

  it("stay for ever where that is said, and for 30 and 90 days where nothing is", async () => {
    const forever = await start({ tombstoneRetentionMs: 0, conflictRetentionMs: 0 });
    await fill(forever);
    clock.advance(1000 * DAY_MS);
    clock.strike();
    expect(await stateOf(forever)).toMatchObject({ compactedRevision: 0, conflicts: 2 });
    await forever.stop();
    const test = await start();
    await fill(test);
    clock.advance(30 * DAY_MS - MINUTE_MS);
    clock.strike();
    expect(await log.line(REMOVED)).toMatchObject({ compacted: 1, pruned: 0 });
    expect(await stateOf(test)).toMatchObject({ compactedRevision: 3, conflicts: 2 });
    clock.advance(60 * DAY_MS);
    clock.strike();
    expect(await log.line(REMOVED)).toMatchObject({ compacted: 1, pruned: 1 });
    expect(await stateOf(test)).toMatchObject({ compactedRevision: 4, conflicts: 1 });
  });

  it("are left alone by a server that drains", async () => {
    const test = await start({ tombstoneRetentionMs: DAY_MS });
    expect(clock.timers).toBe(1);
    await fill(test);
    const drained = test.server.drain();
    await log.line("draining");
    clock.advance(100 * DAY_MS);
    clock.strike();
    await drained;
    expect(clock.timers).toBe(0);
    await log.line("closed");
    const next = await start({ directory: test.directory, tombstoneRetentionMs: 0, conflictRetentionMs: 0 });
    expect(await stateOf(next)).toMatchObject({ compactedRevision: 0, conflicts: 2 });
  });
});
