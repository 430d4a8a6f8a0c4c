import { type AddressInfo, connect as connectTcp, createServer, type Socket } from "node:net";
import { type Metadata, Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import { ErrorReason, type Fault } from "../../core/fault.js";
import { ExchangeResponse } from "../../gen/tercet/v1/sync.js";
import { SyncServiceService } from "../../gen/tercet/v1/sync_service.js";
import { toStatus } from "../../server/rpc/status.js";

/** A message of a server to a client. */
export type ServerMessage = NonNullable<ExchangeResponse["message"]>;

/** The server's end of an exchange, in bytes. */
export interface ServerEnd {
  /** The next message of the client; undefined once it has half-closed or is gone. */
  receive(): Promise<Buffer | undefined>;
  /** Sends a message, or bytes as one, whatever they say. */
  send(message: ServerMessage | Uint8Array): void;
  /** Ends with OK. */
  end(): void;
  /** Ends with the status of a fault, with its details. */
  refuse(fault: Fault): void;
  /** Ends with any status. */
  fail(status: { readonly code: number; readonly details: string; readonly metadata?: Metadata }): void;
  /** Cuts the connection, as if a cable was pulled. */
  cut(): void;
  /** Resolves when the stream is over, however. */
  readonly over: Promise<void>;
}

/** A server that answers exchanges as it is told to, and nothing else. */
export interface StreamServer {
  readonly address: string;
  /** Cuts all connections. */
  cut(): void;
  stop(): Promise<void>;
}

const asIs = (bytes: Buffer): Buffer => bytes;

/** Starts one. `serve` is called for each exchange; what it rejects with ends the exchange with INTERNAL. */
export async function startStreamServer(serve: (end: ServerEnd) => Promise<void>): Promise<StreamServer> {
  const grpc = new Server();
  const { exchange } = SyncServiceService;
  const method = {
    ...exchange,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    requestSerialize: asIs,
    responseDeserialize: asIs,
  };
  const sockets = new Set<Socket>();
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  grpc.addService(
    { exchange: method },
    { exchange: (call: ServerDuplexStream<Buffer, Buffer>) => void answer(call, cut, serve) },
  );
  const port = await new Promise<number>((resolve, reject) => {
    grpc.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
  // Before it stands what can be cut: grpc-js has no way to end a connection without a word.
  const front = createServer((client) => {
    const upstream = connectTcp(port, "127.0.0.1");
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket
        .on("error", () => undefined)
        .on("close", () => {
          sockets.delete(socket);
          client.destroy();
          upstream.destroy();
        });
    }
    client.pipe(upstream).pipe(client);
  });
  await new Promise<void>((resolve) => front.listen(0, "127.0.0.1", resolve));
  return {
    address: `127.0.0.1:${(front.address() as AddressInfo).port}`,
    cut,
    async stop() {
      cut();
      grpc.forceShutdown();
      await new Promise<void>((resolve) => front.close(() => resolve()));
    },
  };
}

async function answer(
  call: ServerDuplexStream<Buffer, Buffer>,
  cut: () => void,
  serve: (end: ServerEnd) => Promise<void>,
): Promise<void> {
  const queue: Buffer[] = [];
  let ended = false;
  let wake: (() => void) | undefined;
  const finish = (): void => {
    ended = true;
    wake?.();
  };
  const over = new Promise<void>((resolve) => {
    const close = (): void => {
      finish();
      resolve();
    };
    for (const event of ["cancelled", "close", "error"]) call.on(event, close);
  });
  call.on("data", (bytes: Buffer) => {
    queue.push(bytes);
    wake?.();
  });
  call.on("end", finish);
  const end: ServerEnd = {
    async receive() {
      while (queue.length === 0 && !ended) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return queue.shift();
    },
    send(message) {
      const isBytes = message instanceof Uint8Array;
      call.write(isBytes ? Buffer.from(message) : Buffer.from(ExchangeResponse.encode({ message }).finish()));
    },
    end: () => void call.end(),
    refuse: (fault) => void call.emit("error", toStatus(fault)),
    fail: (status) => void call.emit("error", status),
    cut,
    over,
  };
  try {
    await serve(end);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    end.refuse({ reason: ErrorReason.ERROR_REASON_INTERNAL, message: `the kit's server: ${message}` });
  }
}
