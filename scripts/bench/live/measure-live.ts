import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { startServerChild } from "../children.js";
import type { Setting } from "../orders.js";
import { spreadOf } from "../summary.js";
import type { LiveFigure } from "./figures.js";
import { startLiveChild } from "./live-child.js";

/** Replicas of W7, and how many of them exchange at a time. */
const CROWD = 1000;
const IN_FLIGHT = 64;
/** Rounds of W7 before those that count: a server that has run a while has compiled its code. */
const WARM_UP_ROUNDS = 8;
const LEAST_ROUNDS = 3;
/** Timed changes of W9, and the time between them; and before them, until the code of all sides is compiled. */
const CHANGES = 500;
const EVERY_MS = 10;
const WARM_UP_CHANGES = 2000;
const WARM_UP_EVERY_MS = 2;
/** Changes a second that somebody else makes, for W9 under load. */
const LOAD_PER_SECOND = 500;
/** Open exchanges of W10, on this many connections. */
const AUDIENCES = [1000, 10_000] as const;
const AUDIENCE_CONNECTIONS = 20;
const FANS_OUT = 10;
/** Paused readers of W10, each with a connection of its own, and items that none of them takes: many times their windows. */
const PAUSED = 300;
const PAUSED_ITEMS = 20_000;
/** The server has sent what it can once its memory grows by less than this in so long. */
const SETTLED_BYTES = 1_000_000;
const SETTLING_MS = 500;
const COLLECTION = "live";

/** Measures W7, W9 and W10, as far as they are asked for. */
export async function measureLive(
  directory: string,
  only: readonly string[],
  runs: number,
  begin: (what: string) => void,
): Promise<LiveFigure[]> {
  const figures: LiveFigure[] = [];
  const measure = async (name: string, run: (place: string) => Promise<LiveFigure[]>): Promise<void> => {
    begin(name);
    const place = join(directory, name.replaceAll(" ", "-"));
    mkdirSync(place, { recursive: true });
    figures.push(...(await run(place)));
  };
  if (only.includes("W7")) await measure("W7", (place) => measureCrowd(place, runs));
  if (only.includes("W9")) {
    await measure("W9 idle", (place) => measureLatency(place, 0));
    await measure("W9 load", (place) => measureLatency(place, LOAD_PER_SECOND));
  }
  if (only.includes("W10")) {
    for (const size of AUDIENCES) await measure(`W10 ${size}`, (place) => measureAudience(place, size));
    await measure("W10 paused", (place) => measurePaused(place));
  }
  return figures;
}

/** W7: exchanges a second that push one change each, and what the server needs for them. */
async function measureCrowd(place: string, runs: number): Promise<LiveFigure[]> {
  const server = await startServerChild(settingIn(place));
  const client = startLiveChild();
  await client.ask({ kind: "crowd", address: server.address, size: CROWD, inFlight: IN_FLIGHT });
  for (let round = 0; round < WARM_UP_ROUNDS; round++) await client.ask({ kind: "push-one", inFlight: IN_FLIGHT });
  const rates: number[] = [];
  const perCpu: number[] = [];
  const delays: number[] = [];
  for (let run = 0; run < Math.max(runs, LEAST_ROUNDS); run++) {
    await server.begin();
    const ms = (await client.ask({ kind: "push-one", inFlight: IN_FLIGHT })) as number;
    const { cpuMs, loopP99Ms } = await server.end();
    rates.push((CROWD * 1000) / ms);
    perCpu.push((CROWD * 1000) / cpuMs);
    delays.push(loopP99Ms ?? 0);
  }
  await client.end();
  await server.stop();
  const title = `${CROWD} replicas push one change each, durably, ${IN_FLIGHT} at a time`;
  return [
    { workload: "W7", title, what: "exchanges/s", unit: "/s", ...spreadOf(rates) },
    { workload: "W7", title, what: "exchanges in a second of server CPU", unit: "/s", ...spreadOf(perCpu) },
    { workload: "W7", title, what: "event loop delay p99 of the server", unit: "ms", ...spreadOf(delays) },
  ];
}

/** W9: how long it takes from a put at one replica to the event at another, each with a file and a process of its own. */
async function measureLatency(place: string, load: number): Promise<LiveFigure[]> {
  const server = await startServerChild(settingIn(place));
  const names = ["writer", "reader", ...(load > 0 ? ["loader"] : [])];
  const children = names.map((name) => ({ name, child: startLiveChild() }));
  for (const { name, child } of children) {
    const replica = { address: server.address, file: join(place, name), collection: COLLECTION };
    await child.ask({ kind: "replica", ...replica, listens: name === "reader" });
  }
  const [writer, reader, loader] = children.map(({ child }) => child);
  await loader?.ask({ kind: "load", perSecond: load });
  const time = async (count: number, everyMs: number): Promise<readonly number[]> => {
    await writer?.ask({ kind: "put", times: count, everyMs });
    return (await reader?.ask({ kind: "latencies", count })) as readonly number[];
  };
  await time(WARM_UP_CHANGES, WARM_UP_EVERY_MS);
  const sorted = [...(await time(CHANGES, EVERY_MS))].sort((a, b) => a - b);
  await loader?.ask({ kind: "rest" });
  for (const { child } of children) await child.end();
  await server.stop();
  const title = load === 0 ? "live, idle" : `live, with ${load} changes/s of another replica`;
  const range = { least: sorted[0] ?? Number.NaN, most: sorted.at(-1) ?? Number.NaN };
  return [50, 99].map((percent) => {
    const value = sorted[Math.ceil((sorted.length * percent) / 100) - 1] ?? Number.NaN;
    return { workload: "W9", title, what: `from put to event, p${percent}`, unit: "ms", median: value, ...range };
  });
}

/** W10: what an open exchange costs the server, and how long it takes until all have heard of a change. */
async function measureAudience(place: string, size: number): Promise<LiveFigure[]> {
  const server = await startServerChild(settingIn(place));
  const { address } = server;
  const writer = startLiveChild();
  const file = join(place, "writer");
  await writer.ask({ kind: "replica", address, file, collection: COLLECTION, listens: false });
  const before = await server.memory();
  const audience = startLiveChild();
  const connections = AUDIENCE_CONNECTIONS;
  await audience.ask({ kind: "audience", address, collection: COLLECTION, size, connections });
  const after = await server.memory();
  const times: number[] = [];
  for (let round = 0; round <= FANS_OUT; round++) {
    const began = performance.now();
    const heard = audience.ask({ kind: "all-hear" });
    await writer.ask({ kind: "put", times: 1, everyMs: 0 });
    await heard;
    // The first one finds code that was never run.
    if (round > 0) times.push(performance.now() - began);
  }
  const end = await server.memory();
  await audience.end();
  await writer.end();
  await server.stop();
  const title = `${size.toLocaleString("en-US")} live exchanges on ${connections} connections`;
  const figure = (what: string, unit: LiveFigure["unit"], values: readonly number[]): LiveFigure => {
    return { workload: "W10", title, what, unit, ...spreadOf(values) };
  };
  return [
    figure("resident memory of the server for each", "kB", [(after.rss - before.rss) / size / 1000]),
    figure("heap of the server for each", "kB", [(after.heap - before.heap) / size / 1000]),
    figure("until all have heard of a change", "ms", times),
    figure("resident memory of the server in the end", "MB", [end.rss / 1e6]),
  ];
}

/** W10: what a reader costs the server that has begun a first pull and reads no more. */
async function measurePaused(place: string): Promise<LiveFigure[]> {
  const server = await startServerChild(settingIn(place));
  const { address } = server;
  const writer = startLiveChild();
  const file = join(place, "writer");
  await writer.ask({ kind: "replica", address, file, collection: COLLECTION, listens: false, items: PAUSED_ITEMS });
  await writer.end();
  const before = await settledMemory(server);
  const readers = startLiveChild();
  await readers.ask({ kind: "paused", address, collection: COLLECTION, size: PAUSED, connections: PAUSED });
  const after = await settledMemory(server);
  await readers.end();
  await server.stop();
  const title = `${PAUSED} readers that stopped reading a first pull of ${PAUSED_ITEMS.toLocaleString("en-US")} items`;
  const each = spreadOf([(after - before) / PAUSED / 1000]);
  return [{ workload: "W10", title, what: "resident memory of the server for each", unit: "kB", ...each }];
}

/** Resident bytes of the server, once they have stopped growing. */
async function settledMemory(server: Awaited<ReturnType<typeof startServerChild>>): Promise<number> {
  for (let last = (await server.memory()).rss; ; ) {
    await new Promise((resolve) => setTimeout(resolve, SETTLING_MS));
    const { rss } = await server.memory();
    if (rss - last < SETTLED_BYTES) return rss;
    last = rss;
  }
}

function settingIn(place: string): Setting {
  const module = new URL("../tercet/server.js", import.meta.url).href;
  const directory = join(place, "server");
  mkdirSync(directory, { recursive: true });
  return { module, variant: "", directory, ids: "ordered", items: 0 };
}
