// A server's store in a process of its own, for tests that lock a directory from outside or kill -9 in the middle of a write.
// Runs the built store (npm test builds it). Arguments: command, data directory.
//   hold    opens the store, says "open" and stays
//   write   the same, then writes without end, and says the number of each batch once the store has acknowledged it
//   open    opens the store and says what came of it
import { writeSync } from "node:fs";
import { NUMBERS_A_BATCH, numberedBatch, UID } from "./sqlite-child-data.js";

// Not a plain import: the type check runs without a build.
const { openSqliteStore } = await import(new URL("../../dist/server/store/sqlite.js", import.meta.url).href);

const [command, directory = ""] = process.argv.slice(2);

/** Synchronous, so that what was said was said before a kill. @param {string} line */
function say(line) {
  writeSync(1, `${line}\n`);
}

function open() {
  return openSqliteStore({ directory, epoch: Buffer.from("child-01") });
}

function write() {
  const store = open();
  store.createCollection({ name: "c", uid: UID, standard: 0, nowUs: 1 });
  say("open");
  const first = (store.getCollection("c")?.revision ?? 0) / NUMBERS_A_BATCH;
  for (let number = first; ; number++) {
    store.write([numberedBatch(number)]);
    say(String(number));
  }
}

if (command === "write") write();
if (command === "hold") {
  const store = open();
  say("open");
  setInterval(() => store.getCollection("c"), 60_000);
}
if (command === "open") {
  try {
    open().close();
    say("opened");
  } catch (error) {
    say(error instanceof Error ? `${error.name} ${"kind" in error ? error.kind : ""}: ${error.message}` : "?");
  }
}
