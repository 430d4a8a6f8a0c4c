// A server in a process of its own, for tests that kill -9 it. Runs the built server (npm test builds it).
// Arguments: data directory. Says its address once it takes calls.
import { writeSync } from "node:fs";

// Not a plain import: the type check runs without a build.
const { startServer } = await import(new URL("../../dist/server/index.js", import.meta.url).href);

const { address } = await startServer({ directory: process.argv[2] ?? "", port: 0 });
writeSync(1, `${address}\n`);
