// One job on one replica file, in a process of its own: started by fork, told the job by a message, answers, ends.
import { createReplica, openReplica, type Replica } from "../../client/index.js";
import type { Edit } from "./cells.js";
import { readPlaces, spread } from "./cities.js";
import type { Job, JobAnswer, JobResults, KeptRecord, Side } from "./jobs.js";
import { peakMemory, resetPeakMemory } from "./peak-memory.js";

const LOAD_BATCH = 10_000;

function load(job: Extract<Job, { kind: "load" }>): JobResults["load"] {
  const places = readPlaces(job.limit);
  const began = performance.now();
  const replica = createReplica(job.file, { collection: job.collection });
  for (let from = 0; from < places.length; from += LOAD_BATCH) {
    replica.putMany(places.slice(from, from + LOAD_BATCH).map(({ id, content }) => [id, content] as const));
  }
  const durationMs = performance.now() - began;
  const { items } = replica.status();
  replica.close();
  const contentBytes = places.reduce((sum, place) => sum + Buffer.byteLength(place.content), 0);
  return { items, contentBytes, durationMs, sample: spread(places, job.sample) };
}

function edit(replica: Replica, edits: readonly Edit[]): JobResults["edit"] {
  const began = performance.now();
  replica.putMany(edits.filter((change): change is readonly [string, string] => change[1] !== null));
  for (const [id, content] of edits) if (content === null) replica.delete(id);
  return { durationMs: performance.now() - began };
}

async function sync(job: Extract<Job, { kind: "sync" }>): Promise<JobResults["sync"]> {
  const replica = job.make === undefined ? openReplica(job.file) : createReplica(job.file, { collection: job.make });
  resetPeakMemory();
  const memoryBefore = process.memoryUsage.rss();
  const report = await replica.sync({
    server: job.server,
    create: job.create ?? false,
    ...(job.standard === undefined ? {} : { standard: job.standard }),
  });
  const memoryPeak = peakMemory();
  replica.close();
  return { report, memoryBefore, memoryPeak };
}

function look(replica: Replica, ids: readonly string[]): JobResults["look"] {
  const wanted = new Set(ids);
  const records: KeptRecord[] = [];
  for (const { number, id } of replica.conflicts()) {
    const record = wanted.has(id) ? replica.conflict(number) : undefined;
    if (record === undefined) continue;
    const { kind, content, size, prevailed, standard } = record;
    records.push({ number, id, kind, content: content?.toString(), size, prevailed, standard });
  }
  const contents = ids.map((id) => replica.get(id)?.content.toString() ?? null);
  return { contents, records, side: sideOf(replica) };
}

function sideOf(replica: Replica): Side {
  const { items, pending, conflicts, agreed } = replica.status();
  return { items, pending, conflicts, ...agreed };
}

async function run(job: Job): Promise<JobResults[Job["kind"]]> {
  if (job.kind === "load") return load(job);
  if (job.kind === "sync") return await sync(job);
  const replica = openReplica(job.file);
  try {
    switch (job.kind) {
      case "edit":
        return edit(replica, job.edits);
      case "look":
        return look(replica, job.ids);
      case "audit":
        return { right: replica.audit(), side: sideOf(replica) };
    }
  } finally {
    replica.close();
  }
}

async function answer(job: Job): Promise<JobAnswer> {
  try {
    return { result: await run(job) };
  } catch (error) {
    return { failed: error instanceof Error ? error.message : String(error) };
  }
}

process.once("disconnect", () => process.exit());
process.once("message", (job: Job) => {
  void answer(job).then((message) => process.send?.(message, () => process.disconnect()));
});
