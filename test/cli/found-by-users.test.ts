import { execFile } from "node:child_process";
import { cpSync, existsSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { checkArguments } from "../../client/cli/arguments.js";
import { explainRefusal } from "../../client/cli/sync-failure.js";
import { openReplica, TercetError } from "../../client/index.js";
import { openDatabase } from "../../core/sqlite.js";
import { CERTIFICATE, KEY } from "../client/tls-certificates.js";
import { atEnd, BINARY, desk, endDesks, type Served, serve, serveForAll } from "./harness.js";

/*
 * What somebody stumbled over who tried the commands from the README.
 */

let server: Served;
beforeAll(async () => {
  server = await serveForAll();
});
afterAll(async () => {
  await server.stop();
  await endDesks();
});

describe("a replica file that was made for nothing", () => {
  test("is removed again where the server has no such collection", async () => {
    const { directory, error } = desk({ TERCET_SERVER: server.address });
    for (const command of ["sync", "watch"]) {
      const refused = await error([command, "--replica", "a.replica", "--collection", "mistyped"]);
      expect(refused).toMatchObject({ status: 1, reason: "COLLECTION_NOT_FOUND" });
      expect(readdirSync(directory)).toEqual([]);
    }
  });

  test("is removed again where the item can't be put, or the server can't be reached", async () => {
    const { directory, error } = desk();
    const at = ["--replica", "a.replica", "--collection", "c"];
    expect(await error(["put", "", "x", ...at])).toMatchObject({ reason: "INVALID_ID" });
    expect(await error(["sync", "--server", "127.0.0.1:1", ...at])).toMatchObject({ code: "UNAVAILABLE" });
    expect(readdirSync(directory)).toEqual([]);
  });

  test("stays where it was there before, or holds changes", async () => {
    const { path, error, run, one } = desk({ TERCET_SERVER: server.address });
    await run(["init", "--replica", "empty", "--collection", "mistyped"]);
    await run(["put", "x", "1", "--replica", "changed", "--collection", "mistyped"]);
    for (const replica of ["empty", "changed"]) {
      expect(await error(["sync", "--replica", replica])).toMatchObject({ reason: "COLLECTION_NOT_FOUND" });
      expect(existsSync(path(replica))).toBe(true);
    }
    expect(await one(["status", "--replica", "changed"])).toMatchObject({ pending: 1 });
  });

  test("stays where a part of a large content has come, and the next sync goes on from there", async () => {
    const { path, error, one } = desk();
    writeFileSync(path("in"), Buffer.alloc(6 * MIB, 7));
    await one(["put", "large", "--file", "in", "--bytes", "--replica", "a.replica", "--collection", "parts"]);
    await one(["sync", "--replica", "a.replica", "--create", "--server", server.address]);
    const sync = ["sync", "--replica", "b.replica", "--collection", "parts", "--server", await cutter(4 * MIB)];
    expect(await error(sync)).toMatchObject({ status: 1, code: "UNAVAILABLE" });
    expect(existsSync(path("b.replica"))).toBe(true);
    expect(await one(sync)).toMatchObject({ received: 1, verified: true });
  });
});

const MIB = 1024 * 1024;

/** The address of a way to the server that is cut whenever so many bytes have come back through it. */
async function cutter(after: number): Promise<string> {
  const proxy = createServer((client) => {
    const upstream = connect(server.port, "127.0.0.1");
    const cut = (): void => {
      client.destroy();
      upstream.destroy();
    };
    for (const end of [client, upstream]) end.on("error", cut).on("close", cut);
    let came = 0;
    client.pipe(upstream).on("data", (bytes: Buffer) => {
      came += bytes.length;
      client.write(bytes);
      if (came > after) cut();
    });
  });
  atEnd(() => void proxy.close());
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  return `127.0.0.1:${(proxy.address() as AddressInfo).port}`;
}

describe("help", () => {
  test("has examples that work as they stand", async () => {
    const { run } = desk();
    const top = (await run(["--help"])).stdout;
    const names = [...top.matchAll(/^ {2}tercet (\S+)/gm)].map(([, name]) => String(name));
    const commands: string[][] = [];
    for (const name of names) {
      const inner = [...(await run([name, "--help"])).stdout.matchAll(new RegExp(`^ {2}tercet (${name} \\w+)`, "gm"))];
      const family = ["conflicts", "collections"].includes(name);
      commands.push(...(family ? inner.map(([, words]) => String(words).split(" ")) : [[name]]));
    }
    expect(commands.length).toBeGreaterThan(20);
    let examples = 0;
    for (const command of commands) {
      const { stdout } = await run([...command, "--help"]);
      const [options = "", shown = ""] = stdout.split("\nExamples:\n");
      // None is broken at the width of the page: it is copied as it stands.
      for (const line of (shown.split("\n\n")[0] ?? "").trimEnd().split("\n")) expect(line).toMatch(/tercet |^$/);
      const needed = [...options.matchAll(/^ {2,}(--[\w-]+) [\s\S]*?(?=^ {2,}--|(?![\s\S]))/gm)]
        .filter(([text]) => text.includes("[required]"))
        .map(([, name]) => String(name));
      for (const [, example] of shown.matchAll(new RegExp(`tercet ${command.join(" ")}( [^\\n]*)`, "g"))) {
        examples += 1;
        for (const name of needed) expect(`${command.join(" ")}${example}`).toContain(` ${name} `);
      }
    }
    expect(examples).toBeGreaterThan(25);
  });
});

describe("the words that name flags", () => {
  test.each(["help", "version", "completion"])("are ids and contents like any other: %s", async (word) => {
    const { run, json, one, path } = desk({ TERCET_REPLICA: "a.replica", TERCET_SERVER: server.address });
    await one(["init", "--collection", word]);
    for (const words of [
      ["zrh", word],
      ["gva", "--", word],
      [word, "x"],
    ]) {
      expect((await run(["put", ...words])).stdout).toMatch(new RegExp(`^put ${words[0]} `));
    }
    expect((await json(["list"])).map(({ id }) => id)).toEqual(["gva", word, "zrh"].sort());
    for (const id of ["zrh", "gva"]) expect(await one(["get", id])).toMatchObject({ text: word });
    for (const words of [[word], ["--", word]]) expect((await run(["get", ...words])).stdout.trim()).toBe("x");
    await one(["export", word]);
    expect(existsSync(path(word))).toBe(true);
    await one(["delete", "gva", word]);
    expect((await json(["list"])).map(({ id }) => id)).toEqual(["zrh"]);
    await one(["sync", "--create"]);
    expect(await one(["collections", "get", word])).toMatchObject({ name: word });
    await one(["collections", "delete", word, "--yes"]);
    expect((await json(["collections", "list"])).map(({ name }) => name)).not.toContain(word);
  });

  test("ask for help as flags, and where the name of a command stands", async () => {
    const { run } = desk();
    const texts = await Promise.all(
      [["--help"], ["help"], ["put", "--help"], ["help", "put"]].map((args) => run(args)),
    );
    for (const { status, stderr } of texts) expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const [top, word, put, ofPut] = texts.map(({ stdout }) => stdout);
    expect([word, ofPut]).toEqual([top, put]);
    const family = (await run(["conflicts", "--help"])).stdout;
    expect((await run(["conflicts", "help"])).stdout).toBe(family);
    const inner = (await run(["conflicts", "show", "--help"])).stdout;
    expect((await run(["help", "conflicts", "show"])).stdout).toBe(inner);
    expect(new Set([top, put, family, inner]).size).toBe(4);
    const refused = await run(["list", "help", "--replica", "a"]);
    expect(refused).toMatchObject({ status: 2, stdout: "" });
    expect(refused.stderr).toMatch(/^tercet: Unknown argument: help\nSee: tercet list --help\n$/);
  });
});

describe("arguments that are not UTF-8", () => {
  /** Through a shell: Node can't give such bytes to a process. */
  function inShell(cwd: string, line: string): Promise<{ status: number; stdout: string; stderr: string }> {
    return new Promise((resolve) => {
      const env = { ...process.env, NODE: process.execPath, TERCET: BINARY, TERCET_REPLICA: "a.replica" };
      execFile("sh", ["-c", line], { cwd, env }, (error, stdout, stderr) => {
        resolve({ status: Number(error?.code ?? 0), stdout, stderr });
      });
    });
  }

  test.skipIf(!existsSync("/proc/self/cmdline"))("are refused, and U+FFFD itself is taken", async () => {
    const { directory, run, json } = desk({ TERCET_REPLICA: "a.replica" });
    await run(["init", "--collection", "c"]);
    for (const words of ['"$(printf "caf\\351")" x', 'x "$(printf "caf\\351")"']) {
      const refused = await inShell(directory, `"$NODE" "$TERCET" put ${words}`);
      expect(refused).toMatchObject({ status: 2, stdout: "" });
      expect(refused.stderr).toMatch(/^tercet: the argument "caf\ufffd" is not UTF-8.*tercet import FILE --id FIELD/);
    }
    expect(await json(["list"])).toEqual([]);
    const taken = await inShell(directory, '"$NODE" "$TERCET" put "$(printf "caf\\357\\277\\275")" x');
    expect(taken).toMatchObject({ status: 0, stderr: "" });
    expect(await json(["list"])).toMatchObject([{ id: "caf\ufffd" }]);
  });

  test("are refused where the bytes can't be seen, and may be", () => {
    const text = (bytes: Uint8Array | undefined) => () => checkArguments(["put", "a\ufffd", "x"], () => bytes);
    expect(text(undefined)).toThrow(/the argument "a\ufffd" has a U\+FFFD, which stands for bytes that are not UTF-8/);
    expect(text(Buffer.from("node\0tercet\0put\0a\xff\0x\0", "latin1"))).toThrow(/is not UTF-8/);
    expect(text(Buffer.from("node\0tercet\0put\0a\ufffd\0x\0"))).not.toThrow();
    expect(() => checkArguments(["put", "a", "x"], () => undefined)).not.toThrow();
  });
});

describe("errors in words", () => {
  test("name the option of TLS and the file that are at fault", async () => {
    const { path, run, directory } = desk({ TERCET_SERVER: server.address });
    writeFileSync(path("cert.pem"), CERTIFICATE);
    writeFileSync(path("key.pem"), KEY);
    const cases: readonly [flags: readonly string[], status: number, words: string][] = [
      [["--tls-ca", "key.pem"], 2, "--tls-ca: key.pem is not a certificate in PEM"],
      [["--tls-ca", "nope.pem"], 1, "--tls-ca: can't use nope.pem: there is no such file or directory"],
      [["--tls-cert", "cert.pem"], 2, "--tls-cert needs --tls-key, too"],
      [["--tls-key", "key.pem"], 2, "--tls-key needs --tls-cert, too"],
      [["--tls-cert", "key.pem", "--tls-key", "key.pem"], 2, "--tls-cert: key.pem is not a certificate in PEM"],
    ];
    const before = readdirSync(directory);
    for (const [flags, status, words] of cases) {
      for (const command of [
        ["collections", "list"],
        ["sync", "--replica", "a.replica", "--collection", "c"],
      ]) {
        const refused = await run([...command, ...flags]);
        expect(refused).toMatchObject({ status, stdout: "" });
        expect(refused.stderr.split("\n")[0]).toBe(`tercet: ${words}`);
      }
    }
    expect(readdirSync(directory)).toEqual(before);
  });

  test("name the reason, of a replica file as of the server", async () => {
    const { path, run } = desk({ TERCET_REPLICA: "a.replica" });
    await run(["put", "x", "1", "--collection", "none-of-these"]);
    const refused = await run(["sync", "--server", server.address]);
    expect(refused.stderr).toMatch(/^tercet: there is no collection .*\n {2}reason: COLLECTION_NOT_FOUND\n$/);
    const db = openDatabase(path("a.replica"));
    db.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE");
    const busy = await run(["list"]);
    db.exec("ROLLBACK");
    db.close();
    expect(busy.stderr).toMatch(/ is in use by another process.*\n {2}reason: REPLICA_IN_USE\n$/);
    const damage = openDatabase(path("a.replica"));
    damage.exec("UPDATE progress SET base_count = 7");
    damage.close();
    expect((await run(["verify"])).stderr).toMatch(/^tercet: .*\n {2}reason: REPLICA_DAMAGED\n$/);
    const unreachable = await run(["sync", "--server", "127.0.0.1:1"]);
    expect(unreachable.stderr).toBe("tercet: can't reach a Tercet server at 127.0.0.1:1: nothing listens there\n");
  });

  test("of an item over the limit say that a sync tells the server's own, and it does", async () => {
    const { directory, path, run, one, error } = desk({ TERCET_REPLICA: "a.replica" });
    await run(["put", "x", "1", "--collection", "c"]);
    const syncWith = async (limit: string): Promise<void> => {
      const served = await serve(directory, ["--item-limit", limit]);
      await one(["sync", "--create", "--server", served.address]);
      await served.stop();
    };
    await syncWith("100");
    writeFileSync(path("file"), "x".repeat(150));
    for (const words of [["x".repeat(150)], ["--file", "file"]]) {
      const refused = await error(["put", "large", ...words]);
      expect(refused).toMatchObject({ status: 1, reason: "ITEM_TOO_LARGE" });
      expect(refused["message"]).toMatch(
        /is 150 bytes; an item has up to 100 by what this replica knows so far: a sync /,
      );
    }
    await syncWith("200");
    expect(await one(["put", "large", "--file", "file"])).toMatchObject({ size: 150 });
    expect((await run(["put", "--help"])).stdout.replace(/\s+/g, " ")).toContain("a sync tells a new replica so");
  });

  test("of a replica in use advise nothing that loses changes", async () => {
    const { path, run } = desk({ TERCET_REPLICA: "a.replica" });
    await run(["put", "x", "1", "--collection", "c"]);
    const held = openReplica(path("a.replica"));
    const { stderr } = await run(["put", "y", "2"]);
    held.close();
    // What is in the log beside it would be missing of a copy.
    expect(stderr).not.toMatch(/copy/);
    expect(stderr).toMatch(
      /Wait until .* `tercet watch` holds its replica for as long as it runs\n {2}reason: REPLICA_IN_USE/,
    );
    expect((await run(["watch", "--help"])).stdout.replace(/\s+/g, " ")).toMatch(
      /other commands on that file are refused.* only programs that use the library send changes live/,
    );
  });

  test("say no other way on where the same sync can be tried again", () => {
    const told = { code: "FAILED_PRECONDITION", reason: "TOKEN_COMPACTED" } as const;
    const underway = new TercetError("compacted; the next exchange recovers", { ...told, retryAfterMs: 0 });
    expect(explainRefusal(underway, undefined, "s")).toBe(underway);
    const refused = new TercetError("compacted", told);
    expect(explainRefusal(refused, undefined, "s")).toHaveProperty(
      "message",
      expect.stringMatching(/tercet export FILE/),
    );
  });

  test("say once that a restored server changed nothing", async () => {
    const { directory, path, run, one } = desk({ TERCET_REPLICA: "a.replica" });
    const before = await serve(directory);
    await run(["put", "x", "1", "--collection", "c"]);
    await one(["sync", "--create", "--server", before.address]);
    await before.stop();
    cpSync(path("data"), path("saved"), { recursive: true });
    const later = await serve(directory);
    await run(["put", "y", "2"]);
    await one(["sync", "--server", later.address]);
    await later.stop();
    rmSync(path("data"), { recursive: true });
    cpSync(path("saved"), path("data"), { recursive: true });
    const restored = await serve(directory);
    const stopped = await run(["sync", "--on-history-change", "stop", "--server", restored.address]);
    await restored.stop();
    expect(stopped.stderr).toMatch(/: it was restored or replaced; .*\n {2}reason: TOKEN_OTHER_HISTORY\n$/);
    expect(stopped.stderr.match(/kept\b/g)).toEqual(["kept"]);
  });
});
