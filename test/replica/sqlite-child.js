// A replica in a process of its own, for tests that hold a file from outside or kill -9 in the middle of a write. Runs the
// built client (npm test builds it). Arguments: command, file.
//   hold    opens the replica, says "open" and stays
//   write   the same, then puts items without end, and says the number of each once the replica has acknowledged it
//   stage   the same with pieces of a content that is downloaded, and of one that the application makes; says the bytes so far
//   open    opens the replica and says what came of it
import { writeSync } from "node:fs";

// Not a plain import: the type check runs without a build.
const { openSqliteReplica } = await import(new URL("../../dist/client/replica/sqlite.js", import.meta.url).href);
const { fingerprintOf } = await import(new URL("../../dist/core/fingerprint.js", import.meta.url).href);

const [command, path = ""] = process.argv.slice(2);

/** Synchronous, so that what was said was said before a kill. @param {string} line */
function say(line) {
  writeSync(1, `${line}\n`);
}

function write() {
  const replica = openSqliteReplica(path);
  say("open");
  for (let number = replica.state().items; ; number++) {
    const id = `item-${number}`;
    const content = `content ${number}`;
    replica.write([{ id, upsert: { content, fingerprint: fingerprintOf(id, content) } }], number);
    say(String(number));
  }
}

function stage() {
  const replica = openSqliteReplica(path);
  const [known] = replica.listDownloads(["large"]);
  const piece = Buffer.alloc(100_000, "x");
  const download = { id: "large", revision: 3, modifyTimeUs: 1, size: 1e12 };
  let { key, offset } = known ?? replica.stage({ text: false, download }, Buffer.alloc(0));
  const own = replica.stage({ text: false }, piece).key;
  say("open");
  for (;;) {
    replica.stage(own, piece);
    ({ key, offset } = replica.stage(key, piece));
    say(String(offset));
  }
}

if (command === "write") write();
if (command === "stage") stage();
if (command === "hold") {
  const replica = openSqliteReplica(path);
  say("open");
  setInterval(() => replica.state(), 60_000);
}
if (command === "open") {
  try {
    openSqliteReplica(path).close();
    say("opened");
  } catch (error) {
    say(error instanceof Error ? `${error.name} ${"kind" in error ? error.kind : ""}: ${error.message}` : "?");
  }
}
