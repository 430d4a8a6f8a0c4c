// Runs command lines one after another in one process, each as the built binary would: the main module is evaluated anew
// for every one, what it imports is loaded once. test/cli/host.ts tells it what to run.

import { Buffer } from "node:buffer";

const binary = new URL("../../dist/scripts/tercet.js", import.meta.url);

/** @type {{ stdout: Buffer[], stderr: Buffer[] }} */
let written = { stdout: [], stderr: [] };

for (const name of /** @type {const} */ (["stdout", "stderr"])) {
  /**
   * @param {string | Uint8Array} chunk
   * @param {unknown[]} rest
   */
  function write(chunk, ...rest) {
    written[name].push(Buffer.from(/** @type {Uint8Array} */ (chunk)));
    const done = rest.find((argument) => typeof argument === "function");
    if (done !== undefined) process.nextTick(/** @type {() => void} */ (done));
    return true;
  }
  process[name].write = write;
}

let runs = 0;

/** @param {{ args: string[], cwd: string, env: Record<string, string> }} line */
async function run({ args, cwd, env }) {
  written = { stdout: [], stderr: [] };
  process.exitCode = undefined;
  process.chdir(cwd);
  process.env = env;
  process.argv = [process.argv0, binary.pathname, ...args];
  runs += 1;
  await import(`${binary}?${runs}`);
  for (const stream of [process.stdout, process.stderr]) stream.removeAllListeners("error");
  const status = Number(process.exitCode ?? 0);
  process.exitCode = 0;
  const stdout = Buffer.concat(written.stdout).toString();
  const stderr = Buffer.concat(written.stderr).toString();
  process.send?.({ status, stdout, stderr });
}

process.on("message", (line) => void run(/** @type {Parameters<typeof run>[0]} */ (line)));
