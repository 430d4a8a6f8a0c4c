import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Job, JobAnswer, JobResults, ServerAnswer, ServerOrder } from "./jobs.js";

/** The demo's server, in a process of its own. */
export interface DemoServer {
  readonly address: string;
  readonly pid: number | undefined;
  resetPeakMemory(): Promise<void>;
  /** Peak resident memory since, in bytes. */
  peakMemory(): Promise<number>;
  /** Ends it in peace. */
  drain(): Promise<void>;
}

function start(file: string): ChildProcess {
  return fork(fileURLToPath(new URL(file, import.meta.url)), [], {
    serialization: "advanced",
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
}

/** Runs a job in a process of its own. */
export async function runJob<K extends Job["kind"]>(job: Extract<Job, { kind: K }>): Promise<JobResults[K]> {
  const child = start("./replica-process.js");
  const exited = once(child, "exit");
  const answered = once(child, "message");
  child.send(job);
  const [answer] = await Promise.race([answered, exited.then(() => [undefined])]);
  if (answer === undefined) throw new Error(`the process of the job "${job.kind}" ended before its time`);
  await exited;
  const told = answer as JobAnswer;
  if ("failed" in told) throw new Error(`${job.kind} ${job.file}: ${told.failed}`);
  return told.result as JobResults[K];
}

/** Starts the server on a free port, or on this one. */
export async function startDemoServer(directory: string, port: number): Promise<DemoServer> {
  const child = start("./server-process.js");
  const exited = once(child, "exit");

  async function ask<K extends ServerAnswer["kind"]>(
    order: ServerOrder,
    kind: K,
  ): Promise<Extract<ServerAnswer, { kind: K }>> {
    const answered = once(child, "message");
    child.send(order);
    const [answer] = await Promise.race([answered, exited.then(() => [undefined])]);
    const told = answer as ServerAnswer | undefined;
    if (told === undefined) throw new Error("the server's process ended before its time");
    if (told.kind === "failed") throw new Error(`server: ${told.message}`);
    if (told.kind !== kind) throw new Error(`the server's process answered "${told.kind}" to "${order.kind}"`);
    return told as Extract<ServerAnswer, { kind: K }>;
  }

  try {
    const { address } = await ask({ kind: "start", directory, port }, "started");
    return {
      address,
      pid: child.pid,
      resetPeakMemory: async () => void (await ask({ kind: "reset-peak" }, "peak")),
      peakMemory: async () => (await ask({ kind: "peak" }, "peak")).bytes,
      async drain() {
        await ask({ kind: "drain" }, "drained");
        child.disconnect();
        await exited;
      },
    };
  } catch (error) {
    child.kill();
    throw error;
  }
}
