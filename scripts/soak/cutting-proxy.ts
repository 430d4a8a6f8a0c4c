import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A way to a server of this machine whose connections can be cut, or frozen. */
export interface CuttingProxy {
  readonly address: string;
  /** Cuts all connections. */
  cut(): void;
  /** Cuts one of them, chosen by `pick`; false: there is none. */
  cutOne(pick: (sockets: readonly Socket[]) => Socket): boolean;
  /** They stay open, and nothing goes through them any more. */
  freeze(): void;
  /** Takes no more connections, and cuts those that there are. */
  close(): void;
}

/** Starts a proxy to a port. */
export async function startCuttingProxy(port: number): Promise<CuttingProxy> {
  const clients = new Map<Socket, Socket>();
  const server = createServer({ noDelay: true }, (client) => {
    const upstream = connect({ host: "127.0.0.1", port, noDelay: true });
    const end = (): void => {
      clients.delete(client);
      client.destroy();
      upstream.destroy();
    };
    clients.set(client, upstream);
    for (const socket of [client, upstream]) socket.on("error", () => undefined).on("close", end);
    client.pipe(upstream).pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const cut = (): void => {
    for (const client of clients.keys()) client.destroy();
  };
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut,
    cutOne(pick) {
      if (clients.size === 0) return false;
      pick([...clients.keys()]).destroy();
      return true;
    },
    freeze() {
      for (const socket of [...clients].flat()) socket.unpipe().pause();
    },
    close() {
      server.close();
      cut();
    },
  };
}
