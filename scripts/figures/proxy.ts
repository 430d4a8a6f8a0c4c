import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** What passed a proxy. */
export interface WireCounts {
  readonly connections: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** How often the direction changed: 1 where everything goes up, then everything down. */
  readonly turns: number;
}

/** A way to a server on which all bytes are counted: HTTP/2's own framing, headers and settings, too. */
export interface CountingProxy {
  readonly address: string;
  /** What has passed so far. */
  counts(): WireCounts;
  /** Resolves once nothing has passed for so many milliseconds. */
  quiet(ms: number): Promise<void>;
  /** Resolves once all connections have ended, with what passed. */
  close(): Promise<WireCounts>;
}

/** How a proxy passes on what it takes. */
export interface ProxyOptions {
  /** Milliseconds by which everything is later, each way; half of the round trip that it adds. Default: 0. */
  readonly delayMs?: number;
}

type Direction = "up" | "down";

/** Starts a proxy to a server's `host:port`. */
export async function startCountingProxy(target: string, { delayMs = 0 }: ProxyOptions = {}): Promise<CountingProxy> {
  const colon = target.lastIndexOf(":");
  const host = target.slice(0, colon);
  const port = Number(target.slice(colon + 1));
  const bytes = { up: 0, down: 0 };
  let connections = 0;
  let turns = 0;
  let last: Direction | undefined;
  let lastAt = performance.now();

  function passes(direction: Direction, length: number): void {
    bytes[direction] += length;
    lastAt = performance.now();
    if (last !== undefined && last !== direction) turns++;
    last = direction;
  }

  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    connections++;
    const upstream = connect({ host, port, allowHalfOpen: true, noDelay: true });
    const end = (): void => {
      client.destroy();
      upstream.destroy();
    };
    client.on("error", end).on("close", end);
    upstream.on("error", end).on("close", end);
    passOn(client, upstream, delayMs, (length) => passes("up", length));
    passOn(upstream, client, delayMs, (length) => passes("down", length));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const counts = (): WireCounts => ({ connections, bytesUp: bytes.up, bytesDown: bytes.down, turns });
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    counts,
    async quiet(ms) {
      for (;;) {
        const rest = lastAt + ms - performance.now();
        if (rest <= 0) return;
        await new Promise((resolve) => setTimeout(resolve, rest));
      }
    },
    async close() {
      await new Promise((resolve) => server.close(resolve));
      return counts();
    },
  };
}

function passOn(from: Socket, to: Socket, delayMs: number, count: (bytes: number) => void): void {
  from.on("data", (chunk: Buffer) => count(chunk.length));
  if (delayMs === 0) from.pipe(to);
  else passOnLater(from, to, delayMs);
}

/** What is due within this goes at once where much is under way: as often early as late. */
const EARLY_MS = 0.5;
/** Where no more chunks than this are under way, the end of a wait is waited for awake: timers are late by a millisecond. */
const FEW_CHUNKS = 4;
const TIMER_MS = 1;

/** Holds everything back for a while. Nothing limits how much is under way: the link is long, not narrow. */
function passOnLater(from: Socket, to: Socket, delayMs: number): void {
  const underWay: { readonly dueAt: number; readonly chunk: Buffer | undefined }[] = [];
  let waiting = false;

  function arrive(): void {
    waiting = false;
    const now = performance.now() + (underWay.length > FEW_CHUNKS ? EARLY_MS : 0);
    let arrived = 0;
    for (const { dueAt, chunk } of underWay) {
      if (dueAt > now) break;
      arrived++;
      if (to.destroyed) continue;
      if (chunk === undefined) to.end();
      else to.write(chunk);
    }
    underWay.splice(0, arrived);
    wait();
  }

  function wait(): void {
    const next = underWay[0];
    if (next === undefined || waiting) return;
    waiting = true;
    const rest = next.dueAt - performance.now();
    if (underWay.length > FEW_CHUNKS) setTimeout(arrive, Math.max(TIMER_MS, Math.round(rest)));
    else if (rest > 2 * TIMER_MS) setTimeout(arrive, Math.floor(rest - TIMER_MS));
    else setImmediate(arrive);
  }

  function depart(chunk: Buffer | undefined): void {
    underWay.push({ dueAt: performance.now() + delayMs, chunk });
    wait();
  }

  from.on("data", depart);
  from.on("end", () => depart(undefined));
}
