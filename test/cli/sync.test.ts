import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { afterAll, beforeAll, describe, test } from "vitest";
import { desk, endDesks, ended, type Served, serve, serveForAll, spawnTercet } from "./harness.js";

afterAll(endDesks);

let server: Served;
beforeAll(async () => {
  server = await serveForAll();
});
afterAll(async () => {
  await server.stop();
});

/** A desk with two replicas of a new collection, which both hold `zrh`. */
async function twoReplicas(collection: string) {
  const here = desk({ TERCET_SERVER: server.address });
  const a = (args: readonly string[]) => [...args, "--replica", "a.replica"];
  const b = (args: readonly string[]) => [...args, "--replica", "b.replica"];
  await here.run(a(["put", "zrh", "first", "--collection", collection]));
  await here.one(a(["sync", "--create"]));
  await here.one(b(["sync", "--collection", collection]));
  return { here, a, b };
}

describe.concurrent("sync", () => {
  test("reports in JSON and in text, and says to create what is missing", async ({ expect }) => {
    const here = desk({ TERCET_SERVER: server.address, TERCET_REPLICA: "a.replica" });
    await here.run(["put", "zrh", "Zürich", "--collection", "report"]);
    const missing = await here.error(["sync"]);
    expect(missing).toMatchObject({ status: 1, code: "NOT_FOUND", reason: "COLLECTION_NOT_FOUND" });
    expect(missing["message"]).toContain("tercet sync --create");
    expect(await here.one(["sync", "--create"])).toMatchObject({
      collection: "report",
      standard: "SERVER",
      sent: 1,
      received: 0,
      deleted: 0,
      conflicts: [],
      rejected: [],
      contended: [],
      verified: true,
      unverified: null,
      revision: 1,
      count: 1,
    });
    const text = (await here.run(["sync"])).stdout;
    expect(text).toMatch(/^report: synced with 127\.0\.0\.1:\d+ by standard SERVER in [\d.]+ s\n/);
    expect(text).toMatch(
      / {2}sent {7}nothing\n {2}received {3}nothing\n {2}wire {7}1 round trip, \d+ B sent, \d+ B received\n/,
    );
    expect(text).toMatch(/ {2}verified {3}yes: 1 item, revision 1, fingerprint [0-9a-f]{12}\n$/);
  });

  test("by SERVER a conflict is kept here, and can be taken back", async ({ expect }) => {
    const { here, a, b } = await twoReplicas("by-server");
    await Promise.all([here.run(a(["put", "zrh", "mine"])), here.run(b(["put", "zrh", "theirs"]))]);
    await here.one(b(["sync"]));
    const text = await here.run(a(["sync", "--standard", "server"]));
    expect(text).toMatchObject({ status: 3, stderr: "" });
    expect(text.stdout).toContain("  conflicts  1\n    zrh: theirs prevailed, mine is kept here (SERVER)\n");
    expect(text.stdout).toContain("  1 conflict record remains: tercet conflicts list\n");
    // Until the record is settled, each exchange says so.
    const again = await here.one(a(["sync"]), 3);
    expect(again).toMatchObject({ conflictCount: 0, remaining: { conflicts: 1, rejected: 0, held: 0 } });
    expect(again["durationMs"]).toBe(Number(Number(again["durationMs"]).toFixed(3)));
    const record = {
      number: 1,
      id: "zrh",
      kind: "upserted",
      size: 4,
      standard: "SERVER",
      fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/),
      prevailed: expect.stringMatching(/^[0-9a-f]{64}$/),
      recordTime: expect.any(String),
      modifyTime: expect.any(String),
    };
    expect(await here.json(a(["conflicts", "list"]))).toEqual([record]);
    expect((await here.run(a(["conflicts", "list"]))).stdout).toMatch(/^NUMBER .*\n1 +zrh +upserted +4 /);
    expect(await here.one(a(["conflicts", "show", "1"]))).toEqual({ ...record, text: "mine" });
    expect((await here.run(a(["conflicts", "show", "1"]))).stdout).toMatch(
      /^1: zrh \(upserted\) gave way[\s\S]*\nmine\n$/,
    );
    expect((await here.run(a(["conflicts", "show", "1", "--raw"]))).stdout).toBe("mine");
    const gone = await here.error(a(["conflicts", "restore", "2"]));
    expect(gone).toMatchObject({ status: 1, reason: "CONFLICT_NOT_FOUND" });
    const held = await here.error(a(["conflicts", "resolve", "1", "--take", "mine"]));
    expect(held).toMatchObject({ status: 1, reason: "ITEM_HELD" });
    expect(held["message"]).toContain("tercet conflicts restore 1");
    expect(await here.one(a(["conflicts", "restore", "1"]))).toEqual({ number: 1, id: "zrh" });
    expect((await here.run(a(["get", "zrh"]))).stdout).toBe("mine\n");
    expect(await here.json(a(["conflicts", "list"]))).toEqual([]);
    expect(await here.one(a(["sync"]))).toMatchObject({ sent: 1, verified: true });
  });

  test("by CLIENT a conflict is kept on the server; drop forgets a record", async ({ expect }) => {
    const { here, a, b } = await twoReplicas("by-client");
    await Promise.all([here.run(a(["put", "zrh", "mine"])), here.run(b(["delete", "zrh"]))]);
    await here.one(b(["sync"]));
    const won = await here.run(a(["sync", "--standard", "CLIENT"]));
    expect(won.status).toBe(3);
    expect(won.stdout).toContain(`tercet conflicts list --server ${server.address} --collection by-client\n`);
    expect(await here.one(a(["sync"]))).toMatchObject({
      remaining: { conflicts: 0, rejected: 0, held: 0 },
      verified: true,
    });
    const ofServer = ["--server", server.address, "--collection", "by-client"];
    expect(await here.json(["conflicts", "list", ...ofServer])).toMatchObject([
      { number: 1, id: "zrh", kind: "deleted" },
    ]);
    expect(await here.one(["conflicts", "show", "1", ...ofServer])).toMatchObject({
      fingerprint: null,
      kind: "deleted",
    });
    // Nobody's in particular: neither column is this side's.
    expect((await here.run(["conflicts", "list", ...ofServer])).stdout).toMatch(
      /^NUMBER {2}ID {3}GAVE WAY {2}BYTES {2}FINGERPRINT {2}PREVAILED {5}BY {6}WHEN\n1 +zrh +deleted +- +- /,
    );
    const none = await here.error(["conflicts", "show", "9", ...ofServer]);
    expect(none).toMatchObject({ status: 1, reason: "CONFLICT_NOT_FOUND" });

    // The variable names a server too, and yet these are the replica's own records.
    await here.run(b(["put", "zrh", "again"]));
    expect(await here.one(b(["sync"]), 3)).toMatchObject({ conflictCount: 1 });
    expect(await here.json(b(["conflicts", "list"]))).toMatchObject([{ size: 5 }]);
    await here.one(b(["conflicts", "drop", "1"]));
    expect(await here.json(b(["conflicts", "list"]))).toEqual([]);
    expect((await here.run(b(["get", "zrh"]))).stdout).toBe("mine\n");
  });

  test("status and verify compare with the server", async ({ expect }) => {
    const { here, a, b } = await twoReplicas("compare");
    expect(await here.one(a(["status"]))).toMatchObject({ server: { standing: "equal", behind: 0, name: "compare" } });
    await here.run(b(["put", "gva", "Genf"]));
    await here.one(b(["sync"]));
    const status = await here.one(a(["status"]));
    await here.run(a(["put", "bsl", "Basel"]));
    expect(status).toMatchObject({ revision: 1, server: { standing: "behind", behind: 1, revision: 2, count: 2 } });
    expect((await here.run(a(["status"]))).stdout).toContain(
      "  standing   behind the server by 1 revision, and 1 pending change here\n",
    );
    expect(await here.one(a(["verify"]))).toMatchObject({ sound: true, server: { standing: "behind" } });
    await here.one(a(["sync"]));
    expect((await here.run(a(["verify"]))).stdout).toMatch(/^replica {2}sound: 3 items .*\nserver {3}equal\n$/);
  });

  test("what the server does not take is rejected, stays pending and ends with 3", async ({ expect }) => {
    const here = desk({ TERCET_REPLICA: "a.replica" });
    const small = await serve(here.directory, ["--item-limit", "1000"]);
    try {
      writeFileSync(here.path("large"), "x".repeat(2000));
      await here.run(["put", "large", "--file", "large", "--collection", "c"]);
      await here.run(["put", "small", "x"]);
      const sync = ["sync", "--server", small.address, "--create"];
      expect(await here.one(sync, 3)).toMatchObject({ sent: 1, rejected: [{ id: "large", reason: "ITEM_TOO_LARGE" }] });
      const text = await here.run(sync);
      expect(text.status).toBe(3);
      expect(text.stdout).toMatch(/ {2}rejected {3}1, they stay pending\n {4}large: ITEM_TOO_LARGE: /);
      expect(await here.json(["pending"])).toMatchObject([{ id: "large", rejected: { reason: "ITEM_TOO_LARGE" } }]);
    } finally {
      await small.stop();
    }
  });

  test("Ctrl-C in the middle of a push ends it with 130, and the next sync goes on", async ({ expect }) => {
    const here = desk({ TERCET_REPLICA: "a.replica" });
    const records = Array.from({ length: 8000 }, (_, at) => JSON.stringify({ id: `i-${at}`, text: "x".repeat(200) }));
    await here.run(["import", "-", "--id", "id", "--collection", "cut"], { input: records.join("\n") });
    const gate = await stoppingProxy(server.port, 400_000);
    const child = spawnTercet(["sync", "--create", "--server", `127.0.0.1:${gate.port}`, "--replica", "a.replica"], {
      cwd: here.directory,
    });
    const end = ended(child);
    await gate.stopped;
    child.kill("SIGINT");
    const { status, stdout, stderr } = await end;
    gate.close();
    expect({ status, stdout }).toEqual({ status: 130, stdout: "" });
    expect(stderr).toMatch(/^tercet: interrupted\..* the next sync goes on from there\n$/);
    expect(await here.one(["sync", "--create", "--server", server.address])).toMatchObject({
      verified: true,
      count: 8000,
    });
  });
});

test("an exchange that is cut says how far it came, and that the next one goes on", async ({ expect }) => {
  const items = Array.from({ length: 4000 }, (_, at) => JSON.stringify({ id: `i-${at}`, text: "x".repeat(200) }));
  const here = desk({ TERCET_REPLICA: "a.replica" });
  await here.run(["import", "-", "--id", "id", "--collection", "late"], { input: items.join("\n") });
  const [slow, broken] = await Promise.all([stoppingProxy(server.port, 400_000), stoppingProxy(server.port, 400_000)]);
  const late = await here.error(["sync", "--create", "--timeout", "3", "--server", `127.0.0.1:${slow.port}`]);
  slow.close();
  expect(late).toMatchObject({ status: 1, code: "DEADLINE_EXCEEDED" });
  expect(late["message"]).toMatch(
    /^not done before the deadline of 3 s .*the next sync goes on \([\d,]+ changes? sent, 0 changes received\)$/,
  );
  const lost = here.error(["sync", "--create", "--server", `127.0.0.1:${broken.port}`]);
  await broken.stopped;
  broken.close();
  expect((await lost)["message"]).toMatch(
    /^the connection to .* was lost; what was taken is kept, the next sync goes on \(/,
  );
});

/** A proxy that carries so many bytes to the server, and then no more. */
async function stoppingProxy(port: number, bytes: number) {
  const sockets: Socket[] = [];
  let stop: () => void = () => undefined;
  const stopped = new Promise<void>((resolve) => {
    stop = resolve;
  });
  const proxy = createServer((client) => {
    const upstream = connect(port, "127.0.0.1");
    sockets.push(client, upstream);
    for (const socket of [client, upstream]) socket.on("error", () => undefined);
    let left = bytes;
    upstream.pipe(client);
    client.on("data", (chunk) => {
      left -= chunk.length;
      if (left >= 0) upstream.write(chunk);
      else stop();
    });
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  return {
    port: (proxy.address() as AddressInfo).port,
    stopped,
    close() {
      for (const socket of sockets) socket.destroy();
      proxy.close();
    },
  };
}
