import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, credentials } from "@grpc/grpc-js";
import { type ClientStream, streamOver } from "../../scripts/conformance/stream-client.js";
import { type RunningServer, type ServerOptions, type Surroundings, startServer } from "../../server/index.js";
import { type Api, createApi } from "./api.js";

/** A server on a data directory of its own, and a connection to it. */
export interface TestServer {
  readonly directory: string;
  readonly server: RunningServer;
  readonly client: Client;
  /** The unary calls. */
  readonly api: Api;
  /** Begins an exchange. */
  exchange(): ClientStream;
  /** A new collection of this name. */
  create(collection: string): Promise<string>;
  /** Ends the server and opens its data again: another epoch. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts a server on a free port. */
export async function startTestServer(
  options: Partial<ServerOptions> = {},
  surroundings?: Surroundings,
): Promise<TestServer> {
  const directory = options.directory ?? mkdtempSync(join(tmpdir(), "tercet-rpc-"));
  const start = () => startServer({ port: 0, graceMs: 5000, ...options, directory }, surroundings);
  let server = await start();
  let client = connect(server.address);
  let api = createApi(client);
  return {
    directory,
    get server() {
      return server;
    },
    get client() {
      return client;
    },
    get api() {
      return api;
    },
    exchange: () => streamOver(client),
    async create(collection) {
      await api.createCollection({ collection });
      return collection;
    },
    async restart() {
      client.close();
      await server.close();
      server = await start();
      client = connect(server.address);
      api = createApi(client);
    },
    async stop() {
      client.close();
      await server.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** A connection to an address; it takes answers of up to 4 MiB, like every gRPC client by default. */
export function connect(address: string): Client {
  return new Client(address, credentials.createInsecure());
}
