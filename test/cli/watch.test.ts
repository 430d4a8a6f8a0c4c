import type { ChildProcess } from "node:child_process";
import { rmSync } from "node:fs";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { remainingView } from "../../client/cli/watch-view.js";
import { createReplica } from "../../client/index.js";
import { startCuttingProxy } from "../../scripts/soak/cutting-proxy.js";
import {
  atEnd,
  type Desk,
  desk,
  endDesks,
  type Json,
  type Served,
  serve,
  serveForAll,
  spawnTercet,
} from "./harness.js";

afterAll(endDesks);

let server: Served;
beforeAll(async () => {
  server = await serveForAll();
});
afterAll(async () => {
  await server.stop();
});

/** A `tercet watch` that runs. */
interface Watching {
  readonly child: ChildProcess;
  /** The next line of standard output, of standard error. */
  line(): Promise<string>;
  remark(): Promise<string>;
  /** Remarks up to the first one that is so. */
  until(pattern: RegExp): Promise<string>;
  /** Ends it by a signal; the lines that were not read. */
  end(
    signal?: NodeJS.Signals,
  ): Promise<{ readonly status: number | null; readonly out: string[]; readonly err: string[] }>;
  readonly ended: Promise<number | null>;
}

function lines(stream: NodeJS.ReadableStream | null): { next(): Promise<string>; rest(): string[] } {
  if (stream === null) throw new Error("no stream");
  const read: string[] = [];
  const waiting: ((line: string) => void)[] = [];
  createInterface({ input: stream }).on("line", (line) => {
    const resolve = waiting.shift();
    if (resolve === undefined) read.push(line);
    else resolve(line);
  });
  return {
    next() {
      const line = read.shift();
      return line === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(line);
    },
    rest: () => read.splice(0),
  };
}

function watch(here: Desk, args: readonly string[], address = server.address): Watching {
  const child = spawnTercet(["watch", "--server", address, ...args], { cwd: here.directory });
  atEnd(() => void child.kill("SIGKILL"));
  const [out, err] = [lines(child.stdout), lines(child.stderr)];
  const ended = new Promise<number | null>((resolve) => child.on("close", (status) => resolve(status)));
  return {
    child,
    line: out.next,
    remark: err.next,
    async until(pattern) {
      for (;;) {
        const remark = await err.next();
        if (pattern.test(remark)) return remark;
      }
    },
    async end(signal = "SIGINT") {
      child.kill(signal);
      const status = await ended;
      return { status, out: out.rest(), err: err.rest() };
    },
    ended,
  };
}

/** A desk, and in this process a replica of a new collection that holds `zrh`, all of which the server has. */
async function aReplica(collection: string) {
  const here = desk({ TERCET_SERVER: server.address });
  const replica = createReplica(here.path("a.replica"), { collection });
  atEnd(() => replica.close());
  const sync = () => replica.sync({ server: server.address, create: true });
  replica.put("zrh", "Zürich");
  await sync();
  return { here, replica, sync, b: ["--replica", "b.replica", "--collection", collection] };
}

describe.concurrent("watch", () => {
  test("prints what had changed and what changes, and ends in peace", async () => {
    const { here, replica, sync, b } = await aReplica("watched");
    const watching = watch(here, b);
    expect(await watching.line()).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z {2}upserted {2}zrh {2}7 bytes$/);
    expect(await watching.remark()).toBe(`connected to ${server.address}, catching up`);
    expect(await watching.remark()).toBe("caught up: 1 item at revision 1");
    replica.delete("zrh");
    await sync();
    expect(await watching.line()).toMatch(/Z {2}deleted {3}zrh$/);
    expect(await watching.end()).toEqual({ status: 0, out: [], err: ["stopped: 2 changes received, 0 changes sent"] });
    expect(await here.json(["list", "--replica", "b.replica"])).toEqual([]);
  });

  test("prints NDJSON with contents, and sends what the replica had pending", async () => {
    const { here, replica, sync, b } = await aReplica("json");
    await here.run(["put", "mine", "1", ...b]);
    const watching = watch(here, [...b, "--json", "--content"]);
    const next = async (): Promise<Json> => JSON.parse(await watching.line()) as Json;
    const told = await next();
    expect(told).toMatchObject({ id: "zrh", kind: "upserted", revision: 1, size: 7, text: "Zürich" });
    expect(told["fingerprint"]).toMatch(/^[0-9a-f]{64}$/);
    expect(await watching.until(/"live"/)).toBe('{"state":"live","revision":2,"count":2}');
    replica.put("logo", Buffer.from([1]));
    await sync();
    expect(await next()).toMatchObject({ id: "logo", size: 1, data: "AQ==" });
    expect(replica.get("mine")?.content).toBe("1");
    expect(await watching.end("SIGTERM")).toMatchObject({
      status: 0,
      out: [],
      err: [expect.stringMatching("stopped")],
    });
  });

  test("says in the end what remains to be decided", async () => {
    const { here, replica, sync, b } = await aReplica("remaining");
    await here.run(["sync", ...b]);
    replica.put("zrh", "Zurich");
    await sync();
    await here.run(["put", "zrh", "Züri", ...b]);
    const watching = watch(here, [...b, "--standard", "MANUAL"]);
    await watching.until(/^caught up/);
    const { status, err } = await watching.end();
    expect(status).toBe(3);
    expect(err.at(-1)).toMatch(/^1 item is held in conflict: tercet conflicts list/);
  });

  test.each([false, true])("tells what a recovery found, as sync does (--json: %s)", async (json) => {
    const here = desk();
    const before = await serve(here.directory);
    await here.run(["put", "x", "1", "--replica", "a.replica", "--collection", "c"]);
    await here.run(["put", "del", "1", "--replica", "a.replica"]);
    const sync = (replica: string, at: Served) =>
      here.one(["sync", "--create", "--server", at.address, "--replica", replica, "--collection", "c"]);
    await sync("a.replica", before);
    expect((await here.run(["backup", "--data", "data", "--to", "saved"])).status).toBe(0);
    await here.run(["put", "x", "2", "--replica", "a.replica"]);
    await here.run(["put", "y", "1", "--replica", "a.replica"]);
    await here.run(["delete", "del", "--replica", "a.replica"]);
    await sync("a.replica", before);
    await sync("b.replica", before);
    await before.stop();
    rmSync(here.path("data"), { recursive: true });
    expect((await here.run(["restore", "saved", "--data", "data"])).status).toBe(0);
    const restored = await serve(here.directory);
    const watching = watch(here, ["--replica", "b.replica", ...(json ? ["--json"] : [])], restored.address);
    if (json) {
      const { recovery } = JSON.parse(await watching.until(/"recovery"/)) as { recovery: Json };
      expect(recovery).toMatchObject({ why: "history", offeredCount: 2, returned: ["del"], returnedCount: 1 });
      await watching.until(/"live"/);
      const { status, err } = await watching.end();
      expect([status, JSON.parse(err.at(-1) ?? "")]).toMatchObject([
        0,
        { state: "stopped", recoveries: 1, contended: 0 },
      ]);
    } else {
      expect(await watching.until(/^recovery/)).toMatch(
        /^recovery {3}the server has another history.*3 items differed$/,
      );
      expect(await watching.remark()).toBe("restored   2 items that the server had lost, offered to it again");
      expect([await watching.remark(), await watching.remark()].sort()).toEqual(["  x", "  y"]);
      expect(await watching.remark()).toMatch(/^returned {3}1 item from before the backup/);
      expect(await watching.remark()).toBe("  del");
      await watching.until(/^caught up/);
      expect((await watching.end()).status).toBe(0);
    }
    await restored.stop();
  });

  test("says in the end what is contended, among what remains", () => {
    const nothing = { conflicts: 0, rejected: 0, held: 0 };
    const contended = { contended: ["x"], contendedCount: 1 };
    expect(remainingView(nothing, { contended: [], contendedCount: 0 }, false)).toEqual([]);
    const lines = ["contended  1, others were faster; they stay pending", "  x"];
    expect(remainingView(nothing, contended, false)).toEqual(lines);
    expect(remainingView({ ...nothing, held: 1 }, contended, true)).toEqual([
      '{"remaining":{"conflicts":0,"rejected":0,"held":1,"contended":1}}',
    ]);
  });

  test("keeps quiet of what had changed before, where it is to", async () => {
    const { here, replica, sync, b } = await aReplica("quiet");
    const watching = watch(here, [...b, "--quiet-catch-up", "--content"]);
    await watching.until(/^caught up/);
    replica.put("gva", "Genève\nGenf");
    await sync();
    expect(await watching.line()).toMatch(/gva {2}Genève Genf$/);
    expect(await watching.end()).toMatchObject({ status: 0, out: [] });
  });

  test("says that it lost the connection, and goes on where it is back", async () => {
    const { here, replica, sync, b } = await aReplica("cut");
    const proxy = await startCuttingProxy(server.port);
    const watching = watch(here, [...b, "--quiet-catch-up"], proxy.address);
    await watching.until(/^caught up/);
    proxy.cut();
    expect(await watching.until(/^not connected/)).toMatch(/; trying again (in \d+\.\d s|at once)$/);
    replica.put("gva", "1");
    await sync();
    expect(await watching.line()).toMatch(/upserted {2}gva/);
    expect(await watching.end()).toMatchObject({ status: 0, out: [] });
    proxy.close();
  });

  test("ends with what trying again would not help, as sync does", async () => {
    const here = desk();
    const watching = watch(here, ["--replica", "x.replica", "--collection", "nothing", "--json"]);
    expect(await watching.ended).toBe(1);
    const { error } = JSON.parse(await watching.until(/"error"/)) as { error: Json };
    expect(error).toMatchObject({ code: "NOT_FOUND", reason: "COLLECTION_NOT_FOUND" });
    const usage = await here.error(["watch", "--server", "a b", "--replica", "x.replica"]);
    expect(usage).toMatchObject({ status: 2 });
    expect(await here.error(["watch", "--server", server.address, "--replica", "none.replica"])).toMatchObject({
      status: 1,
      reason: "REPLICA_NOT_FOUND",
    });
  });

  test("ends quietly when nobody reads any more", async () => {
    const { here, replica, sync, b } = await aReplica("pipe");
    const watching = watch(here, b);
    await watching.line();
    watching.child.stdout?.destroy();
    replica.put("gva", "1");
    await sync();
    expect(await watching.ended).toBe(0);
    expect((await here.one(["status", "--replica", "b.replica"]))["items"]).toBe(2);
  });

  test("waits for a server, and can be interrupted meanwhile", async () => {
    const here = desk();
    const gone = await serve(here.directory);
    await gone.stop();
    const watching = watch(here, ["--replica", "x.replica", "--collection", "later"], gone.address);
    expect(await watching.remark()).toMatch(
      /^not connected: can't reach .*: nothing listens there; trying again (in |at once)/,
    );
    expect((await watching.end()).status).toBe(0);
  });
});
