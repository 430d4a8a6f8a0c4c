// Tercet's client library, with default options.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Connection, connect, createReplica, METHODS, openReplica, TercetError } from "../../../client/index.js";
// The library loads this with the first exchange; loading code is nobody's synchronisation, so it happens before.
import "../../../client/sync.js";
import type { ClientPlace, ContenderClient } from "../contender.js";

const COLLECTION = "bench";

/** Opens the replica, or makes it. */
export function openContender(place: ClientPlace): Promise<ContenderClient> {
  const file = join(place.directory, "tercet.replica");
  const replica = existsSync(file) ? openReplica(file) : createReplica(file, { collection: COLLECTION });
  const connection = place.address === undefined ? undefined : connect(place.address);

  function server(): Connection {
    if (connection === undefined) throw new Error("no server was named");
    return connection;
  }

  return Promise.resolve({
    put: (items) => void replica.putMany(items),
    async warm() {
      await server()
        .unary(METHODS.getCollection, { collection: COLLECTION })
        .catch((error: unknown) => {
          if (!(error instanceof TercetError)) throw error;
        });
    },
    async sync() {
      const report = await replica.sync({ server: server(), create: true });
      const { sent, received, verified, rejectedCount, conflictCount } = report;
      if (!verified) throw new Error("both sides were not proved equal");
      if (rejectedCount + conflictCount > 0) throw new Error(`${rejectedCount} rejected, ${conflictCount} conflicts`);
      return { sent, received };
    },
    async forget() {
      const horizon = { $case: "throughRevision", value: Number.MAX_SAFE_INTEGER } as const;
      await server().unary(METHODS.compactCollection, { collection: COLLECTION, horizon });
    },
    putLarge: async (id, path) => void (await replica.putFile(id, path)),
    sizeOf: (id) => replica.get(id)?.size ?? 0,
    count: () => replica.status().items,
    get(id) {
      const content = replica.get(id)?.content;
      return content === undefined || typeof content === "string" ? content : Buffer.from(content).toString("utf8");
    },
    async close() {
      replica.close();
      await connection?.close();
    },
  });
}
