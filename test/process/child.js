// A server or a replica in a process of its own, for tests that kill -9 it. Runs what was built (npm test builds it). It
// loads everything at once and waits for a line on its input before it touches its file, so that it can be started ahead
// of its turn.
//   server DIRECTORY PORT   serves; says its address
//   client FILE ADDRESS     writes to the replica and syncs it without end; says each local write once it has returned
import { once } from "node:events";
import { writeSync } from "node:fs";
import { createInterface } from "node:readline";

const [kind, path = "", more = ""] = process.argv.slice(2);

/** Synchronous, so that what was said was said before a kill. @param {string} line */
function say(line) {
  writeSync(1, `${line}\n`);
}

/** Not a plain import: the type check runs without a build. @param {string} module */
const load = (module) => import(new URL(`../../dist/${module}`, import.meta.url).href);

async function serve() {
  const { startServer } = await load("server/index.js");
  await turn();
  const { address } = await startServer({ directory: path, port: Number(more) });
  say(address);
}

async function write() {
  const { openReplica } = await load("client/index.js");
  await load("client/sync.js");
  await turn();
  const replica = openReplica(path);
  const start = Number(replica.get("count")?.content ?? "0");
  say("open");
  for (let number = start + 1; ; number++) {
    const value = String(number);
    // Two changes that belong together, one that stands alone, one that comes and goes.
    replica.transaction((/** @type {import("../../client/index.js").Transaction} */ transaction) => {
      transaction.put("count", value);
      transaction.put(`pair ${number % 7}`, value);
    });
    replica.put(`item ${number % 50}`, `content ${value} ${"x".repeat((number * 37) % 3000)}`);
    if (number % 3 === 0) replica.delete(`item ${(number * 11) % 50}`);
    say(value);
    if (number % 4 === 0) await replica.sync({ server: more, create: true }).catch(() => undefined);
  }
}

async function turn() {
  say("ready");
  const input = createInterface({ input: process.stdin });
  await once(input, "line");
  input.close();
  process.stdin.unref?.();
}

await (kind === "server" ? serve() : write());
