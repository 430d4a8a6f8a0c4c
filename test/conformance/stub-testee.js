// A testee that does not do its work, in a way of its own: for tests of the kit.
import { createInterface } from "node:readline";

const [how] = process.argv.slice(2);
/** @type {Readonly<Record<string, object>>} */
const answers = {
  hello: { name: "stub", features: how === "featureless" ? [] : ["groups", "chunks", "reconcile", "manual"] },
  list: { items: [] },
  pending: { pending: [] },
  status: { items: 0, pending: 0, held: 0, conflicts: 0, revision: 0, count: 0, fingerprint: "0".repeat(64) },
  get: { item: null },
};

if (how === "dead") {
  process.stderr.write("the stub will not live\n");
  process.exit(3);
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  if (how === "silent") continue;
  const chatsAt = how === "garbage" ? "open" : how === "greets" ? "hello" : undefined;
  if (request.do === chatsAt) process.stdout.write("Welcome to the stub!\n");
  else if (how === "dies" && request.do === "open") {
    process.stderr.write("the stub breaks down\n");
    process.exit(4);
  } else if (request.do === "no such command") {
    const error = { code: "UNIMPLEMENTED", reason: "UNSUPPORTED", message: "no" };
    process.stdout.write(`${JSON.stringify({ n: request.n, error })}\n`);
  } else process.stdout.write(`${JSON.stringify({ n: request.n, ok: answers[request.do] ?? {} })}\n`);
}
