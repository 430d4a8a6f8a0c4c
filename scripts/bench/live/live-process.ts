// A client process of the live workloads: a crowd, an audience, or a replica that is live.
import { createReplica, type LiveSync, type Replica } from "../../../client/index.js";
import { answerOrders } from "../answer-orders.js";
import { contentOf, idOf } from "../items.js";
import { type Audience, type Crowd, createCrowd, openAudience, openPaused, type PausedReaders } from "./crowd.js";
import type { LiveOrder } from "./orders.js";
import { type RawConnections, rawConnections } from "./raw-exchange.js";

const CROWD_CONNECTIONS = 8;
const OPENING = 64;
const LOAD_TURN_MS = 10;
/** Ids of what is put with the time in it. */
const TIMED = "timed-";

let connections: RawConnections | undefined;
let crowd: Crowd | undefined;
let audience: Audience | undefined;
let paused: PausedReaders | undefined;
let replica: Replica | undefined;
let live: LiveSync | undefined;
let load: NodeJS.Timeout | undefined;
let rounds = 0;
let puts = 0;
const latencies: number[] = [];
let whenHeard: (() => void) | undefined;

/** The machine's monotonic clock, the same in all processes, in milliseconds. */
function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

function hear(id: string): void {
  const at = nowMs();
  if (!id.startsWith(TIMED)) return;
  latencies.push(at - Number(String(replica?.get(id)?.content).split(" ")[0]));
  whenHeard?.();
}

async function openLive(order: Extract<LiveOrder, { kind: "replica" }>): Promise<void> {
  replica = createReplica(order.file, { collection: order.collection });
  const indices = Array.from({ length: order.items ?? 0 }, (_, index) => index);
  replica.putMany(indices.map((index) => [idOf("ordered", index), contentOf(index, "filled")]));
  if (order.listens) replica.on("change", ({ id }) => hear(id));
  live = replica.sync({ server: order.address, create: true, live: true });
  await live.caughtUp();
}

async function put(times: number, everyMs: number): Promise<void> {
  for (let time = 0; time < times; time++) {
    puts += 1;
    const text = contentOf(puts, "timed");
    replica?.put(`${TIMED}${puts}`, `${nowMs()} ${text}`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}

function beginLoad(perSecond: number): void {
  load = setInterval(() => {
    for (let due = (perSecond * LOAD_TURN_MS) / 1000; due > 0; due--) {
      puts += 1;
      replica?.put(`load-${puts}`, contentOf(puts, "load"));
    }
  }, LOAD_TURN_MS);
}

async function heard(count: number): Promise<readonly number[]> {
  while (latencies.length < count) {
    await new Promise<void>((resolve) => {
      whenHeard = resolve;
    });
  }
  return latencies.splice(0);
}

async function obey(order: LiveOrder): Promise<unknown> {
  switch (order.kind) {
    case "crowd":
      connections = rawConnections(order.address, CROWD_CONNECTIONS);
      crowd = await createCrowd(connections, order.size, order.inFlight);
      return undefined;
    case "push-one":
      rounds += 1;
      return await crowd?.pushOne(contentOf(rounds, "crowd"), order.inFlight);
    case "audience":
      connections = rawConnections(order.address, order.connections);
      audience = await openAudience(connections, order.collection, order.size, OPENING);
      return undefined;
    case "all-hear":
      return await audience?.allHear();
    case "paused":
      connections = rawConnections(order.address, order.connections);
      paused = await openPaused(connections, order.collection, order.size, OPENING);
      return undefined;
    case "replica":
      return await openLive(order);
    case "put":
      return await put(order.times, order.everyMs);
    case "load":
      return beginLoad(order.perSecond);
    case "rest":
      return clearInterval(load);
    case "latencies":
      return await heard(order.count);
    case "close":
      return await close();
  }
}

async function close(): Promise<void> {
  clearInterval(load);
  audience?.close();
  paused?.close();
  connections?.close();
  await live?.stop();
  replica?.close();
  replica = undefined;
}

answerOrders(obey, close);
