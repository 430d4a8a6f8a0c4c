// One job on one replica file, in a process of its own: started by fork, told the job by a message, answers, ends.
import { createReplica, openReplica, type Replica, type SyncReport } from "../../client/index.js";
import { peakMemory } from "../demo/peak-memory.js";
import { contentOf, FIRST_VERSION, idOf } from "./items.js";
import type { Job, JobAnswer } from "./jobs.js";

const LOAD_BATCH = 10_000;

function load(replica: Replica, items: number): void {
  for (let from = 0; from < items; from += LOAD_BATCH) {
    const indices = Array.from({ length: Math.min(LOAD_BATCH, items - from) }, (_, index) => from + index);
    put(replica, indices, FIRST_VERSION);
  }
}

function put(replica: Replica, indices: readonly number[], version: string): void {
  replica.putMany(indices.map((index) => [idOf(index), contentOf(index, version)] as const));
}

async function work(replica: Replica, job: Job): Promise<SyncReport | undefined> {
  switch (job.kind) {
    case "make":
      if (job.items !== undefined) load(replica, job.items);
      return await replica.sync({ server: job.server, create: true });
    case "edit":
      put(replica, job.indices, job.version);
      return undefined;
    case "sync":
      return await replica.sync({
        server: job.server,
        ...(job.standard === undefined ? {} : { standard: job.standard }),
      });
  }
}

async function answer(job: Job): Promise<JobAnswer> {
  try {
    const replica =
      job.kind === "make" ? createReplica(job.file, { collection: job.collection }) : openReplica(job.file);
    const before = process.cpuUsage();
    const report = await work(replica, job);
    const { user, system } = process.cpuUsage(before);
    const memoryPeak = peakMemory();
    replica.close();
    return { result: { report, cpuMs: (user + system) / 1000, memoryPeak } };
  } catch (error) {
    return { failed: error instanceof Error ? error.message : String(error) };
  }
}

process.once("disconnect", () => process.exit());
process.once("message", (job: Job) => {
  void answer(job).then((message) => process.send?.(message, () => process.disconnect()));
});
