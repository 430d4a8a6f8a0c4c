import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";

const SCRIPT = fileURLToPath(new URL("child.js", import.meta.url));

/** How often a process is killed: as many as are asked for in CI, fewer where somebody is waiting. */
export const KILLS = Number(process.env["TERCET_KILLS"] ?? 20);

/** A process that has loaded everything and waits for its turn. */
export interface Child {
  /** Lines that it has said since its turn began. */
  readonly said: readonly string[];
  /** Its turn: answers the first line that it says then. */
  begin(): Promise<string>;
  /** Resolves once it is gone. */
  kill(): Promise<void>;
}

/** Starts processes ahead of their turns, so that the next one is ready when the last one has been killed. */
export function createChildren(args: () => readonly string[]): { next(): Promise<Child>; end(): Promise<void> } {
  const all = new Set<ChildProcess>();
  let waiting: Promise<Child> | undefined;

  async function start(): Promise<Child> {
    const child = spawn(process.execPath, [SCRIPT, ...args()], { stdio: ["pipe", "pipe", "inherit"] });
    all.add(child);
    const exited = once(child, "exit").then(() => all.delete(child));
    const lines = createInterface({ input: child.stdout as NonNullable<typeof child.stdout> });
    const said: string[] = [];
    const gone = exited.then((): never => {
      throw new Error(`a process of ${args().join(" ")} ended before it said anything`);
    });
    // Only where somebody waits for a line is its end a failure.
    gone.catch(() => undefined);
    await Promise.race([nextLine(lines), gone]);
    lines.on("line", (line: string) => said.push(line));
    return {
      said,
      async begin() {
        const first = nextLine(lines);
        child.stdin?.write("go\n");
        return await Promise.race([first, gone]);
      },
      async kill() {
        child.kill("SIGKILL");
        await exited;
      },
    };
  }

  return {
    async next() {
      const child = await (waiting ?? start());
      waiting = start();
      // Nobody may come to wait for it.
      waiting.catch(() => undefined);
      return child;
    },
    async end() {
      await waiting?.catch(() => undefined);
      const gone = [...all].map((child) => once(child, "exit"));
      for (const child of all) child.kill("SIGKILL");
      await Promise.all(gone);
    },
  };
}

async function nextLine(lines: Interface): Promise<string> {
  const [line] = await once(lines, "line");
  return String(line);
}

/** A small generator of numbers below a bound, so that a failure can be run again with what was random of it. */
export function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
