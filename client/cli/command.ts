import type { ArgumentsCamelCase, Argv } from "yargs";

/** A command: what the list of commands says of it, and how to get the rest when it is to run. */
export interface Command {
  readonly command: string;
  readonly describe: string;
  /** Loads what the command needs. Another command's start does not wait for it. */
  readonly load: () => Promise<CommandBody>;
}

/** What a command does. What its arguments are is known only inside it. */
export interface CommandBody {
  readonly builder: (yargs: Argv) => Argv | PromiseLike<Argv>;
  readonly handler: (argv: ArgumentsCamelCase<object>) => void | Promise<void>;
  /** Options that only a flag sets: not the environment, and not the configuration file. */
  readonly flagOnly?: readonly string[];
}

/** Commands that share their first word. */
export interface CommandFamily {
  readonly family: string;
  readonly describe: string;
  readonly commands: readonly Command[];
}

/** What a command is made of. */
export interface CommandSpec<T> {
  readonly options: (yargs: Argv) => Argv<T> | PromiseLike<Argv<T>>;
  /** Rejects where it fails; sets `process.exitCode` where it is done with something left (3). */
  readonly run: (argv: ArgumentsCamelCase<T>) => void | Promise<void>;
  readonly flagOnly?: readonly string[];
}

/** A command whose handler knows the types of its options. */
export function defineCommand<T>({ options, run, ...rest }: CommandSpec<T>): CommandBody {
  return {
    ...rest,
    builder: (yargs) => options(yargs) as unknown as Argv,
    handler: (argv) => run(argv as ArgumentsCamelCase<T>),
  };
}
