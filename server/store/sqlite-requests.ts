import { asBuffer } from "../../core/content.js";
import type { Database } from "../../core/sqlite.js";
import type { RememberedRequest } from "./requests.js";
import { MAX_REQUESTS, REQUEST_RETENTION_US, REQUESTS_PRUNED_AT_ONCE } from "./requests.js";
import type { BatchWritten, WriteBatch } from "./write-batch.js";

/** Remembered answers. Every method runs in its caller's transaction. */
export interface RequestTable {
  get(requestId: string): RememberedRequest | undefined;
  remember(batch: WriteBatch, written: BatchWritten): void;
}

/** Prepares the statements. `maxRequests` is for tests. */
export function prepareRequests(database: Database, maxRequests = MAX_REQUESTS): RequestTable {
  const select = database.prepare<[string], RememberedRequest & { time_us: number }>(
    "SELECT digest, answer, time_us FROM requests WHERE id = ?",
  );
  const insert = database.prepare<[string, number, Buffer, Buffer]>(
    "INSERT OR REPLACE INTO requests (id, time_us, digest, answer) VALUES (?, ?, ?, ?)",
  );
  // Ordinals have no gaps but where an expired id was used again, so that their distance bounds the number of rows.
  const prune = database.prepare<[number, number, number]>(
    `DELETE FROM requests WHERE ordinal IN (SELECT ordinal FROM requests ORDER BY ordinal LIMIT ?)
      AND (time_us < ? OR ordinal <= ?)`,
  );
  return {
    get(requestId) {
      const row = select.get(requestId);
      return row === undefined ? undefined : { digest: row.digest, answer: row.answer };
    },
    remember(batch, written) {
      if (batch.remember === undefined) return;
      const { requestId, digest, answer } = batch.remember;
      const expired = batch.nowUs - REQUEST_RETENTION_US;
      const known = select.get(requestId);
      if (known !== undefined && known.time_us >= expired) return;
      const run = insert.run(requestId, batch.nowUs, asBuffer(digest), asBuffer(answer(written)));
      prune.run(REQUESTS_PRUNED_AT_ONCE, expired, Number(run.lastInsertRowid) - maxRequests);
    },
  };
}
