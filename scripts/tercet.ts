#!/usr/bin/env node
import { readFileSync } from "node:fs";
import type { ArgumentsCamelCase, Argv, CommandModule } from "yargs";
import { type Command, clientCommands, runCommandLine } from "../client/cli.js";

/** A command of the server, which is loaded when it is to run. */
function serverCommand(
  name: "serveCommand" | "backupCommand" | "restoreCommand",
  command: string,
  describe: string,
): Command {
  return {
    command,
    describe,
    async load() {
      const { builder, handler } = (await import("../server/cli.js"))[name] as CommandModule;
      return {
        builder: (yargs) => (typeof builder === "function" ? (builder(yargs) as Argv) : yargs),
        handler: (argv) => handler(argv as ArgumentsCamelCase),
      };
    },
  };
}

const serverCommands: readonly Command[] = [
  serverCommand("serveCommand", "serve", "Serve the collections of a data directory"),
  serverCommand("backupCommand", "backup", "Copy a server's data into one file, also while it serves"),
  serverCommand("restoreCommand", "restore <file>", "Make a data directory of a backup; one that has data is refused"),
];

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  version: string;
};

await runCommandLine({
  commands: [...serverCommands, ...clientCommands],
  version,
  args: process.argv.slice(2),
  env: process.env,
});
