// The bare copy's server: the floor. It takes and gives rows as fast as SQLite and grpc-js can, and makes sure of nothing.
import type { Http2Server, ServerHttp2Session } from "node:http2";
import { Server, ServerCredentials, type ServerDuplexStream, status } from "@grpc/grpc-js";
import type { ContenderServer, Place } from "../contender.js";
import { BARE_SERVICE, LARGE_ID, WANTS, WINDOW_BYTES, writeAll } from "./call.js";
import { readBatch } from "./rows.js";
import { type BareStore, openBareStore } from "./store.js";

type Call = ServerDuplexStream<Buffer, Buffer>;

/** Starts it on a directory. */
export async function startContender(place: Place): Promise<ContenderServer> {
  const store = openBareStore(place);
  const server = new Server({ "grpc.max_receive_message_length": -1 });
  server.addService(BARE_SERVICE, { copy: (call: Call) => serve(store, call) });
  const port = await bindWithWindow(server);
  return {
    address: `127.0.0.1:${port}`,
    stop() {
      server.forceShutdown();
      store.close();
      return Promise.resolve();
    },
  };
}

/** What grpc-js keeps to itself, and has no option for. */
interface ServerInside {
  readonly commonServerOptions: { settings?: object };
  readonly http2Servers: ReadonlyMap<Http2Server, unknown>;
}

/** grpc-js raises the window of uploads by no option: the stream's is a setting, the connection's is set on each session. */
async function bindWithWindow(server: Server): Promise<number> {
  const inside = server as unknown as ServerInside;
  inside.commonServerOptions.settings = { initialWindowSize: WINDOW_BYTES };
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  for (const http2Server of inside.http2Servers.keys()) {
    http2Server.on("session", (session: ServerHttp2Session) => session.setLocalWindowSize(WINDOW_BYTES));
  }
  return port;
}

function serve(store: BareStore, call: Call): void {
  let want = 0;
  let piece = 0;
  const take = (message: Buffer): void => {
    if (want === 0) {
      want = message[0] ?? 0;
      return;
    }
    if (want === WANTS.pushLarge) return store.putLarge(LARGE_ID, message, piece++);
    const values = readBatch(message);
    if (want === WANTS.push) return store.insert(values);
    store.upsert(values);
    if (want === WANTS.mark) store.mark(values.filter((_, index) => index % 2 === 0));
  };
  const fail = (error: unknown): void => {
    call.emit("error", { code: status.INTERNAL, details: String(error) });
  };
  call.on("data", (message: Buffer) => {
    try {
      take(message);
    } catch (error) {
      fail(error);
    }
  });
  call.on("end", () => {
    answer(store, call, want).then(() => call.end(), fail);
  });
  call.on("error", () => undefined);
}

async function answer(store: BareStore, call: Call, want: number): Promise<void> {
  store.commit();
  if (want === WANTS.pull) await writeAll(call, store.batches("all"));
  if (want === WANTS.changes) await writeAll(call, store.batches("marked"));
  if (want === WANTS.pullLarge) await writeAll(call, store.largePieces(LARGE_ID));
}
