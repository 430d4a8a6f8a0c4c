import { writeFileSync } from "node:fs";
import { afterAll, describe, test } from "vitest";
import { type Desk, desk, endDesks } from "./harness.js";

afterAll(endDesks);

/** A replica each of the collections flag, env and file, in files of those names. */
async function threeReplicas(): Promise<Desk> {
  const here = desk();
  await Promise.all(["flag", "env", "file"].map((name) => here.run(["init", "--replica", name, "--collection", name])));
  writeFileSync(here.path("tercet.json"), JSON.stringify({ replica: "file", json: true, port: 0, timeout: 5 }));
  return here;
}

describe.concurrent("configuration", () => {
  test("flags go before variables, and variables before the file", async ({ expect }) => {
    const { run } = await threeReplicas();
    const collection = async (args: string[], env: Record<string, string>) => {
      const { stdout, stderr } = await run(["status", ...args], { env });
      return stdout === "" ? stderr : (JSON.parse(stdout) as { collection: string }).collection;
    };
    const config = ["--config", "tercet.json"];
    // What is in the file, `json` as well, is in force; so all of these answer in JSON.
    expect(await collection(config, {})).toBe("file");
    expect(await collection([], { TERCET_CONFIG: "tercet.json" })).toBe("file");
    expect(await collection(["--config=tercet.json"], { TERCET_REPLICA: "" })).toBe("file");
    expect(await collection(config, { TERCET_REPLICA: "env" })).toBe("env");
    expect(await collection([...config, "--replica", "flag"], { TERCET_REPLICA: "env" })).toBe("flag");
    expect((await run(["status", ...config, "--no-json"])).stdout).toMatch(/^file: replica of file\n/);
    const quiet = await run(["status", ...config], { env: { TERCET_JSON: "0" } });
    expect(quiet.stdout).toMatch(/^file: replica of file\n/);
    const json = await run(["get", "none"], { env: { TERCET_JSON: "1", TERCET_REPLICA: "env" } });
    expect(JSON.parse(json.stderr)).toMatchObject({ error: { reason: "ITEM_NOT_FOUND" } });
  });

  test("variables that a command has no option for do not disturb it", async ({ expect }) => {
    const { run } = await threeReplicas();
    const env = {
      TERCET_SERVER: "nowhere:1",
      TERCET_COLLECTION: "x",
      TERCET_ID: "y",
      TERCET_WHATEVER: "z",
      TERCET_PORT: "1",
    };
    expect((await run(["list", "--replica", "flag"], { env })).status).toBe(0);
  });

  test("a file with a key that no command knows is refused, as is one that is no file of options", async ({
    expect,
  }) => {
    const { error, path } = await threeReplicas();
    writeFileSync(path("unknown.json"), '{"replica": "file", "replcia": "file"}');
    writeFileSync(path("nested.json"), '{"replica": {"file": "file"}}');
    writeFileSync(path("broken.json"), '{"replica": ');
    const [unknown, nested, broken, missing] = await Promise.all(
      ["unknown.json", "nested.json", "broken.json", "missing.json"].map((name) => error(["status", "--config", name])),
    );
    expect(unknown).toMatchObject({ status: 2, reason: "BAD_CONFIG" });
    expect(unknown?.["message"]).toBe('unknown.json: "replcia" is no option of any command');
    writeFileSync(path("camel.json"), '{"itemLimit": 5, "no_such": 1}');
    expect((await error(["status", "--config", "camel.json"]))["message"]).toBe(
      'camel.json: "itemLimit" (is "item-limit" meant?), "no_such" is no option of any command',
    );
    writeFileSync(path("typed.json"), '{"replica": 5}');
    const typed = await error(["status", "--config", "typed.json"]);
    expect(typed).toMatchObject({ status: 2, reason: "BAD_CONFIG" });
    expect(typed["message"]).toBe('typed.json: "replica" must be a string, not the number 5');
    expect(nested).toMatchObject({ status: 2, reason: "BAD_CONFIG" });
    expect(broken).toMatchObject({ status: 2, reason: "BAD_CONFIG" });
    expect(missing).toMatchObject({ status: 1, reason: "FILE_NOT_FOUND" });
  });
});

describe.concurrent("the program itself", () => {
  test("version, help and completion", async ({ expect }) => {
    const { run } = desk();
    const [version, help, serve, inner, script, commands, flags, standards, families] = await Promise.all([
      run(["--version"]),
      run(["--help"]),
      run(["serve", "--help"]),
      run(["conflicts", "resolve", "--help"]),
      run(["completion"]),
      run(["--get-yargs-completions", "tercet", "sy"]),
      run(["--get-yargs-completions", "tercet", "sync", "--s"]),
      run(["--get-yargs-completions", "tercet", "sync", "--standard", ""]),
      run(["--get-yargs-completions", "tercet", "conflicts", ""]),
    ]);
    expect(version).toEqual({ status: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/), stderr: "" });
    for (const word of ["serve", "sync", "collections", "Examples:", "TERCET_", "Exit status:"]) {
      expect(help.stdout).toContain(word);
    }
    expect(serve.stdout).toContain("--data");
    expect(inner.stdout).toContain("--take");
    expect(script.stdout).toContain("###-begin-tercet-completions-###");
    expect(commands.stdout.split("\n")).toContain("sync");
    expect(flags.stdout.split("\n")).toEqual(expect.arrayContaining(["--server", "--standard"]));
    expect(standards.stdout).toBe("SERVER\nCLIENT\nNEWEST\nMANUAL\n");
    expect(families.stdout.split("\n")).toEqual(expect.arrayContaining(["list", "show", "resolve"]));
  });

  test("no colour in a pipe or with NO_COLOR, colour where it is forced", async ({ expect }) => {
    const { run } = desk();
    const args = ["list", "--replica", "none"];
    const [pipe, forced, refused] = await Promise.all([
      run(args, { env: { CI: "true" } }),
      run(args, { env: { FORCE_COLOR: "1" } }),
      run(args, { env: { FORCE_COLOR: "1", NO_COLOR: "1" } }),
    ]);
    expect(pipe.stderr).toMatch(/^tercet: /);
    expect(forced.stderr.startsWith("\u001b[31mtercet:\u001b[39m ")).toBe(true);
    expect(refused.stderr).toMatch(/^tercet: /);
  });
});
