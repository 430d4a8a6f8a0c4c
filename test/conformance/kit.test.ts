import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clientCases } from "../../scripts/conformance/cases.js";
import { holdTrips, Mismatch, same, sameSet } from "../../scripts/conformance/expect.js";
import { interopNames } from "../../scripts/conformance/interop.js";
import { toAscii } from "../../scripts/conformance/json.js";
import { matches } from "../../scripts/conformance/names.js";
import { probeServer } from "../../scripts/conformance/probe.js";
import { runCases } from "../../scripts/conformance/run-cases.js";
import { serverCases } from "../../scripts/conformance/server-cases.js";
import { startStreamServer } from "../../scripts/conformance/stream-server.js";
import { splitCommand } from "../../scripts/conformance/testee.js";

const kit = fileURLToPath(new URL("../../dist/scripts/conformance.js", import.meta.url));
const stub = fileURLToPath(new URL("stub-testee.js", import.meta.url));
let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "tercet-kit-test-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

interface Ran {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

function run(...args: readonly string[]): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(process.execPath, [kit, ...args], { encoding: "utf8" }, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

/** The kit on a stub that misbehaves like this, with one or a few cases. */
function runStub(how: string, only: string, ...more: readonly string[]): Promise<Ran> {
  return run("--testee", `"${process.execPath}" "${stub}" ${how}`, "--only", only, "--jobs", "1", ...more);
}

describe("the command line", () => {
  it("lists what there is, each name once", async () => {
    const { status, stdout } = await run("--list");
    const names = stdout.trimEnd().split("\n");
    expect(status).toBe(0);
    expect(names).toEqual([...clientCases, ...serverCases].map(({ name }) => name).concat(interopNames));
    expect(new Set(names).size).toBe(names.length);
    expect(clientCases.length).toBeGreaterThan(400);
    for (const name of names) expect(name).toMatch(/^[a-z0-9-]+(\/[A-Za-z0-9-]+)+$/);
  });

  it.each([
    ["an option that is none", ["--nonsense"]],
    ["a pattern that leaves nothing", ["--only", "no such case"]],
    ["two things to test, and jobs that are no number", ["--testee", "true", "--all", "--jobs", "x"]],
    ["a language that is none", ["--language", "cobol"]],
    ["a command of no words", ["--testee", " "]],
    ["a list that is not there", ["--known-failing", "/no/such/file", "--list"]],
  ])("ends with 2 for %s", async (_, args) => {
    const { status, stderr } = await run(...args);
    expect(status).toBe(2);
    expect(stderr).not.toBe("");
  });
});

describe("a testee that does not do its work", () => {
  it("that passes a case, ends with 0", async () => {
    const { status, stdout } = await runStub("idle", "local/an-unknown-command");
    expect(stdout).toBe("testee: 1 passed, 0 failed\n");
    expect(status).toBe(0);
  });

  it("that does nothing, fails, in one line that says what was expected", async () => {
    const { status, stdout } = await runStub("idle", "local/pending-changes-in-order");
    expect(status).toBe(1);
    expect(stdout).toContain(
      "FAILED local/pending-changes-in-order\n    first pull verified: expected true, came nothing\n",
    );
    expect(stdout).toContain("testee: 0 passed, 1 failed");
  });

  it.each([
    ["dead", "the testee ended (status 3)", "the stub will not live\n"],
    ["dies", "the testee ended (status 4)", "the stub breaks down\n"],
    ["garbage", 'the testee wrote what is no answer to any request: "Welcome to the stub!"', ""],
    ["silent", 'the testee did not answer to "hello" within 300 ms', ""],
  ])("that is of the kind %s, fails each case and is started anew for each", async (how, why, stderr) => {
    const cases = clientCases.filter(({ name }) =>
      ["local/empty-replica", "local/copies-go-their-own-ways"].includes(name),
    );
    const command = { argv: [process.execPath, stub, how] };
    const outcomes = await runCases(cases, { command, timeoutMs: how === "silent" ? 300 : 30_000, jobs: 1 });
    expect(outcomes).toMatchObject(
      cases.map(({ name }) => ({ name, result: "failed", why: `TesteeDied: ${why}`, stderr })),
    );
  });

  it("that lacks a feature, is not asked for it", async () => {
    const cases = clientCases.filter(({ name }) => name.startsWith("large/pushed"));
    const command = { argv: [process.execPath, stub, "featureless"] };
    const outcomes = await runCases(cases, { command, timeoutMs: 30_000, jobs: 2 });
    expect(outcomes.map(({ result, why }) => [result, why])).toEqual(cases.map(() => ["skipped", 'needs "chunks"']));
  });
});

describe("a client that seems to wait too often", () => {
  const command = { argv: [process.execPath, stub, "idle"] };
  const relay = { trips: 3, log: ["> open"] };

  it("is counted again with more patience, and has failed only if it waits then too", async () => {
    const runs: string[] = [];
    const count = (name: string, trips: readonly number[]) => ({
      name,
      run(): Promise<void> {
        runs.push(name);
        const nth = runs.filter((each) => each === name).length;
        return Promise.resolve().then(() => holdTrips({ ...relay, trips: trips[nth - 1] ?? 0 }, 2));
      },
    });
    const cases = [count("slow", [3, 2]), count("waits", [3, 3]), count("quick", [2])];
    const outcomes = await runCases(cases, { command, timeoutMs: 30_000, jobs: 1 });
    expect(outcomes.map(({ name, result }) => [name, result])).toEqual([
      ["slow", "passed"],
      ["waits", "failed"],
      ["quick", "passed"],
    ]);
    expect(outcomes[1]?.why).toBe("round trips: expected at most 2, came 3 (> open)");
    expect(runs).toEqual(["slow", "slow", "waits", "waits", "quick"]);
  });
});

describe("what is not there", () => {
  const nothing = "there is nothing to test\n    command: ";
  const words = `${process.execPath} ${stub}`;

  it.each([
    [
      "that can't be started",
      `"no such command" here`,
      `the testee can't be started: spawn no such command ENOENT: ${nothing}"no such command" here\n`,
    ],
    [
      "that ends at once",
      `${words} dead`,
      `the testee ended (status 3): ${nothing}${words} dead\n    stderr: the stub will not live\n`,
    ],
    [
      "whose first answer is none",
      `${words} greets`,
      `the testee wrote what is no answer to any request: "Welcome to the stub!": ${nothing}${words} greets\n`,
    ],
    [
      "that does not answer",
      `${words} silent`,
      `the testee did not answer to "hello" within 300 ms: ${nothing}${words} silent\n`,
    ],
  ])("of a testee %s, is said once, and the status is 2", async (_, command, said) => {
    const timeout = command.endsWith("silent") ? ["--timeout", "300"] : [];
    expect(await run("--testee", command, "--only", "local", ...timeout)).toEqual({
      status: 2,
      stdout: "",
      stderr: said,
    });
  });

  it.each([
    ["nobody listens", "127.0.0.1:1", "no server of tercet.v1 answers at 127.0.0.1:1: there is nothing to test\n"],
    ["is no address", "localhost:99999", '"localhost:99999" is no address of a server'],
  ])("of a server where %s, is said once, and the status is 2", async (_, address, said) => {
    const { status, stdout, stderr } = await run("--server", address);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toContain(said);
  });

  it("of a server that is another one, is said once", async () => {
    const server = await startStreamServer(async () => undefined);
    await expect(probeServer(server.address, 30_000)).rejects.toThrow(
      /^no server of tercet\.v1 answers at .*\n {4}UNIMPL/,
    );
    await server.stop();
  });
});

describe("known failures", () => {
  it("do not count, and successes are told", async () => {
    const path = join(directory, "known.txt");
    writeFileSync(
      path,
      "# what the stub can't do\nlocal/p*-in-order   # not at all\nlocal/an-unknown-command-is-refused\n\n",
    );
    const args = ["--known-failing", path] as const;
    const all = await runStub("idle", "local/pending", "--only", "local/an-unknown", ...args);
    expect(all.stdout).toContain("testee: local/an-unknown-command-is-refused is known to fail, and passed");
    expect(all.stdout).toContain("testee: 1 passed, 0 failed, 1 known to fail");
    expect(all.status).toBe(0);
  });
});

describe("the report for CI", () => {
  it("has every case with how it ended", async () => {
    const path = join(directory, "report.xml");
    const known = join(directory, "known-one.txt");
    writeFileSync(known, "local/pending-changes-in-order\n");
    const only = ["--only", "local/an-unknown", "--only", "local/delete-tells", "--only", "large/deleted"];
    await runStub("featureless", "local/pending", ...only, "--junit", path, "--known-failing", known);
    const xml = readFileSync(path, "utf8");
    expect(xml).toContain('<testsuite name="testee" tests="4" failures="1" skipped="2">');
    expect(xml).toMatch(/<testcase classname="testee" name="local\/an-unknown-command-is-refused" time="[\d.]+"\/>/);
    expect(xml).toMatch(
      /name="local\/delete-tells[^>]*><failure message="first pull verified: expected true, came nothing">/,
    );
    expect(xml).toMatch(/name="local\/pending-changes-in-order"[^>]*><skipped message="first pull/);
    expect(xml).toMatch(/name="large\/deleted"[^>]*><skipped message="needs &quot;chunks&quot;"\/>/);
  });
});

describe("the parts", () => {
  it("split commands like a shell would, without one", () => {
    expect(splitCommand(`a "b c" 'd "e"' f="g h"`)).toEqual(["a", "b c", 'd "e"', "f=g h"]);
  });

  it("match patterns", () => {
    expect(matches("cut/status/server/before-push", "cut/*/before")).toBe(true);
    expect(matches("cut/status/server/before-push", "status")).toBe(true);
    expect(matches("cut/status/server/before-push", "server*status")).toBe(false);
  });

  it("write lines in ASCII", () => {
    expect(toAscii({ id: "Zürich \u{1f600}" })).toBe('{"id":"Z\\u00fcrich \\ud83d\\ude00"}');
  });

  it("tell the first difference", () => {
    const came = { a: 1, list: [{ id: "x", extra: true }], bytes: Buffer.from("ab") };
    same("it", came, { list: [{ id: "x" }], bytes: Buffer.from("ab") });
    expect(() => same("it", came, { list: [{ id: "y" }] })).toThrow(
      new Mismatch('it.list[0].id: expected "y", came "x"'),
    );
    expect(() => same("it", came, { list: [] })).toThrow('it.list: expected [], came [{"id":"x","extra":true}]');
    expect(() => same("it", came, { bytes: Buffer.from("ac") })).toThrow('it.bytes: expected "6163", came "6162"');
    expect(() => same("it", came, { b: null })).toThrow("it.b: expected null, came nothing");
    sameSet("they", ["b", "a"], ["a", "b"]);
    expect(() => sameSet("they", ["b"], ["a"])).toThrow(Mismatch);
  });
});
