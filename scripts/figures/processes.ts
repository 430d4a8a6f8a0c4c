import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { memoryOf } from "../demo/peak-memory.js";
import { startDemoServer } from "../demo/processes.js";
import type { Job, JobAnswer, JobResult } from "./jobs.js";

/** Children that are alive. */
const running = new Set<number>();

/** Ends every child at once, for when this process has to end. */
export function killChildren(): void {
  for (const pid of running) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has just ended.
    }
  }
}

/** Runs a job in a process of its own. */
export async function runJob(job: Job): Promise<JobResult> {
  const child = fork(fileURLToPath(new URL("./job-process.js", import.meta.url)), [], {
    serialization: "advanced",
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const { pid } = child;
  if (pid !== undefined) running.add(pid);
  const exited = once(child, "exit").finally(() => pid !== undefined && running.delete(pid));
  const answered = once(child, "message");
  child.send(job);
  const [answer] = await Promise.race([answered, exited.then(() => [undefined])]);
  if (answer === undefined) throw new Error(`the process of the job "${job.kind}" ended before its time`);
  await exited;
  const told = answer as JobAnswer;
  if ("failed" in told) throw new Error(`${job.kind} ${job.file}: ${told.failed}`);
  return told.result;
}

/** Runs a server in a process of its own, on a directory, while `use` uses it; answers its peak memory in bytes, too. */
export async function withServer<T>(
  directory: string,
  use: (address: string) => Promise<T>,
): Promise<{ readonly result: T; readonly memoryPeak: number | undefined }> {
  const server = await startDemoServer(directory, 0);
  const { pid } = server;
  if (pid !== undefined) running.add(pid);
  try {
    const result = await use(server.address);
    return { result, memoryPeak: pid === undefined ? undefined : memoryOf(pid, "VmHWM") };
  } finally {
    await server.drain();
    if (pid !== undefined) running.delete(pid);
  }
}
