// The bare copy's client: the floor.
import { closeSync, openSync, readSync } from "node:fs";
import { Client, type ClientDuplexStream, credentials } from "@grpc/grpc-js";
import type { Action, ClientPlace, ContenderClient, Moved } from "../contender.js";
import { BARE_SERVICE, LARGE_ID, WANTS, type Want, WINDOW_BYTES, writeAll } from "./call.js";
import { BATCH_BYTES, readBatch } from "./rows.js";
import { type BareStore, openBareStore } from "./store.js";

const COLUMNS = 2;

/** Opens the file, or makes it. */
export function openContender(place: ClientPlace): Promise<ContenderClient> {
  const store = openBareStore(place);
  const client =
    place.address === undefined
      ? undefined
      : new Client(place.address, credentials.createInsecure(), {
          "grpc-node.flow_control_window": WINDOW_BYTES,
          "grpc.max_receive_message_length": -1,
        });
  // What is put into a file that has items is a change.
  const changing = store.count() > 0;
  return Promise.resolve({
    put(items) {
      const values = items.flat();
      if (!changing) store.insert(values);
      else {
        store.upsert(values);
        store.mark(items.map(([id]) => id));
      }
      store.commit();
    },
    async warm() {
      await copy(client, undefined, [], () => undefined);
    },
    sync: (action) => sync(store, client, action),
    forget: () => Promise.resolve(),
    putLarge: (_id, path) => Promise.resolve(putLarge(store, path)),
    sizeOf: () => store.largeBytes(LARGE_ID),
    count: () => store.count(),
    get: (id) => store.get(id),
    close() {
      client?.close();
      store.close();
      return Promise.resolve();
    },
  });
}

async function sync(store: BareStore, client: Client | undefined, action: Action): Promise<Moved> {
  const sent = { rows: 0 };
  let received = 0;
  let piece = 0;
  const taking =
    (put: (values: readonly string[]) => void) =>
    (batch: Buffer): void => {
      const values = readBatch(batch);
      received += values.length / COLUMNS;
      put(values);
    };
  const none = (): void => undefined;
  const takeLarge = (bytes: Buffer): void => store.putLarge(LARGE_ID, bytes, piece++);
  const run = (want: Want | undefined, batches: Iterable<Buffer>, take: (batch: Buffer) => void): Promise<void> =>
    copy(client, want, batches, take);
  const ways: Record<Action, () => Promise<void>> = {
    nothing: () => run(undefined, [], none),
    pull: () => run(WANTS.pull, [], taking(store.insert)),
    recover: () => run(WANTS.pull, [], taking(store.upsert)),
    push: () => run(WANTS.push, store.batches("all", sent), none),
    changes: () => run(WANTS.changes, store.batches("marked", sent), taking(store.upsert)),
    "other-changes": () => run(WANTS.mark, store.batches("marked", sent), none),
    "large-push": () => run(WANTS.pushLarge, store.largePieces(LARGE_ID), none),
    "large-pull": () => run(WANTS.pullLarge, [], takeLarge),
  };
  await ways[action]();
  store.commit();
  return { sent: sent.rows, received };
}

/** One call: writes the batches, takes the answers, and resolves when the server has ended it well. */
async function copy(
  client: Client | undefined,
  want: Want | undefined,
  batches: Iterable<Buffer>,
  take: (batch: Buffer) => void,
): Promise<void> {
  if (client === undefined) throw new Error("no server was named");
  const { path, requestSerialize, responseDeserialize } = BARE_SERVICE.copy;
  const call: ClientDuplexStream<Buffer, Buffer> = client.makeBidiStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
  );
  const ended = new Promise<void>((resolve, reject) => {
    call.on("data", take);
    call.on("end", resolve);
    call.on("error", reject);
  });
  if (want !== undefined) call.write(Buffer.of(want));
  const written = writeAll(call, batches).then(() => call.end());
  await Promise.all([ended, written]);
}

function putLarge(store: BareStore, path: string): void {
  const file = openSync(path, "r");
  const piece = Buffer.alloc(BATCH_BYTES);
  for (let number = 0; ; number++) {
    const bytes = readSync(file, piece, 0, piece.length, null);
    if (bytes === 0) break;
    store.putLarge(LARGE_ID, Buffer.from(piece.subarray(0, bytes)), number);
  }
  closeSync(file);
  store.commit();
}
