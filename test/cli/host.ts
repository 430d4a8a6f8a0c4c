import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Ran } from "./harness.js";

const SCRIPT = fileURLToPath(new URL("host-child.js", import.meta.url));

/** A command line, where it runs, and its environment. */
export interface HostedLine {
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
}

/** A process that runs many command lines, one at a time: starting one for each would take longer than all they do. */
export interface CliHost {
  /** Runs it when those before it are done. Rejects where the process itself ends by it. */
  run(line: HostedLine): Promise<Ran>;
  /** Ends the process; the next command line starts another one. */
  end(): Promise<void>;
}

/** Starts it with its first command line. */
export function createCliHost(): CliHost {
  let child: ChildProcess | undefined;
  let last: Promise<unknown> = Promise.resolve();

  async function runNow(line: HostedLine): Promise<Ran> {
    child ??= fork(SCRIPT, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    const done = new AbortController();
    const { signal } = done;
    const gone = once(child, "exit", { signal }).then(([status]): never => {
      child = undefined;
      throw new Error(`tercet ${line.args.join(" ")} ended its process with ${status}`);
    });
    const answer = once(child, "message", { signal });
    for (const each of [gone, answer]) each.catch(() => undefined);
    child.send(line);
    try {
      const [ran] = (await Promise.race([answer, gone])) as [Ran];
      return ran;
    } finally {
      done.abort();
    }
  }

  return {
    run(line) {
      const ran = last.then(() => runNow(line));
      last = ran.catch(() => undefined);
      return ran;
    },
    async end() {
      if (child === undefined) return;
      const gone = once(child, "exit");
      child.kill("SIGKILL");
      child = undefined;
      await gone;
    },
  };
}
