import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createReplica } from "../../client/index.js";
import { openDatabase } from "../../core/sqlite.js";
import { type RunningServer, startServer } from "../../server/main.js";

const COUNT = 5000;

/** What a file says of where its segments begin, with their counts. */
function segmentsIn(path: string, sql: string): unknown[] {
  const db = openDatabase(path, { readonly: true });
  try {
    return db.prepare(sql).raw().all();
  } finally {
    db.close();
  }
}

describe("segments of ids", () => {
  let directory: string;
  let server: RunningServer;
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "tercet-segments-"));
    server = await startServer({ directory: join(directory, "data"), port: 0 });
  });
  afterAll(async () => {
    await server.close();
    rmSync(directory, { recursive: true });
  });

  it.each([
    ["in columns", "item-"],
    ["one by one", "Zürich 日本 \u{1f600} "],
  ])("begin at the same ids at the server, at who pushed and at who pulled: %s", async (_, prefix) => {
    const collection = `c${prefix.length}`;
    const file = (who: string): string => join(directory, `${collection}-${who}`);
    const items = Array.from(
      { length: COUNT },
      (__, at) => [prefix + String(at).padStart(6, "0"), `${at}`.padEnd(200)] as const,
    );
    const options = { server: server.address, create: true };
    const pusher = createReplica(file("pusher"), { collection });
    pusher.putMany(items);
    expect(await pusher.sync(options)).toMatchObject({ sent: COUNT, verified: true });
    pusher.close();
    const puller = createReplica(file("puller"), { collection });
    expect(await puller.sync(options)).toMatchObject({ received: COUNT, verified: true });
    puller.close();
    const held = segmentsIn(
      join(directory, "data", "tercet.db"),
      `SELECT first, segments.count FROM segments JOIN collections ON key = collection WHERE name = '${collection}' ORDER BY first`,
    );
    const here = "SELECT from_id, count FROM segments ORDER BY from_id";
    expect(held.length).toBeGreaterThan(COUNT / 64);
    expect(segmentsIn(file("pusher"), here)).toEqual(held);
    expect(segmentsIn(file("puller"), here)).toEqual(held);
  });
});
