import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { connect as connectTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { streamOver } from "../../scripts/conformance/stream-client.js";
import { createApi } from "./api.js";
import { connect } from "./harness.js";
import { refusalOf } from "./refusal.js";

const TERCET = fileURLToPath(new URL("../../dist/scripts/tercet.js", import.meta.url));

describe("tercet serve", () => {
  let directory: string;
  let children: ChildProcess[];
  beforeEach(() => {
    expect(existsSync(TERCET), "the command line is built (npm run build)").toBe(true);
    directory = mkdtempSync(join(tmpdir(), "tercet-serve-"));
    children = [];
  });
  afterEach(() => {
    for (const child of children) child.kill("SIGKILL");
    rmSync(directory, { recursive: true, force: true });
  });

  function start(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
    const child = spawn(process.execPath, [TERCET, "serve", ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...env },
    });
    children.push(child);
    const exit = once(child, "exit").then(([code]) => code as number | null);
    const errors = text(child.stderr);
    const ready = once(createInterface({ input: child.stdout }), "line").then(([line]) => String(line));
    return { child, exit, errors, ready };
  }

  it("says where it serves, in words or JSON, and ends with 0 after a drain", async () => {
    const first = start(["--data", directory, "--port", "0"]);
    const line = await first.ready;
    const [, address = ""] = / on (127\.0\.0\.1:\d+)$/.exec(line) ?? [];
    expect(line).toBe(`Tercet serves ${directory} on ${address}`);
    const client = connect(address);
    await createApi(client).createCollection({ collection: "c" });
    first.child.kill("SIGTERM");
    expect(await first.exit).toBe(0);
    client.close();
    expect(await first.errors).toMatch(/^\d\d:\d\d:\d\d info {2}serving .*\n.* draining .*\n.* closed\n$/);

    const second = start(["--json"], { TERCET_DATA: directory, TERCET_PORT: "0", TERCET_LOG_LEVEL: "silent" });
    const { address: again, port } = JSON.parse(await second.ready) as { address: string; port: number };
    expect(again).toBe(`127.0.0.1:${port}`);
    const other = connect(again);
    expect((await createApi(other).getCollection({ collection: "c" })).collection?.name).toBe("c");
    other.close();
    second.child.kill("SIGINT");
    expect(await second.exit).toBe(0);
    expect(await second.errors).toBe("");
  });

  it("waits for an open exchange after one signal, and not after a second one", async () => {
    const serve = start(["--data", directory, "--port", "0", "--json", "--grace", "3600", "--step-timeout", "3600"]);
    const { address } = JSON.parse(await serve.ready) as { address: string };
    const client = connect(address);
    const api = createApi(client);
    const stream = streamOver(client);
    stream.open({ collection: "c", create: true });
    await stream.next("opened");
    serve.child.kill("SIGTERM");
    // Until it has the signal, it goes on creating.
    let refusal = "";
    while (refusal === "") refusal = (await refusalOf(create(api)).catch(() => ({ reason: "" }))).reason;
    expect(refusal).toBe("GOING_AWAY");
    serve.child.kill("SIGTERM");
    expect(await serve.exit).toBe(1);
    expect((await stream.status()).code).not.toBe(status.OK);
    client.close();
  });

  it("ends after a drain, whoever holds on to a connection", async () => {
    const serve = start(["--data", directory, "--port", "0", "--json"]);
    const { port } = JSON.parse(await serve.ready) as { port: number };
    // Says nothing, and does not end its half where the server ends its own.
    const socket = connectTcp({ port, host: "127.0.0.1", allowHalfOpen: true }).on("error", () => undefined);
    await once(socket, "connect");
    serve.child.kill("SIGTERM");
    expect(await serve.exit).toBe(0);
    socket.destroy();
  });

  const create = (api: ReturnType<typeof createApi>) => api.createCollection({ collection: "other" });

  it("says in one line why it cannot start, and ends with 1", async () => {
    const serve = start(["--data", directory, "--port", "0"]);
    const port = /:(\d+)$/.exec(await serve.ready)?.[1] ?? "";
    const cases = [
      [["--data", directory, "--port", "0"], `the data directory ${directory} is in use by another server`],
      [["--data", join(directory, "b"), "--port", port], `cannot listen on 127.0.0.1:${port}: the port is in use`],
      [["--data", "/dev/null/data", "--port", "0"], "/dev/null is not a directory"],
      [["--data", TERCET, "--port", "0"], `cannot create the data directory ${TERCET}: ${TERCET} is not a directory`],
      [["--data", "/proc/nope/x", "--port", "0"], "cannot create the data directory /proc/nope/x"],
      [
        ["--data", join(directory, "c"), "--tls-cert", "/none", "--tls-key", "/none"],
        "--tls-cert: can't read /none: there is no such file",
      ],
    ] as const;
    const refused = cases.map(async ([args, why]) => {
      const other = start(args);
      expect(await other.exit).toBe(1);
      const said = await other.errors;
      expect(said).toMatch(/^tercet serve: [^\n]*\n$/);
      expect(said).toContain(why);
    });
    await Promise.all(refused);
  });

  it("refuses options that do not fit, and has the bounds in its help", async () => {
    const cases = [
      [["--message-limit", "16383"], "--message-limit must be a whole number from 16384 to 1048576"],
      [["--item-limit", "1073741825"], "--item-limit must be a whole number from 1 to 1073741824"],
      [["--inline-limit", "1.5"], "--inline-limit must be a whole number from 0 to 262144"],
      [["--eager-limit", "x"], "--eager-limit must be a whole number from 0 to 1048576"],
      [["--grace", "-1"], "--grace must be a number from 0 to "],
      [["--tls-cert", "/none"], "--tls-cert needs --tls-key, too"],
      [["--tls-key", "/none"], "--tls-key needs --tls-cert, too"],
    ] as const;
    const refused = cases.map(async ([args, why]) => {
      const other = start(["--data", join(directory, "never"), "--port", "0", ...args]);
      expect(await other.exit).not.toBe(0);
      expect(await other.errors).toContain(why);
    });
    await Promise.all(refused);
    expect(existsSync(join(directory, "never"))).toBe(false);
    const help = spawnSync(process.execPath, [TERCET, "serve", "--help"], { encoding: "utf8" }).stdout;
    for (const bounds of ["16384 to 1048576", "1 to 1073741824", "0 to 262144", "0 to 1048576"]) {
      expect(help.replace(/\s+/g, " ")).toContain(`(${bounds})`);
    }
  });
});
