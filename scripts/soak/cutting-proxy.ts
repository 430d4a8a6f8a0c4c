import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import type { Random } from "../simulate/random.js";

/** A way to a server whose connections can be cut. */
export interface CuttingProxy {
  readonly address: string;
  /** How many have been cut. */
  readonly cuts: number;
  /** Cuts any connection, if there is one. */
  cutOne(random: Random): void;
  close(): void;
}

/** Starts a proxy to a server's `host:port`. */
export async function startCuttingProxy(target: string): Promise<CuttingProxy> {
  const colon = target.lastIndexOf(":");
  const host = target.slice(0, colon);
  const port = Number(target.slice(colon + 1));
  const open = new Set<Socket>();
  let cuts = 0;
  const server = createServer({ noDelay: true }, (client) => {
    const upstream = connect({ host, port, noDelay: true });
    const end = (): void => {
      open.delete(client);
      client.destroy();
      upstream.destroy();
    };
    open.add(client);
    client.on("error", end).on("close", end);
    upstream.on("error", end).on("close", end);
    client.pipe(upstream);
    upstream.pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    get cuts() {
      return cuts;
    },
    cutOne(random) {
      if (open.size === 0) return;
      cuts += 1;
      random.pick([...open]).destroy();
    },
    close() {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}
