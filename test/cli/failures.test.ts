import { once } from "node:events";
import { copyFileSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { afterAll, describe, test } from "vitest";
import { createReplica } from "../../client/index.js";
import { openDatabase } from "../../core/sqlite.js";
import { atEnd, desk, endDesks, serve } from "./harness.js";

afterAll(endDesks);

/** Changes a replica file behind the back of everyone. */
function tamper(path: string, sql: string): void {
  const db = openDatabase(path);
  db.exec(sql);
  db.close();
}

/** Listens on a free port until the tests are done. */
async function listening(server: Server, sockets: Set<Socket> = new Set()): Promise<string> {
  server.on("connection", (socket: Socket) => sockets.add(socket.on("error", () => undefined)));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  atEnd(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe.concurrent("a replica file that can't be used", () => {
  test("is missing, a directory, or no replica", async ({ expect }) => {
    const { error, run, path, directory } = desk();
    writeFileSync(path("text"), "this is no SQLite file, and long enough to be told from an empty one");
    tamper(path("other.db"), "CREATE TABLE t (x)");
    const [missing, folder, text, other, words] = await Promise.all([
      error(["list", "--replica", "none"]),
      error(["list", "--replica", directory]),
      error(["list", "--replica", "text"]),
      error(["list", "--replica", "other.db"]),
      run(["list", "--replica", "none"]),
    ]);
    expect(missing).toMatchObject({ status: 1, code: "NOT_FOUND", reason: "REPLICA_NOT_FOUND" });
    expect(folder).toMatchObject({ status: 1, reason: "FILE_UNUSABLE" });
    expect(text).toMatchObject({ status: 1, code: "FAILED_PRECONDITION", reason: "REPLICA_FOREIGN" });
    expect(text["message"]).toMatch(/^text is not a SQLite file\. .*tercet init/);
    expect(other["message"]).toMatch(/^other\.db is a SQLite file, but not a replica of Tercet\./);
    expect(words.stderr).toBe(
      'tercet: there is no replica at none. Make one: tercet init --collection NAME --replica "none"\n  reason: REPLICA_NOT_FOUND\n',
    );
    expect(words.stdout).toBe("");
  });

  test("is of a later version, in use, damaged, or of another collection", async ({ expect }) => {
    const { error, path } = desk();
    const replica = createReplica(path("busy"), { collection: "c" });
    replica.put("a", "1");
    replica.close();
    for (const name of ["later", "damaged", "other"]) copyFileSync(path("busy"), path(name));
    tamper(path("later"), "PRAGMA user_version = 99");
    tamper(path("damaged"), "UPDATE progress SET base_count = 7");
    const db = openDatabase(path("busy"));
    atEnd(() => void db.close());
    db.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE");
    const [later, busy, damaged, other] = await Promise.all([
      error(["list", "--replica", "later"]),
      error(["list", "--replica", "busy"]),
      error(["verify", "--replica", "damaged"]),
      error(["put", "a", "2", "--replica", "other", "--collection", "d"]),
    ]);
    expect(later).toMatchObject({ status: 1, reason: "REPLICA_FOREIGN" });
    expect(later["message"]).toMatch(/schema version 99: a newer Tercet wrote it/);
    expect(busy).toMatchObject({ status: 1, code: "UNAVAILABLE", reason: "REPLICA_IN_USE" });
    expect(busy["message"]).toMatch(/^busy is in use by another process/);
    expect(damaged).toMatchObject({ status: 1, code: "DATA_LOSS", reason: "REPLICA_DAMAGED" });
    expect(other).toMatchObject({
      status: 1,
      reason: "OTHER_COLLECTION",
      message: "other is a replica of c, not of d",
    });
  });

  test("can't be made", async ({ expect }) => {
    const { error, run } = desk();
    await run(["init", "--collection", "c", "--replica", "there"]);
    const [there, name, nowhere] = await Promise.all([
      error(["init", "--collection", "c", "--replica", "there"]),
      error(["init", "--collection", "not a name", "--replica", "x"]),
      error(["init", "--collection", "c", "--replica", "no/where"]),
    ]);
    expect(there).toMatchObject({ status: 1, code: "ALREADY_EXISTS", reason: "REPLICA_EXISTS" });
    expect(name).toMatchObject({ status: 1, reason: "INVALID_COLLECTION_NAME" });
    expect(nowhere).toMatchObject({ status: 1, reason: "FILE_NOT_FOUND" });
    expect(nowhere["message"]).toBe("can't make no/where: there is no directory no");
    const written = await error(["export", "no/where/x.ndjson", "--replica", "there"]);
    expect(written["message"]).toBe("can't make no/where/x.ndjson: there is no directory no/where");
  });
});

describe.concurrent("input that is refused", () => {
  test("ids, contents and items that are not there", async ({ expect }) => {
    const { error, run, path } = desk({ TERCET_REPLICA: "a.replica" });
    await run(["init", "--collection", "c"]);
    writeFileSync(path("large"), Buffer.alloc(64 * 1024 * 1024 + 1, "x"));
    // One after the other: a replica file is for one process at a time.
    const empty = await error(["put", "", "x"]);
    expect(empty).toMatchObject({
      status: 1,
      code: "INVALID_ARGUMENT",
      reason: "INVALID_ID",
      fields: [{ field: "id" }],
    });
    expect(await error(["put", "x".repeat(513), "x"])).toMatchObject({ status: 1, reason: "INVALID_ID" });
    expect(await error(["put", "a\tb", "x"])).toMatchObject({ status: 1, reason: "INVALID_ID" });
    expect(await error(["put", "x", "--file", "large"])).toMatchObject({ status: 1, reason: "ITEM_TOO_LARGE" });
    expect(await error(["get", "x"])).toMatchObject({ status: 1, code: "NOT_FOUND", reason: "ITEM_NOT_FOUND" });
    expect(await error(["delete", "x"])).toMatchObject({ status: 1, reason: "ITEM_NOT_FOUND", ids: ["x"] });
    const text = await run(["put", "", "x"]);
    expect(text).toEqual({ status: 1, stdout: "", stderr: "tercet: id: must not be empty\n  reason: INVALID_ID\n" });
    expect((await run(["put", "", "x"], { env: { TERCET_DEBUG: "1" } })).stderr).toMatch(/\n {4}at /);
  });

  test("commands and flags that are not known, or not there", async ({ expect }) => {
    const { error, run } = desk();
    const usage = { status: 2, code: "INVALID_ARGUMENT", reason: "USAGE" };
    const refused = await Promise.all(
      [
        [],
        ["snyc"],
        ["collections"],
        ["collections", "gte"],
        ["list", "--replica", "a", "--wrong"],
        ["list", "extra", "--replica", "a"],
        ["list"],
        ["sync", "--replica", "a"],
        ["put", "x", "--replica", "a"],
        ["put", "x", "y", "--file", "z", "--replica", "a"],
        ["put", "x", "--file", "y", "--file", "z", "--replica", "a"],
        ["sync", "--standard", "nearest", "--replica", "a", "--server", "b"],
        ["sync", "--timeout", "soon", "--replica", "a", "--server", "b"],
        ["import", "x", "--replica", "a"],
        ["conflicts", "resolve", "1", "--replica", "a"],
        ["put", "--replica", "a"],
        ["put", "-dash", "x", "--replica", "a"],
        ["del", "x", "--replica", "a"],
        ["conflicts", "show"],
        ["sync", "--replica", "a", "--server", "host:99999"],
        ["status", "--replica", "a", "--server", "host:"],
      ].map((args) => error(args)),
    );
    for (const each of refused) expect(each).toMatchObject(usage);
    const messages = refused.map(({ message }) => String(message));
    expect(messages[1]).toContain("Did you mean sync?");
    expect(messages.at(-6)).toBe('<id> is missing in "tercet put --replica a --json"');
    expect(messages.at(-5)).toContain("stand behind --, as in `-- -dash`");
    expect(messages.at(-4)).toContain("Did you mean delete?");
    expect(messages.at(-3)).toContain("<which> is missing in");
    expect(messages[8]).toBe("the content is missing: give it as an argument or by --file FILE");
    expect(messages.at(-2)).toBe('"host:99999": a port is a number from 1 to 65535');
    expect(messages.at(-1)).toContain("is no address of a server");
    expect(messages[4]).toBe("Unknown argument: wrong");
    expect(messages[6]).toBe("name the replica file by --replica FILE or TERCET_REPLICA");
    expect(messages[11]).toBe('--standard can\'t be "NEAREST": choose one of "SERVER", "CLIENT", "NEWEST", "MANUAL"');
    const text = await run(["sync", "--replica", "a"]);
    expect(text.stderr).toBe(
      "tercet: name the server by --server HOST:PORT or TERCET_SERVER\nSee: tercet sync --help\n",
    );
    expect(text.status).toBe(2);
  });
});

describe.concurrent("a server that can't be used", () => {
  test("nothing listens, or not a gRPC server", async ({ expect }) => {
    const { error } = desk();
    const http = await listening(createHttpServer((_request, response) => response.end("hello")));
    const closing = await listening(createServer((socket) => socket.end("220 hello\r\n")));
    const silent = await listening(createServer(() => undefined));
    const [refused, web, other, mute, pushed] = await Promise.all([
      error(["collections", "list", "--server", "127.0.0.1:1"]),
      error(["collections", "list", "--server", http]),
      error(["sync", "--server", closing, "--replica", "c.replica", "--collection", "c"]),
      error(["collections", "list", "--server", silent, "--timeout", "0.5"]),
      error(["sync", "--server", "127.0.0.1:1", "--replica", "a.replica", "--collection", "c"]),
    ]);
    expect(refused).toMatchObject({ status: 1, code: "UNAVAILABLE", reason: "UNAVAILABLE" });
    expect(refused["message"]).toBe("can't reach a Tercet server at 127.0.0.1:1: nothing listens there");
    expect(web["message"]).toContain("does not speak gRPC (is it the right port");
    expect(other["message"]).toContain("does not speak gRPC (is it the right port");
    expect(mute).toMatchObject({ status: 1, code: "DEADLINE_EXCEEDED" });
    expect(mute["message"]).toContain("is it the right port?");
    expect(pushed["message"]).toBe(refused["message"]);
  });

  test("status and verify show what the replica holds all the same", async ({ expect }) => {
    const { one, run, error } = desk({ TERCET_REPLICA: "a.replica" });
    await run(["put", "x", "1", "--collection", "c"]);
    const env = { TERCET_SERVER: "127.0.0.1:1" };
    const text = await run(["status"], { env });
    expect(text).toMatchObject({ status: 0, stderr: "" });
    expect(text.stdout).toMatch(
      /^a\.replica: replica of c\n[\s\S]*\n {2}server {5}127\.0\.0\.1:1 unreachable: nothing/,
    );
    const gone = { address: "127.0.0.1:1", error: { code: "UNAVAILABLE", reason: "UNAVAILABLE" } };
    const json = await run(["status", "--json"], { env });
    expect(json.status).toBe(0);
    expect(JSON.parse(json.stdout)).toMatchObject({ pending: 1, server: gone });
    expect(await one(["status", "--server", "127.0.0.1:1"], 1)).toMatchObject({ pending: 1, server: gone });
    expect(await one(["verify", "--server", "127.0.0.1:1"], 1)).toMatchObject({ sound: true, server: gone });
    const verified = await run(["verify"], { env });
    expect(verified.status).toBe(1);
    expect(verified.stdout).toMatch(/^replica {2}sound: .*\nserver {3}127\.0\.0\.1:1 unreachable: nothing/);
    expect((await error(["sync"], { env }))["message"]).toContain("can't reach");
  });

  test("a replica that has met a server is not told to create its collection", async ({ expect }) => {
    const { one, error, run, directory } = desk({ TERCET_REPLICA: "a.replica" });
    const server = await serve(directory);
    try {
      const at = ["--server", server.address];
      await run(["put", "x", "1", "--collection", "c"]);
      await one(["sync", "--create", ...at]);
      await one(["collections", "delete", "c", "--yes", ...at]);
      for (const create of [[], ["--create"]]) {
        const refused = await error(["sync", ...create, ...at]);
        expect(refused["status"]).toBe(1);
        expect(refused["message"]).not.toMatch(/ --create/);
        expect(refused["message"]).toMatch(/pending changes are kept.*--recreate/);
      }
      expect(await one(["status", ...at], 1)).toMatchObject({ items: 1, server: { error: { code: "NOT_FOUND" } } });
    } finally {
      await server.stop();
    }
  });

  test("another server has a collection of that name", async ({ expect }) => {
    const { one, error, run, directory } = desk({ TERCET_REPLICA: "a.replica" });
    const server = await serve(directory);
    try {
      await run(["put", "x", "1", "--collection", "c"]);
      await one(["sync", "--server", server.address, "--create"]);
      const uid = (await one(["collections", "get", "c", "--server", server.address]))["uid"];
      await one(["collections", "delete", "c", "--yes", "--server", server.address]);
      const made = await one(["collections", "create", "c", "--server", server.address]);
      expect(made["uid"]).not.toBe(uid);
      expect(await one(["verify", "--server", server.address], 1)).toMatchObject({
        sound: true,
        revision: 1,
        agreed: { count: 1 },
        server: { standing: "different", revision: 0, count: 0, error: { reason: "DIFFERENT" } },
      });
      const deleted = await error(["sync", "--server", server.address]);
      expect(deleted).toMatchObject({ status: 1, reason: "COLLECTION_DELETED" });
      expect(deleted["message"]).toMatch(/pending changes are kept.*--recreate/);
      // Also where the new one holds the same and has gone on.
      await run(["put", "x", "1", "--replica", "b.replica", "--collection", "c"]);
      await run(["put", "y", "2", "--replica", "b.replica"]);
      await one(["sync", "--replica", "b.replica", "--server", server.address]);
      await run(["delete", "y", "--replica", "b.replica"]);
      await one(["sync", "--replica", "b.replica", "--server", server.address]);
      expect(await one(["verify", "--server", server.address], 1)).toMatchObject({ server: { standing: "different" } });
    } finally {
      await server.stop();
    }
  });
});
