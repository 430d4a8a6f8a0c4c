// Some of the replicas of a soak, all live, in a process of their own: edits, cuts and reopens them at random.
import { createReplica, type LiveSync, openReplica, type Replica, type Verdict } from "../../client/index.js";
import { createRandom, type Random } from "../simulate/random.js";
import { type CuttingProxy, startCuttingProxy } from "./cutting-proxy.js";
import { type ClientAnswer, type ClientOrder, COLLECTION, type Taken } from "./plan.js";

type Start = Extract<ClientOrder, { kind: "start" }>;
type Report = Extract<ClientAnswer, { kind: "report" }>;

interface Seat {
  readonly number: number;
  readonly file: string;
  replica: Replica;
  live: LiveSync;
}

/** Mean seconds between two cuts of one replica's connection, and between two times that its file is closed. */
const CUT_S = 120;
const REOPEN_S = 600;
const TICK_MS = 50;
const STOP = { timeoutMs: 10_000 };

function createSoakClient(start: Start) {
  const { plan } = start;
  const random: Random = createRandom(plan.seed + start.from);
  const seats: Seat[] = [];
  const taken = new Map<string, Taken>();
  const unheard: Omit<Taken, "revision">[] = [];
  const outcomes: Record<string, number> = {};
  const faults: string[] = [];
  const waiting = new Set<Promise<void>>();
  const busy = new Set<Seat>();
  let proxy: CuttingProxy | undefined;
  let edits = 0;
  let changes = 0;
  let reconnects = 0;
  let reopened = 0;
  let cuts = 0;
  let gaveWay = 0;
  let timer: NodeJS.Timeout | undefined;

  const fail = (what: string) => (error: unknown) => void faults.push(`${what}: ${String(error)}`);

  function join(seat: Omit<Seat, "live">): Seat {
    const { replica } = seat;
    replica.on("change", () => {
      changes += 1;
    });
    const live = replica.sync({
      live: true,
      server: (proxy as CuttingProxy).address,
      create: true,
      backoff: { initialMs: 50, maxMs: 2000 },
    });
    live.ended.then(
      (report) => {
        reconnects += report.reconnects;
      },
      fail(`replica ${seat.number} ended`),
    );
    return Object.assign(seat, { live });
  }

  function note(id: string, content: string | undefined, verdict: Verdict): void {
    outcomes[verdict.outcome] = (outcomes[verdict.outcome] ?? 0) + 1;
    if (verdict.outcome === "gave-way") gaveWay += 1;
    if (verdict.outcome !== "applied" && verdict.outcome !== "already") return;
    const before = taken.get(id)?.revision ?? 0;
    if (verdict.revision > before) taken.set(id, { id, content, revision: verdict.revision });
  }

  function edit({ replica, number }: Seat): void {
    const id = `item-${random.int(0, plan.ids - 1)}`;
    const content = random.chance(0.15) ? undefined : `${number}#${edits}|${"x".repeat(random.int(0, 300))}`;
    const change = content === undefined ? replica.delete(id) : replica.put(id, content);
    if (change === undefined) return;
    edits += 1;
    const judged = change.verdict().then(
      (verdict) => note(id, content, verdict),
      // Its file was closed before: the change is still pending, and goes with the next exchange.
      () => void unheard.push({ id, content }),
    );
    waiting.add(judged);
    void judged.finally(() => waiting.delete(judged));
  }

  async function reopen(seat: Seat): Promise<void> {
    busy.add(seat);
    try {
      if (random.chance(0.5)) await seat.live.stop(STOP);
      seat.replica.close();
      await seat.live.ended;
      join(Object.assign(seat, { replica: openReplica(seat.file) }));
      reopened += 1;
    } catch (error) {
      fail(`reopening replica ${seat.number}`)(error);
    } finally {
      busy.delete(seat);
    }
  }

  function tick(): void {
    const seconds = TICK_MS / 1000;
    const mine = (plan.editsPerSecond * seats.length) / plan.replicas;
    for (let due = mine * seconds; due > 0; due -= 1) {
      const seat = random.pick(seats);
      if (!busy.has(seat) && random.chance(Math.min(1, due))) edit(seat);
    }
    if (random.chance((seats.length * seconds) / CUT_S) && proxy?.cutOne((sockets) => random.pick(sockets)) === true) {
      cuts += 1;
    }
    const seat = random.pick(seats);
    if (random.chance((seats.length * seconds) / REOPEN_S) && !busy.has(seat)) void reopen(seat);
  }

  return {
    async begin(): Promise<void> {
      proxy = await startCuttingProxy(Number(start.server.slice(start.server.lastIndexOf(":") + 1)));
      for (let number = start.from; number < start.to; number++) {
        const file = `${start.directory}/replica-${number}`;
        const replica = createReplica(file, { collection: COLLECTION, cacheMiB: 1 });
        seats.push(join({ number, file, replica }));
      }
      timer = setInterval(() => {
        try {
          tick();
        } catch (error) {
          fail("an edit")(error);
        }
      }, TICK_MS);
    },
    async rest(): Promise<void> {
      clearInterval(timer);
      while (busy.size > 0) await new Promise((resolve) => setTimeout(resolve, TICK_MS));
      await Promise.all(waiting);
    },
    async report(): Promise<Report> {
      // One more exchange each, which proves that both sides are equal.
      for (const { live, replica, number } of seats) {
        await live.stop(STOP);
        const report = await replica.sync({ server: start.server }).catch(fail(`the last sync of ${number}`));
        if (report?.verified !== true) faults.push(`replica ${number} is not verified`);
      }
      const statuses = seats.map(({ replica }) => replica.status());
      return {
        kind: "report",
        taken: [...taken.values()],
        unheard,
        outcomes,
        edits,
        changes,
        reconnects,
        reopened,
        cuts,
        gaveWay,
        records: statuses.reduce((sum, { conflicts }) => sum + conflicts, 0),
        fingerprints: statuses.map(({ agreed }) => `${agreed.count} ${agreed.fingerprint}`),
        pending: statuses.reduce((sum, { pending }) => sum + pending, 0),
        faults,
      };
    },
    stop(): void {
      for (const { replica } of seats) replica.close();
      proxy?.close();
    },
  };
}

let client: ReturnType<typeof createSoakClient> | undefined;

async function obey(order: ClientOrder): Promise<ClientAnswer> {
  if (order.kind === "start") {
    client = createSoakClient(order);
    await client.begin();
    return { kind: "started" };
  }
  if (client === undefined) throw new Error("it has not started");
  if (order.kind === "rest") {
    await client.rest();
    return { kind: "idle" };
  }
  if (order.kind === "report") return await client.report();
  client.stop();
  return { kind: "stopped" };
}

process.on("message", (order: ClientOrder) => {
  void obey(order).then((answer) => {
    process.send?.(answer, () => {
      if (answer.kind === "stopped") process.exit();
    });
  });
});
process.once("disconnect", () => process.exit());
