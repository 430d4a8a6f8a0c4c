import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Action } from "./contender.js";
import type {
  Answer,
  CheckAnswer,
  ClientOrder,
  Edit,
  MemoryNow,
  ProcessFigures,
  ServerOrder,
  Setting,
  Started,
  SyncFigures,
} from "./orders.js";

/** Where a child leaves its CPU profile, and under which name. */
export interface Profile {
  readonly directory: string;
  readonly name: string;
}

/** A contender's server in a process of its own. */
export interface ServerChild {
  readonly address: string;
  /** Begins the timed part, and ends it. */
  begin(): Promise<void>;
  end(): Promise<ProcessFigures>;
  /** After a garbage collection. */
  memory(): Promise<MemoryNow>;
  stop(): Promise<void>;
}

/** A contender's client in a process of its own. */
export interface ClientChild {
  put(edit: Edit): Promise<void>;
  putLarge(id: string, path: string): Promise<void>;
  warm(): Promise<void>;
  sync(action: Action, times?: number): Promise<SyncFigures>;
  forget(): Promise<void>;
  check(indices: readonly number[], large?: string): Promise<CheckAnswer>;
  close(): Promise<void>;
}

/** Children that are alive, and how each is ended at once. */
const running = new Map<ChildProcess, () => void>();

/** Ends every child at once, for when this process has to end. */
export function killChildren(): void {
  for (const kill of running.values()) kill();
}

/** A process that answers orders one after the other (answer-orders.ts). */
export interface Child<O> {
  /** How it is to be ended at once; before it is said, it is asked to end. */
  endBy(kill: () => void): void;
  ask(order: O): Promise<unknown>;
  end(): Promise<void>;
}

/** Starts one; `killChildren` ends it at once, too. */
export function startChild<O extends { readonly kind: string }>(file: URL, profile?: Profile): Child<O> {
  const profiling =
    profile === undefined
      ? []
      : ["--cpu-prof", `--cpu-prof-dir=${profile.directory}`, `--cpu-prof-name=${profile.name}.cpuprofile`];
  const child = fork(fileURLToPath(file), [], {
    serialization: "advanced",
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    execArgv: profiling,
  });
  running.set(child, () => child.kill("SIGTERM"));
  const exited = once(child, "exit").finally(() => running.delete(child));
  return {
    endBy: (kill) =>
      void running.set(child, () => {
        child.kill("SIGKILL");
        kill();
      }),
    async ask(order) {
      const answered = once(child, "message");
      child.send(order);
      const [answer] = await Promise.race([answered, exited.then(() => [undefined])]);
      if (answer === undefined) throw new Error(`the process ended before it answered to "${order.kind}"`);
      const told = answer as Answer;
      if ("failed" in told) throw new Error(`${order.kind}: ${told.failed}`);
      return told.value;
    },
    async end() {
      if (child.connected) child.disconnect();
      await exited;
    },
  };
}

/** Starts a contender's server. */
export async function startServerChild(setting: Setting, profile?: Profile): Promise<ServerChild> {
  const child = startChild<ServerOrder>(new URL("./server-process.js", import.meta.url), profile);
  const { address, pid } = (await child.ask({ kind: "start", ...setting })) as Started;
  child.endBy(() => void (pid !== undefined && killProgram(pid)));
  return {
    address,
    begin: async () => void (await child.ask({ kind: "begin" })),
    end: async () => (await child.ask({ kind: "end" })) as ProcessFigures,
    memory: async () => (await child.ask({ kind: "memory" })) as MemoryNow,
    async stop() {
      await child.ask({ kind: "stop" });
      await child.end();
    },
  };
}

function killProgram(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has just ended.
  }
}

/** Starts a contender's client and opens its replica, or makes it. */
export async function startClientChild(
  setting: Setting,
  address: string | undefined,
  profile?: Profile,
): Promise<ClientChild> {
  const child = startChild<ClientOrder>(new URL("./client-process.js", import.meta.url), profile);
  child.endBy(() => undefined);
  await child.ask({ kind: "open", address, ...setting });
  return {
    put: async (edit) => void (await child.ask({ kind: "put", ...edit })),
    putLarge: async (id, path) => void (await child.ask({ kind: "put-large", id, path })),
    warm: async () => void (await child.ask({ kind: "warm" })),
    sync: async (action, times = 1) => (await child.ask({ kind: "sync", action, times })) as SyncFigures,
    forget: async () => void (await child.ask({ kind: "forget" })),
    check: async (indices, large) => (await child.ask({ kind: "check", indices, large })) as CheckAnswer,
    async close() {
      await child.ask({ kind: "close" });
      await child.end();
    },
  };
}
