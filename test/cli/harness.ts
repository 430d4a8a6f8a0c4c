import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createCliHost } from "./host.js";

/** The built binary. */
export const BINARY = fileURLToPath(new URL("../../dist/scripts/tercet.js", import.meta.url));

const cleanups: (() => void | Promise<void>)[] = [];

/** Removes what was made, and ends what was started: for `afterAll` of every file. */
export async function endDesks(): Promise<void> {
  await host.end();
  for (const cleanup of cleanups.splice(0)) await cleanup();
}

/** Does something when all tests of the file are done: several of them run at once. */
export function atEnd(cleanup: () => void | Promise<void>): void {
  cleanups.unshift(cleanup);
}

/** Whether every command is a process of its own, as for users: in CI. Else those are that are about the process. */
const PROCESSES = (process.env["TERCET_CLI_PROCESSES"] ?? "") !== "";
const host = createCliHost();

/** How a command ended, and what it wrote. */
export interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** How to run a command. */
export interface RunOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string | Uint8Array;
}

/** Nothing of whoever runs the tests reaches the commands. */
function environment(env: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  return { PATH: process.env["PATH"], HOME: process.env["HOME"], TMPDIR: tmpdir(), ...env };
}

/** Starts the built binary. */
export function spawnTercet(args: readonly string[], { cwd, env }: RunOptions): ChildProcess {
  return spawn(process.execPath, [BINARY, ...args], { cwd, env: environment(env), stdio: "pipe" });
}

/** Waits for the end of a command. */
export function ended(child: ChildProcess, input: string | Uint8Array = ""): Promise<Ran> {
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout?.on("data", (chunk: Buffer) => out.push(chunk));
  child.stderr?.on("data", (chunk: Buffer) => err.push(chunk));
  // The command need not read what it is given.
  child.stdin?.on("error", () => undefined);
  child.stdin?.end(input);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status) => {
      resolve({ status, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() });
    });
  });
}

/** A folder of a test's own, and commands that run in it. */
export interface Desk {
  readonly directory: string;
  path(name: string): string;
  /**
   * Runs a command; `env` is for all of this desk's commands. With `input` the built binary reads it in a process of its
   * own, else a process runs many commands, one after the other (`spawnTercet` starts one in any case).
   */
  run(args: readonly string[], options?: Partial<RunOptions>): Promise<Ran>;
  /** Runs it with `--json`, and reads the lines that it wrote; it must succeed, or end with `status`. */
  json(args: readonly string[], status?: number): Promise<Json[]>;
  /** The same where it wrote one object. */
  one(args: readonly string[], status?: number): Promise<Json>;
  /** Runs it with `--json`; the error object that it wrote, and its status. */
  error(args: readonly string[], options?: Partial<RunOptions>): Promise<Json & { readonly status: number | null }>;
}

/** Any JSON object. */
export type Json = Readonly<Record<string, unknown>>;

/** A desk that is removed when the tests are done. */
export function desk(env: Readonly<Record<string, string>> = {}): Desk {
  const directory = mkdtempSync(join(tmpdir(), "tercet-cli-"));
  atEnd(() => rmSync(directory, { recursive: true, force: true }));
  return deskIn(directory, env);
}

/** A desk in a folder that somebody else removes. */
export function deskIn(directory: string, env: Readonly<Record<string, string>> = {}): Desk {
  function run(args: readonly string[], options: Partial<RunOptions> = {}): Promise<Ran> {
    const { cwd = directory, input } = options;
    const both = { ...env, ...options.env };
    const alone = PROCESSES || input !== undefined || args.includes("-");
    if (!alone) return host.run({ args, cwd, env: environment(both) });
    return ended(spawnTercet(args, { cwd, env: both }), input);
  }

  async function json(args: readonly string[], status = 0): Promise<Json[]> {
    const ran = await run([...args, "--json"]);
    if (ran.status !== status) throw new Error(`tercet ${args.join(" ")} ended with ${ran.status}: ${ran.stderr}`);
    return ran.stdout
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Json);
  }

  return {
    directory,
    path: (name) => join(directory, name),
    run,
    json,
    async one(args, status) {
      const objects = await json(args, status);
      if (objects.length !== 1) throw new Error(`tercet ${args.join(" ")} wrote ${objects.length} objects`);
      return objects[0] as Json;
    },
    async error(args, options) {
      const { status, stdout, stderr } = await run([...args, "--json"], options);
      if (stdout !== "") throw new Error(`tercet ${args.join(" ")} wrote ${stdout}`);
      // Watching tells its states before.
      const { error } = JSON.parse(stderr.trimEnd().split("\n").at(-1) ?? "") as { error: Json };
      return { ...error, status };
    },
  };
}

/** `tercet serve` in a process of its own. */
export interface Served {
  readonly address: string;
  readonly port: number;
  stop(): Promise<Ran>;
}

/** Starts a server on a free port, with its data in `directory`. */
export function serve(directory: string, args: readonly string[] = []): Promise<Served> {
  const child = spawnTercet(["serve", "--data", join(directory, "data"), "--port", "0", "--json", ...args], {
    cwd: directory,
  });
  const end = ended(child);
  return new Promise((resolve, reject) => {
    let written = "";
    child.stdout?.on("data", (chunk: Buffer) => {
      written += chunk.toString();
      if (!written.includes("\n")) return;
      const { address, port } = JSON.parse(written) as { address: string; port: number };
      resolve({
        address,
        port,
        stop() {
          child.kill("SIGTERM");
          return end;
        },
      });
    });
    void end.then(({ stderr }) => reject(new Error(`the server ended: ${stderr}`)));
  });
}

/** A server for a whole test file; `stop` ends it and removes its data. */
export async function serveForAll(args: readonly string[] = []): Promise<Served & { readonly directory: string }> {
  const directory = mkdtempSync(join(tmpdir(), "tercet-cli-"));
  const served = await serve(directory, args);
  return {
    ...served,
    directory,
    async stop() {
      const ran = await served.stop();
      rmSync(directory, { recursive: true, force: true });
      return ran;
    },
  };
}
