#!/usr/bin/env node
import { readFileSync } from "node:fs";
import type { ArgumentsCamelCase } from "yargs";
import { type Command, clientCommands, runCommandLine } from "../client/cli.js";

/** The server is loaded when it is to serve. */
const serveCommand: Command = {
  command: "serve",
  describe: "Serve the collections of a data directory",
  async builder(yargs) {
    const { builder } = (await import("../server/cli.js")).serveCommand;
    return typeof builder === "function" ? await builder(yargs) : yargs;
  },
  async handler(argv) {
    const { handler } = (await import("../server/cli.js")).serveCommand;
    await handler(argv as ArgumentsCamelCase<Parameters<typeof handler>[0]>);
  },
};

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  version: string;
};

await runCommandLine({
  commands: [serveCommand, ...clientCommands],
  version,
  args: process.argv.slice(2),
  env: process.env,
});
