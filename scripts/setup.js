// Sets up a checkout: installs the dependencies and builds dist/, each only when something changed, so that a second
// call returns at once. It needs nothing but Node, npm and (on Node 20) a C++ toolchain, and runs before node_modules
// exists, so it is plain JavaScript without dependencies. `npm test` and `npm run demo` start with it.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const installStamp = join(root, "node_modules", ".tercet-install");
const buildStamp = join(root, "dist", ".tercet-build");
const lock = join(root, ".tercet-setup.lock");

/** What tsconfig.json compiles. */
const sourceFolders = ["gen", "core", "server", "client", "scripts"];

/** Files that dist/ needs beside the compiled ones. */
const assets = ["gen/descriptor.binpb"];

/** From here on better-sqlite3 13 is used, which ships its binaries; before, 12.x, which compiles itself if need be. */
const firstMajorWithPrebuilds = 22;

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);

/** A setting of an outer npm (`npm test --ignore-scripts`, a workspace, a dry run ...) that must not reach `npm ci`. */
const leakedSettings =
  /^npm_config_(allow_scripts|call|dry_run|force|global|global_prefix|global_style|if_present|ignore_scripts|include|include_workspace_root|install_links|install_strategy|json|local_prefix|location|long|node_options|omit|only|optional|package|package_lock|package_lock_only|parseable|prefer_dedupe|prefix|production|save.*|strict_allow_scripts|workspaces?)$|^npm_(lifecycle|package)_/i;

/**
 * @param {string} message
 * @returns {never}
 */
function fail(message) {
  process.stderr.write(`\nset-up failed: ${message}\n`);
  process.exit(1);
}

/** @param {string} message */
function say(message) {
  process.stderr.write(`set-up: ${message}\n`);
}

/** @param {string} path */
function readText(path) {
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
}

/** What the installed node_modules depends on. */
function installState() {
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const wanted = [
    manifest.dependencies,
    manifest.optionalDependencies,
    manifest.devDependencies,
    manifest.allowScripts,
  ];
  const hash = createHash("sha256").update(JSON.stringify(wanted));
  hash.update(readText(join(root, "package-lock.json")) ?? "");
  return `${hash.digest("hex")} node ${major} abi ${process.versions.modules} ${process.platform} ${process.arch}\n`;
}

/** The settings for `npm ci`: the user's own, less what leaks from an outer npm, plus where Node's headers lie. */
function npmEnvironment() {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !leakedSettings.test(name)));
  const prefix = dirname(dirname(realpathSync(process.execPath)));
  const headersSet = Object.keys(env).some((name) => /^npm_config_(nodedir|disturl)$/i.test(name));
  if (!headersSet && existsSync(join(prefix, "include", "node", "node.h"))) {
    // npm 11 and later warn of settings that they do not know; the node-gyp in npm 10 knows only the old name.
    const npmMajor = Number(/^npm\/(\d+)/.exec(env["npm_config_user_agent"] ?? "")?.[1] ?? 0);
    env[npmMajor >= 11 ? "npm_package_config_node_gyp_nodedir" : "npm_config_nodedir"] = prefix;
  }
  env["JOBS"] ??= "max";
  return env;
}

/** @param {string[]} args */
function npm(args) {
  const cli = process.env["npm_execpath"];
  /** @type {import("node:child_process").SpawnSyncOptions} */
  const options = { cwd: root, env: npmEnvironment(), stdio: ["ignore", 2, 2] };
  const result = cli?.endsWith("npm-cli.js")
    ? spawnSync(process.execPath, [cli, ...args], options)
    : spawnSync("npm", args, { ...options, shell: process.platform === "win32" });
  if (result.error) {
    fail(`npm could not be started (${result.error.message}). Install Node with npm.`);
  }
  return result.status === 0;
}

/** Why better-sqlite3 can't be used, or undefined. Optional dependencies fail silently, so npm's status says nothing. */
function databaseProblem() {
  const name = major >= firstMajorWithPrebuilds ? "better-sqlite3-node22" : "better-sqlite3";
  const script = `new (require(${JSON.stringify(name)}))(":memory:").close()`;
  const result = spawnSync(process.execPath, ["-e", script], { cwd: root, encoding: "utf8" });
  const reason =
    (result.stderr ?? "").split("\n").find((line) => line.includes("Error")) ?? `it ended with ${result.signal}`;
  return result.status === 0 ? undefined : `${name} does not load: ${reason}`;
}

function install() {
  const base = ["ci", "--include=dev", "--include=optional", "--no-audit", "--no-fund", "--no-update-notifier"];
  const manual = "Install needs the package registry; run `npm ci` to see it alone.";
  say(`installing dependencies for Node ${process.versions.node} (the first time may take a minute or two)`);
  rmSync(installStamp, { force: true });
  // Where better-sqlite3 13 brings its binary, no install script is needed, least of all 12.x compiling in vain.
  const prebuilt = major >= firstMajorWithPrebuilds;
  if (!npm(prebuilt ? [...base, "--ignore-scripts"] : base)) {
    fail(`npm ci failed, its messages are above. ${manual}`);
  }
  let problem = databaseProblem();
  if (problem !== undefined && prebuilt) {
    say("no binary of better-sqlite3 fits this platform, compiling it");
    npm(["rebuild", "better-sqlite3-node22", "--foreground-scripts"]);
    problem = databaseProblem();
  }
  if (problem !== undefined) {
    fail(`${problem}

better-sqlite3 compiles itself where no ready binary can be had. That takes a C++ toolchain and Python 3:
  Debian, Ubuntu:  apt install build-essential python3
  Fedora:          dnf install gcc-c++ make python3
  Alpine:          apk add build-base python3
  macOS:           xcode-select --install
and Node's headers: beside the node binary (../include/node), or wherever npm_config_nodedir points, or from the network.
Then run the command again. \`npm install --no-save --foreground-scripts better-sqlite3@12\` shows the compiler's messages.`);
  }
  writeFileSync(installStamp, installState());
}

/** @returns {string[]} the sources that dist/ is built from, relative to the root */
function sources() {
  return (
    sourceFolders
      .filter((folder) => existsSync(join(root, folder)))
      .flatMap((folder) =>
        readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((f) => join(folder, f)),
      )
      // Scripts have packages of their own (scripts/*/node_modules), which are not compiled.
      .filter((file) => file.endsWith(".ts") && !file.includes("node_modules"))
      .sort()
  );
}

/** What dist/ depends on: one line a file, with size and modify time. */
function buildState() {
  const files = [...sources(), ...assets, "tsconfig.json", "node_modules/.tercet-install"];
  const lines = files
    .filter((file) => existsSync(join(root, file)))
    .map((file) => {
      const { size, mtimeMs } = statSync(join(root, file));
      return `${file} ${size} ${mtimeMs}`;
    });
  return `${lines.join("\n")}\n`;
}

/** @param {string} source */
function compiled(source) {
  return join(root, "dist", source.replace(/\.ts$/, ".js"));
}

/** Compiled files without a source, or sources that were compiled once and whose output is gone. */
function outputIsStale() {
  const before = (readText(buildStamp) ?? "").split("\n").map((line) => line.split(" ")[0] ?? "");
  const now = new Set(sources());
  return before.some((file) => file.endsWith(".ts") && (!now.has(file) || !existsSync(compiled(file))));
}

function build() {
  if (outputIsStale() || !existsSync(buildStamp)) {
    rmSync(join(root, "dist"), { recursive: true, force: true });
  }
  const state = buildState();
  rmSync(buildStamp, { force: true });
  const tsc = createRequire(import.meta.url).resolve("typescript/package.json");
  const result = spawnSync(
    process.execPath,
    [join(dirname(tsc), "bin", "tsc"), "--project", join(root, "tsconfig.json")],
    {
      cwd: root,
      stdio: ["ignore", 2, 2],
    },
  );
  if (result.status !== 0) {
    fail("the sources do not compile, the messages are above.");
  }
  for (const asset of assets.filter((file) => existsSync(join(root, file)))) {
    cpSync(join(root, asset), join(root, "dist", asset));
  }
  const binary = join(root, "dist", "scripts", "tercet.js");
  if (existsSync(binary)) {
    chmodSync(binary, 0o755);
  }
  mkdirSync(dirname(buildStamp), { recursive: true });
  writeFileSync(buildStamp, state);
}

/** Whether somebody has run `npm ci`, for this Node: to do so again would take minutes. */
function isInstalledByHand() {
  const hidden = readText(join(root, "node_modules", ".package-lock.json"));
  const locked = readText(join(root, "package-lock.json"));
  if (existsSync(installStamp) || hidden === undefined || locked === undefined) return false;
  const there = JSON.parse(hidden).packages ?? {};
  /** @param {[path: string, wanted: { version?: string, optional?: boolean }]} entry */
  const fits = ([path, { version, optional }]) =>
    path === "" || there[path]?.version === version || (optional === true && there[path] === undefined);
  return Object.entries(JSON.parse(locked).packages).every(fits) && databaseProblem() === undefined;
}

const installed = () => readText(installStamp) === installState();
const built = () => readText(buildStamp) === buildState() && !outputIsStale();

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/** Two commands may be started at once in one checkout: the second waits for the first. */
function takeLock() {
  for (let waited = false; ; waited = true) {
    try {
      writeFileSync(lock, String(process.pid), { flag: "wx" });
      process.on("exit", () => rmSync(lock, { force: true }));
      return;
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) {
        throw error;
      }
    }
    const owner = Number(readText(lock));
    // Between being created and being written a lock is empty, but not for long.
    const age = Date.now() - (statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? 0);
    if (owner > 0 ? !isAlive(owner) : age > 1000) {
      rmSync(lock, { force: true });
    } else if (!waited) {
      say("waiting for another set-up in this checkout");
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
  }
}

if (major < 20 || (major === 20 && minor < 19)) {
  fail(`Tercet needs Node 20.19 or newer, this is ${process.versions.node}. Node 22 or 24 is recommended.`);
}
if (!installed() || !built()) {
  takeLock();
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM"])) {
    process.on(signal, () => process.exit(130));
  }
  if (isInstalledByHand()) {
    writeFileSync(installStamp, installState());
  }
  if (!installed()) {
    install();
  }
  if (!built()) {
    build();
  }
}
