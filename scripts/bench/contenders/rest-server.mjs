// A feed of changes as one would write it: express and better-sqlite3, a sequence number for each change, pages of JSON.
import { once } from "node:events";
import express from "express";
import { openFile } from "./local-store.mjs";

const BODY_LIMIT = "64mb";

/** Starts it on a directory. See ServerModule in ../contender.ts. */
export async function startContender(place) {
  const db = openFile(place, "server.sqlite");
  db.exec(`
    CREATE TABLE IF NOT EXISTS item (id TEXT PRIMARY KEY, seq INTEGER NOT NULL, content TEXT NOT NULL) WITHOUT ROWID;
    CREATE UNIQUE INDEX IF NOT EXISTS item_seq ON item (seq);
  `);
  const changes = db.prepare("SELECT id, seq, content FROM item WHERE seq > ? ORDER BY seq LIMIT ?");
  const upsert = db.prepare(`INSERT INTO item VALUES (@id, @seq, @content)
    ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, content = excluded.content`);
  let seq = db.prepare("SELECT coalesce(max(seq), 0) FROM item").pluck().get();
  const put = db.transaction((items) => {
    for (const { id, content } of items) upsert.run({ id, seq: ++seq, content });
  });

  const app = express();
  app.use(express.json({ limit: BODY_LIMIT }));
  app.get("/changes", (request, response) => {
    const limit = Number(request.query.limit);
    const items = changes.all(Number(request.query.since), limit);
    response.json({ items, more: items.length === limit });
  });
  app.post("/items", (request, response) => {
    const first = seq + 1;
    put(request.body.items);
    response.json({ first, last: seq });
  });

  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    address: `127.0.0.1:${server.address().port}`,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      db.close();
    },
  };
}
