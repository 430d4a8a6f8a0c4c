import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A way to a server on which all bytes are counted: HTTP/2's own framing, headers and settings, too. */
export interface CountingProxy {
  readonly address: string;
  /** Resolves once all connections have ended, with what passed each way. */
  close(): Promise<{ readonly connections: number; readonly bytesUp: number; readonly bytesDown: number }>;
}

/** Starts a proxy to a server's `host:port`. */
export async function startCountingProxy(target: string): Promise<CountingProxy> {
  const colon = target.lastIndexOf(":");
  const host = target.slice(0, colon);
  const port = Number(target.slice(colon + 1));
  const pairs: { readonly client: Socket; readonly upstream: Socket }[] = [];
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const upstream = connect({ host, port, allowHalfOpen: true, noDelay: true });
    pairs.push({ client, upstream });
    const end = (): void => {
      client.destroy();
      upstream.destroy();
    };
    client.on("error", end).on("close", end);
    upstream.on("error", end).on("close", end);
    client.pipe(upstream);
    upstream.pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      await new Promise((resolve) => server.close(resolve));
      return {
        connections: pairs.length,
        bytesUp: sum(pairs.map(({ client }) => client.bytesRead)),
        bytesDown: sum(pairs.map(({ upstream }) => upstream.bytesRead)),
      };
    },
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
