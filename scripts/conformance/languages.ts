import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./root.js";
import { splitCommand, type TesteeCommand } from "./testee.js";

/** Folder of the reference clients. */
const HOME = join(ROOT, "test/conformance");

/**
 * A reference client, as `testee.json` in its folder says. Commands are run in that folder, without a shell; `{root}` in
 * them is the folder of this repository.
 */
export interface Language {
  /** Name of its folder. */
  readonly name: string;
  /** Commands that succeed where the toolchain is there, for example `["python3 --version"]`. */
  readonly detect: readonly string[];
  /** Commands that build it. */
  readonly build: readonly string[];
  /** Commands that run its own tests, once it is built, where its build or this project's tests do not. */
  readonly test: readonly string[];
  /** The testee. */
  readonly run: string;
  /** Cases that are known to fail: a file in its folder. */
  readonly knownFailing?: string;
}

/** All reference clients beside the page, by name. */
export function languages(): readonly Language[] {
  const folders = readdirSync(HOME, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const found = folders.map(({ name }) => name).filter((name) => existsSync(join(HOME, name, "testee.json")));
  return found.sort().map((name) => {
    const told = JSON.parse(readFileSync(join(HOME, name, "testee.json"), "utf8")) as Partial<Language>;
    if (typeof told.run !== "string") throw new Error(`${name}/testee.json does not say how to run it`);
    return { detect: [], build: [], test: [], ...told, run: told.run, name };
  });
}

/** Why the toolchain of a client can't be had; undefined where it is there. */
export function missingTool(language: Language): string | undefined {
  for (const command of language.detect) {
    const { status, error } = runIn(language, command, "ignore");
    if (status !== 0) return `"${command}" ${error === undefined ? `ended with ${status}` : "can't be started"}`;
  }
  return undefined;
}

/**
 * Builds a client.
 *
 * @throws Error with what the build wrote.
 */
export function build(language: Language): TesteeCommand {
  runAll(language, language.build);
  return { argv: wordsOf(language.run), cwd: folderOf(language) };
}

/**
 * Runs a client's own tests.
 *
 * @throws Error with what they wrote, where one fails.
 */
export function test(language: Language): void {
  runAll(language, language.test);
}

function runAll(language: Language, commands: readonly string[]): void {
  for (const command of commands) {
    const { status, error, stdout, stderr } = runIn(language, command, "pipe");
    if (status !== 0) throw new Error(`"${command}" failed: ${error?.message ?? ""}\n${stdout}\n${stderr}`);
  }
}

/** A file of a client's folder. */
export function fileOf(language: Language, name: string): string {
  return join(folderOf(language), name);
}

function folderOf({ name }: Language): string {
  return join(HOME, name);
}

function wordsOf(command: string): string[] {
  return splitCommand(command).map((word) => word.replaceAll("{root}", ROOT));
}

function runIn(language: Language, command: string, stdio: "ignore" | "pipe") {
  const [file = "", ...args] = wordsOf(command);
  return spawnSync(file, args, { cwd: folderOf(language), stdio, encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
}
