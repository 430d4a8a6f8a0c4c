// express-pouchdb on LevelDB.
import { once } from "node:events";
import { createServer } from "node:http";
import { join } from "node:path";
import expressPouchDB from "express-pouchdb";
import PouchDB from "pouchdb";

/** Starts it on a directory. See ServerModule in ../contender.ts. */
export async function startContender(place) {
  const Database = PouchDB.defaults({ prefix: `${place.directory}/` });
  const options = { mode: "minimumForPouchDB", inMemoryConfig: true, logPath: join(place.directory, "log.txt") };
  // It is an application of express 4 itself, which one of express 5 can't hold.
  const server = createServer(expressPouchDB(Database, options)).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    address: `127.0.0.1:${server.address().port}`,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
