import { readFileSync } from "node:fs";
import type { Argv } from "yargs";
import type { Command, CommandBody } from "./command.js";
import { CliError } from "./failure.js";

type Value = string | number | boolean;

/** What the environment and the configuration file say, by names of flags; the environment goes before the file. */
export interface Settings {
  readonly values: ReadonlyMap<string, Value>;
  /** Keys of the file, which must be options of some command. */
  readonly fileKeys: readonly string[];
  /** Names whose value is the file's. */
  readonly fromFile: ReadonlySet<string>;
  readonly path: string | undefined;
  /** Names of the flags that were typed. */
  readonly typed: readonly string[];
}

const PREFIX = "TERCET_";

/**
 * Reads TERCET_* variables and the file of `--config` or TERCET_CONFIG.
 *
 * @throws CliError where the file can't be read or is no flat JSON object.
 */
export function readSettings(args: readonly string[], env: NodeJS.ProcessEnv): Settings {
  const path = flagValue(args, "config") ?? nonEmpty(env["TERCET_CONFIG"]);
  const file = path === undefined ? new Map<string, Value>() : readConfig(path);
  const values = new Map(file);
  const fromFile = new Set(file.keys());
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith(PREFIX) || nonEmpty(value) === undefined) continue;
    const option = name.slice(PREFIX.length).toLowerCase().replaceAll("_", "-");
    values.set(option, String(value));
    fromFile.delete(option);
  }
  return { values, fileKeys: [...file.keys()], fromFile, path, typed: typedFlags(args) };
}

function typedFlags(args: readonly string[]): string[] {
  const end = args.indexOf("--");
  const flags = end === -1 ? args : args.slice(0, end);
  return flags.flatMap((arg) => /^--([^=]+)/.exec(arg)?.[1] ?? []);
}

/** Whether an option was typed as a flag, and does not come from the environment or the configuration file. */
export function isTyped(argv: Readonly<Record<string, unknown>>, name: string): boolean {
  const typed = argv[TYPED];
  return Array.isArray(typed) && typed.includes(name);
}

const TYPED = "typed flags";

function nonEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}

/** The value of a flag, read before yargs does. */
function flagValue(args: readonly string[], name: string): string | undefined {
  const end = args.indexOf("--");
  const flags = end === -1 ? args : args.slice(0, end);
  const joined = flags.findLast((arg) => arg.startsWith(`--${name}=`));
  if (joined !== undefined) return joined.slice(name.length + 3);
  const at = flags.lastIndexOf(`--${name}`);
  return at === -1 ? undefined : flags[at + 1];
}

function readConfig(path: string): Map<string, Value> {
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw configError(`${path} is not valid JSON: ${error.message}`);
  }
  if (typeof content !== "object" || content === null || Array.isArray(content)) {
    throw configError(`${path} must be a JSON object with names of flags, like {"server": "127.0.0.1:7727"}`);
  }
  const values = new Map<string, Value>();
  for (const [key, value] of Object.entries(content)) {
    if (typeof value !== "string" && typeof value !== "number" && typeof value !== "boolean") {
      throw configError(`${path}: "${key}" must be a string, a number, or true or false`);
    }
    values.set(key, value);
  }
  return values;
}

/** The configuration file is not one. */
export function configError(message: string): CliError {
  return new CliError(message, { code: "INVALID_ARGUMENT", reason: "BAD_CONFIG", status: 2 });
}

/** Stands before what yargs must not take for anything but a word. No id has it, being a control character. */
const SHIELD = "\u0001";

/**
 * Arguments without `--`: what is behind it is taken as it is, also where it begins with a dash. So is a lone dash, which
 * yargs would drop, and the word `help`, which it would take for `--help` where it stands last.
 */
export function shieldWords(args: readonly string[]): string[] {
  const end = args.includes("--") ? args.indexOf("--") : args.length;
  const before = args.slice(0, end).map((arg) => (arg === "-" || arg === "help" ? SHIELD + arg : arg));
  const behind = args.slice(end + 1).map((arg) => (arg.startsWith("-") || arg === "help" ? SHIELD + arg : arg));
  return [...before, ...behind];
}

/** The text as it was typed. */
export function unshieldText(text: string): string {
  return text.replaceAll(SHIELD, "");
}

function unshield(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(unshield);
  return typeof value === "string" && value.startsWith(SHIELD) ? value.slice(1) : value;
}

interface Declared {
  readonly array: readonly string[];
  readonly key: Readonly<Record<string, unknown>>;
  readonly boolean: readonly string[];
  readonly number: readonly string[];
}

/** Names of the options that were declared so far. yargs has it; its types do not. */
function declared(yargs: Argv): Declared {
  return (yargs as unknown as { getOptions(): Declared }).getOptions();
}

/** Names of the options of a command that may come from elsewhere: not its positional arguments. */
export function optionNames(yargs: Argv, { command }: Command, { flagOnly = [] }: CommandBody): string[] {
  const positional = [...command.matchAll(/[<[]([^\].>]+)/g)].map(([, name]) => name);
  const left = new Set([...positional, ...flagOnly, "config", "help", "version"]);
  return Object.keys(declared(yargs).key).filter((name) => !left.has(name));
}

/** A command as yargs takes it. */
export interface RunnableCommand extends CommandBody {
  readonly command: string;
  readonly describe: string;
}

/** The command, which takes what its flags leave out from the settings. A flag given twice is refused. */
export function withSettings(command: Command, settings: Settings): RunnableCommand {
  return {
    command: command.command,
    describe: command.describe,
    async builder(yargs) {
      const body = await command.load();
      const built = await body.builder(yargs);
      const known: Record<string, Value> = {};
      for (const name of optionNames(built, command, body)) {
        const value = settings.values.get(name);
        if (value !== undefined) known[name] = settingValue(name, value, declared(built), settings);
      }
      const arrays = new Set([...declared(built).array, "_"]);
      return built.config(known).check((argv) => {
        const twice = Object.keys(argv).find((name) => Array.isArray(argv[name]) && !arrays.has(name));
        if (twice !== undefined) throw new Error(`--${twice} is given more than once`);
        return true;
      });
    },
    async handler(argv) {
      const { handler } = await command.load();
      await handler({
        ...(Object.fromEntries(Object.entries(argv).map(([key, value]) => [key, unshield(value)])) as typeof argv),
        [TYPED]: settings.typed,
      });
    },
  };
}

/** A value in the type of its option: of the file it must have that type, a variable is read as one. */
function settingValue(name: string, value: Value, { boolean, number }: Declared, settings: Settings): Value {
  const type = boolean.includes(name) ? "boolean" : number.includes(name) ? "number" : "string";
  if (!settings.fromFile.has(name)) {
    if (type === "number" && !Number.isFinite(Number(value))) {
      const variable = PREFIX + name.toUpperCase().replaceAll("-", "_");
      throw configError(`${variable} must be a number, not ${JSON.stringify(value)}`);
    }
    return type === "boolean" ? toBoolean(value) : value;
  }
  if (typeof value === type) return value;
  const wanted = { boolean: "true or false", number: "a number", string: "a string" }[type];
  throw configError(`${settings.path}: "${name}" must be ${wanted}, not the ${typeof value} ${JSON.stringify(value)}`);
}

/** yargs knows `true` only; an environment also says 1, yes and on. */
function toBoolean(value: Value): boolean {
  return typeof value === "boolean" ? value : ["1", "true", "yes", "on"].includes(String(value).toLowerCase());
}
