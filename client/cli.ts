import type { Argv } from "yargs";
import { checkArguments } from "./cli/arguments.js";
import type { Command, CommandFamily } from "./cli/command.js";
import { FAILED, type Failure, toFailure, USAGE, usageError } from "./cli/failure.js";
import { colorsFor } from "./cli/output.js";
import {
  configError,
  optionNames,
  type RunnableCommand,
  readSettings,
  type Settings,
  shieldWords,
  unshieldText,
  withSettings,
} from "./cli/settings.js";

export type { Command, CommandFamily } from "./cli/command.js";
export { clientCommands } from "./cli/commands.js";

/** What the command line is made of. */
export interface CommandLine {
  readonly commands: readonly (Command | CommandFamily)[];
  readonly version: string;
  /** What was typed behind the program's name. */
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

/** Runs the command that was typed, and sets `process.exitCode`. Never rejects. */
export async function runCommandLine(line: CommandLine): Promise<void> {
  // `tercet list | head` is no failure.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    process.exit(error.code === "EPIPE" ? (process.exitCode ?? 0) : FAILED);
  });
  let asked = asksJson(line.args, line.env["TERCET_JSON"]);
  try {
    checkArguments(line.args);
    const settings = readSettings(line.args, line.env);
    asked = asksJson(line.args, settings.values.get("json"));
    await checkFileKeys(line, settings);
    await parse(line, settings);
  } catch (thrown) {
    report(thrown, asked, line);
  }
}

async function parse({ commands, version, args }: CommandLine, settings: Settings): Promise<void> {
  const { default: yargs } = await import("yargs");
  let failed: unknown;
  const root = withGlobals(yargs(shieldWords(wordAsFlag(args, commands))))
    .usage("$0 <command>\n\nKeeps replicas of collections equal to a server's by gRPC.")
    .version(version)
    .example("$0 serve --data ./data  # a server for this machine", "")
    .example("$0 import places.ndjson --id id --collection places --replica a.replica  # from a file", "")
    .example("$0 sync --replica a.replica --server 127.0.0.1:7727 --create  # send it to the server", "")
    .example("$0 sync --replica b.replica --server 127.0.0.1:7727 --collection places  # take it elsewhere", "")
    .epilogue(
      "Options also come from TERCET_* variables (TERCET_REPLICA for --replica) and then from the file of --config.\n" +
        "TERCET_DEBUG=1 shows where an error comes from. A replica is held by one process at a time.\n" +
        "Exit status: 0 done, 1 failed, 2 usage, 3 done but conflicts or rejections remain.",
    )
    .completion("completion", "Print a completion script for bash or zsh (by $SHELL)")
    .demandCommand(1, "say what to do; `tercet --help` lists the commands")
    .recommendCommands()
    .strict()
    .fail((message, error) => {
      // A message comes with what yargs refuses, and none with what a command throws.
      const text = typeof message === "string" ? usageText(unshieldText(message), args, commands) : undefined;
      failed ??= text === undefined ? error : usageError(text, { cause: error });
      throw failed;
    });
  for (const entry of commands) register(root, entry, settings);
  try {
    await root.parseAsync();
  } catch (error) {
    throw failed ?? error;
  }
}

/** `help` where the name of a command stands asks for help; everywhere else it is a word like any other. */
function wordAsFlag(args: readonly string[], commands: CommandLine["commands"]): readonly string[] {
  const [first, second, ...rest] = args;
  if (first === "help") return [...args.slice(1), "--help"];
  const family = commands.some((entry) => "family" in entry && entry.family === first);
  return family && second === "help" ? [String(first), ...rest, "--help"] : args;
}

/** Options of every command, and how arguments are read. */
function withGlobals(yargs: Argv): Argv {
  return yargs
    .scriptName("tercet")
    .locale("en")
    .exitProcess(false)
    .parserConfiguration({ "dot-notation": false })
    .wrap(Math.min(120, process.stdout.columns ?? 100))
    .option("json", {
      type: "boolean",
      default: false,
      global: true,
      describe: "Print JSON, of lists an object a line",
    })
    .option("config", { type: "string", requiresArg: true, global: true, describe: "Read options from a JSON file" });
}

function register(yargs: Argv, entry: Command | CommandFamily, settings: Settings): Argv {
  if (!("family" in entry)) return add(yargs, withSettings(entry, settings));
  const { family, describe, commands } = entry;
  return yargs.command(family, describe, (inner) => {
    for (const command of commands) add(inner, withSettings(command, settings));
    return inner.demandCommand(1, `say which: \`tercet ${family} --help\` lists the commands`);
  });
}

function add(yargs: Argv, { command, describe, builder, handler }: RunnableCommand): Argv {
  return yargs.command(command, describe, builder, handler);
}

/** Refuses keys of the configuration file that are an option of no command. */
async function checkFileKeys({ commands }: CommandLine, { fileKeys, path }: Settings): Promise<void> {
  if (fileKeys.length === 0) return;
  const { default: yargs } = await import("yargs");
  const known = new Set<string>();
  for (const command of commands.flatMap((entry) => ("family" in entry ? entry.commands : [entry]))) {
    const body = await command.load();
    const built = await body.builder(withGlobals(yargs([])));
    for (const name of optionNames(built, command, body)) known.add(name);
  }
  const unknown = fileKeys.filter((key) => !known.has(key));
  if (unknown.length === 0) return;
  const told = unknown.map((key) => {
    const meant = key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`).replaceAll("_", "-");
    return known.has(meant) && meant !== key ? `"${key}" (is "${meant}" meant?)` : `"${key}"`;
  });
  throw configError(`${path}: ${told.join(", ")} is no option of any command`);
}

function asksJson(args: readonly string[], setting: unknown): boolean {
  const end = args.indexOf("--");
  const flag = (end === -1 ? args : args.slice(0, end)).findLast((arg) => /^--(no-)?json(=|$)/.test(arg));
  if (flag === undefined) return ["1", "true", "yes", "on"].includes(String(setting).toLowerCase());
  return flag === "--json" || flag === "--json=true";
}

/** What yargs says, in one line that says what to do. */
function usageText(message: string, args: readonly string[], commands: CommandLine["commands"]): string {
  const typed = `tercet ${args.join(" ")}`;
  if (message.startsWith("Did you mean")) {
    const meant = meantBy(args, commands);
    return `unknown command in "${typed}". ${meant === undefined ? message : `Did you mean ${meant}?`}`;
  }
  if (message.startsWith("Not enough non-option")) {
    const missing = missingArguments(message, args, commands);
    return `${missing} missing in "${typed}"${dashHint(args)}`;
  }
  const [first = "", ...rest] = message.split("\n").filter((line) => line.trim() !== "");
  if (first.startsWith("Missing required argument") && rest.length > 0) return rest.join("; ");
  const [, one, other] = /^Missing dependent arguments:\s+(\S+) -> (\S+)/.exec(message) ?? [];
  if (one !== undefined) return `--${one} needs --${other}, too`;
  const [, option, given, choices] = /Argument: (\S+), Given: (.*), Choices: (.*)/.exec(message) ?? [];
  if (option !== undefined) return `--${option} can't be ${given}: choose one of ${choices}`;
  const text = [first, ...rest].map((line) => line.trim()).join(" ");
  return first.startsWith("Unknown argument") ? text + dashHint(args) : text;
}

/** What other programs call it. */
const OTHER_NAMES: Readonly<Record<string, string>> = { rm: "delete", remove: "delete", ls: "list", cat: "get" };

/** The command that a word is the beginning of, or another name of. */
function meantBy(args: readonly string[], commands: CommandLine["commands"]): string | undefined {
  const [first = "", second = ""] = args;
  const family = commands.find((entry) => "family" in entry && entry.family === first);
  const names =
    family !== undefined && "family" in family
      ? family.commands.map(nameOf)
      : commands.map((entry) => ("family" in entry ? entry.family : nameOf(entry)));
  const word = family === undefined ? first : second;
  const other = OTHER_NAMES[word] ?? "";
  return names.includes(other) ? other : names.find((name) => word !== "" && name.startsWith(word));
}

/** Which arguments of a command are missing, by what yargs counted. */
function missingArguments(message: string, args: readonly string[], commands: CommandLine["commands"]): string {
  const [first = "", second = ""] = args;
  const all = commands.flatMap((entry) =>
    "family" in entry ? (entry.family === first ? entry.commands : []) : [entry],
  );
  const command = all.find((entry) => nameOf(entry) === first) ?? all.find((entry) => nameOf(entry) === second);
  const got = Number(/got (\d+)/.exec(message)?.[1] ?? 0);
  const names = [...(command?.command ?? "").matchAll(/<[^>]+>/g)].map(([name]) => name).slice(got);
  if (names.length === 0) return "an argument is";
  return `${names.join(" and ")} ${names.length === 1 ? "is" : "are"}`;
}

/** How to give an argument that begins with a dash. */
function dashHint(args: readonly string[]): string {
  const dashed = args.includes("--") ? undefined : args.find((arg) => /^-[^-]/.test(arg));
  return dashed === undefined ? "" : `. Arguments that begin with a dash stand behind --, as in \`-- ${dashed}\``;
}

/**
 * The reason as --json and the documentation name it, where there is one that says more than the words: on a line of its own,
 * as a message may end with a command to copy.
 */
function reasonOf({ code, reason }: Failure["error"], message: string, status: number): readonly string[] {
  const told = status === FAILED && reason !== code && !message.includes(String(reason));
  return told ? [`reason: ${String(reason)}`] : [];
}

/** How to get help for what was typed. */
function helpFor({ commands, args }: CommandLine): string {
  const [first = "", second = ""] = args;
  const entry = commands.find((known) => ("family" in known ? known.family : nameOf(known)) === first);
  if (entry === undefined) return "tercet --help";
  const inner = "family" in entry && entry.commands.some((command) => nameOf(command) === second);
  return `tercet ${first}${inner ? ` ${second}` : ""} --help`;
}

function nameOf({ command }: Command): string {
  return command.split(" ", 1)[0] ?? "";
}

function report(thrown: unknown, json: boolean, line: CommandLine): void {
  const failure = toFailure(thrown);
  process.exitCode = failure.status;
  process.stderr.write(json ? `${JSON.stringify({ error: failure.error })}\n` : toText(failure, helpFor(line)));
  if ((line.env["TERCET_DEBUG"] ?? "") !== "" && thrown instanceof Error) {
    process.stderr.write(
      `${thrown.stack}\n${thrown.cause instanceof Error ? `caused by ${thrown.cause.stack}\n` : ""}`,
    );
  }
}

function toText({ message, lines, status, error }: Failure, help: string): string {
  const head = `${colorsFor(process.stderr).red("tercet:")} ${message}`;
  const hint = status === USAGE ? [`See: ${help}`] : [];
  const more = [...lines, ...reasonOf(error, message, status)].map((line) => `  ${line}`);
  return `${[head, ...more, ...hint].join("\n")}\n`;
}
