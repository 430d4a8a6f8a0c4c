import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createReplica } from "../../client/index.js";
import { memoryOf } from "../demo/peak-memory.js";
import { startDemoServer } from "../demo/processes.js";
import { createRandom } from "../simulate/random.js";
import { judgeSoak, type SoakJudgement } from "./judge-soak.js";
import { type ClientAnswer, type ClientOrder, COLLECTION, type SoakPlan } from "./plan.js";
import { slopeOf } from "./slope.js";

/** What the memory of a process was, in bytes. */
export interface Sample {
  readonly minutes: number;
  /** The server's; since its last start. */
  readonly server: number;
  /** All client processes together. */
  readonly clients: number;
}

/** What came of a soak. */
export interface SoakOutcome extends SoakJudgement {
  readonly samples: readonly Sample[];
  /** Starts of the server after the first: drained, and killed. */
  readonly restarts: { readonly drained: number; readonly killed: number };
  /** Growth of the clients' memory, and of the server's while one process served, in bytes an hour. */
  readonly slopes: { readonly clients: number; readonly server: number };
}

const SAMPLE_MS = 5000;
/** The server is restarted about this often, in the first half of the time: in the second half its memory can settle. */
const RESTART_MS = 45_000;

/** Runs a soak in a directory: server and clients in processes of their own. */
export async function runSoak(directory: string, plan: SoakPlan, tell: (sample: Sample) => void): Promise<SoakOutcome> {
  const random = createRandom(plan.seed);
  const data = join(directory, "server");
  let server = await startDemoServer(data, 0);
  const port = Number(server.address.slice(server.address.lastIndexOf(":") + 1));
  const clients = await startClients(directory, server.address, plan);
  const samples: Sample[] = [];
  const restarts = { drained: 0, killed: 0 };
  const begin = performance.now();
  const elapsed = (): number => performance.now() - begin;
  const all = plan.minutes * 60_000;
  let settledAt = 0;
  let restartAt = Math.min(RESTART_MS, all / 4);
  while (elapsed() < all) {
    await later(Math.min(SAMPLE_MS, all - elapsed()));
    if (elapsed() > restartAt && elapsed() < all / 2) {
      restartAt = elapsed() + RESTART_MS;
      const drains = random.chance(0.5);
      if (drains) await server.drain();
      else await kill(server.pid);
      restarts[drains ? "drained" : "killed"] += 1;
      server = await startDemoServer(data, port);
      settledAt = elapsed() / 60_000;
    }
    const memory = clients.map(({ child }) => residentOf(child.pid)).reduce((a, b) => a + b, 0);
    const sample = { minutes: elapsed() / 60_000, server: residentOf(server.pid), clients: memory };
    samples.push(sample);
    tell(sample);
  }
  await Promise.all(clients.map((client) => client.ask({ kind: "rest" })));
  const reports = await Promise.all(clients.map((client) => client.ask({ kind: "report" })));
  const judgement = judgeSoak(
    reports.flatMap((report) => (report.kind === "report" ? [report] : [])),
    await contentsOf(directory, server.address),
  );
  await Promise.all(clients.map((client) => client.ask({ kind: "stop" })));
  await server.drain();
  // Memory grows to its working size first: what counts is the second half.
  const settled = samples.filter(({ minutes }) => minutes > Math.max(plan.minutes / 2, settledAt));
  const slopes = {
    clients: slopeOf(settled.map(({ minutes, clients: bytes }) => [minutes / 60, bytes])),
    server: slopeOf(settled.map(({ minutes, server: bytes }) => [minutes / 60, bytes])),
  };
  return { ...judgement, samples, restarts, slopes };
}

/** What the server holds in the end, as a new replica takes it. */
async function contentsOf(directory: string, server: string) {
  const replica = createReplica(join(directory, "witness"), { collection: COLLECTION });
  await replica.sync({ server });
  const contents = new Map([...replica.list()].map(({ id, content }) => [id, String(content)]));
  const { agreed } = replica.status();
  replica.close();
  return { contents, fingerprint: `${agreed.count} ${agreed.fingerprint}` };
}

interface SoakClient {
  readonly child: ChildProcess;
  ask(order: ClientOrder): Promise<ClientAnswer>;
}

async function startClients(directory: string, server: string, plan: SoakPlan): Promise<readonly SoakClient[]> {
  const bounds = Array.from({ length: plan.processes + 1 }, (_, index) =>
    Math.floor((plan.replicas * index) / plan.processes),
  );
  const clients = bounds.slice(1).map(() => startClient());
  await Promise.all(
    clients.map(({ ask }, index) =>
      ask({ kind: "start", directory, server, from: bounds[index] ?? 0, to: bounds[index + 1] ?? 0, plan }),
    ),
  );
  return clients;
}

function startClient(): SoakClient {
  const child = fork(fileURLToPath(new URL("./client-process.js", import.meta.url)), [], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const died = once(child, "exit").then(() => {
    throw new Error("a client process of the soak ended before its time");
  });
  died.catch(() => undefined);
  return {
    child,
    async ask(order) {
      const answered = once(child, "message");
      child.send(order);
      const [answer] = await Promise.race([answered, died]);
      return answer as ClientAnswer;
    },
  };
}

async function kill(pid: number | undefined): Promise<void> {
  if (pid === undefined) return;
  process.kill(pid, "SIGKILL");
  // Its lock goes with it.
  while (isAlive(pid)) await later(10);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

function residentOf(pid: number | undefined): number {
  return (pid === undefined ? undefined : memoryOf(pid, "VmRSS")) ?? 0;
}

function later(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
