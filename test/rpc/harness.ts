import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { credentials, type Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { BadRequest, ErrorInfo, RetryInfo } from "../../gen/google/rpc/error_details.js";
import { Status } from "../../gen/google/rpc/status.js";
import { CollectionServiceClient } from "../../gen/tercet/v1/collection_service.js";
import { ChangeKind } from "../../gen/tercet/v1/item.js";
import { ItemServiceClient } from "../../gen/tercet/v1/item_service.js";
import { Push } from "../../gen/tercet/v1/sync.js";
import { SyncServiceClient } from "../../gen/tercet/v1/sync_service.js";
import { type RunningServer, type ServerOptions, startServer } from "../../server/index.js";

/** A server on a data directory of its own, and the generated stubs on it. */
export interface TestServer {
  readonly directory: string;
  readonly server: RunningServer;
  readonly sync: SyncServiceClient;
  readonly items: ItemServiceClient;
  readonly collections: CollectionServiceClient;
  /** Ends the server and opens its data again: another epoch. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts a server on a free port. */
export async function startTestServer(options: Partial<ServerOptions> = {}): Promise<TestServer> {
  const directory = options.directory ?? mkdtempSync(join(tmpdir(), "tercet-rpc-"));
  const start = () => startServer({ port: 0, graceMs: 5000, ...options, directory });
  let server = await start();
  let stubs = connect(server.address);
  return {
    directory,
    get server() {
      return server;
    },
    get sync() {
      return stubs.sync;
    },
    get items() {
      return stubs.items;
    },
    get collections() {
      return stubs.collections;
    },
    async restart() {
      stubs.close();
      await server.close();
      server = await start();
      stubs = connect(server.address);
    },
    async stop() {
      stubs.close();
      await server.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** The generated stubs on an address. */
export function connect(address: string) {
  const sync = new SyncServiceClient(address, credentials.createInsecure());
  const items = new ItemServiceClient(address, credentials.createInsecure());
  const collections = new CollectionServiceClient(address, credentials.createInsecure());
  return {
    sync,
    items,
    collections,
    close() {
      for (const client of [sync, items, collections]) client.close();
    },
  };
}

/** A unary call as a promise: `unary((done) => client.getItem(request, done))`. */
export function unary<Response>(
  start: (done: (error: ServiceError | null, response: Response) => void) => unknown,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    start((error, response) => (error === null ? resolve(response) : reject(error)));
  });
}

/** What a refusal says. */
export interface Refusal {
  readonly code: string;
  readonly reason: string;
  readonly fields: readonly string[];
  readonly metadata: Readonly<Record<string, string>>;
  readonly retryMs: number | undefined;
  readonly message: string;
}

/** What a call that must be refused was refused with. */
export async function refusalOf(call: Promise<unknown>): Promise<Refusal> {
  try {
    await call;
  } catch (error) {
    return toRefusal(error as ServiceError);
  }
  throw new Error("the call was not refused");
}

/** The details of a status. */
export function toRefusal(error: { code: number; details: string; metadata: Metadata }): Refusal {
  const [bytes] = error.metadata.get("grpc-status-details-bin");
  const details = bytes === undefined ? [] : Status.decode(bytes as Buffer).details;
  const find = (name: string) =>
    details.find(({ typeUrl }) => typeUrl === `type.googleapis.com/google.rpc.${name}`)?.value;
  const info = find("ErrorInfo");
  const { reason, domain, metadata } = info === undefined ? ErrorInfo.create() : ErrorInfo.decode(info);
  if (info !== undefined && domain !== "tercet.dev") throw new Error(`domain ${domain}`);
  const bad = find("BadRequest");
  const retry = find("RetryInfo");
  const delay = retry === undefined ? undefined : RetryInfo.decode(retry).retryDelay;
  return {
    code: status[error.code] ?? String(error.code),
    reason,
    fields: bad === undefined ? [] : BadRequest.decode(bad).fieldViolations.map(({ field }) => field),
    metadata,
    retryMs: delay === undefined ? undefined : delay.seconds * 1000 + delay.nanos / 1e6,
    message: error.details,
  };
}

/** An upsert, without a fingerprint. */
export function upsert(id: string, content: string | Buffer, more: Partial<Push> = {}): Push {
  const field =
    typeof content === "string"
      ? ({ $case: "text", value: content } as const)
      : ({ $case: "data", value: content } as const);
  return { ...Push.create({ id, kind: ChangeKind.CHANGE_KIND_UPSERTED }), content: field, ...more };
}
