import { expect } from "vitest";
import { openDatabase } from "../../core/sqlite.js";

/** In the file of a replica that is closed: every large content belongs to one row, and is whole; there is no other piece. */
export function expectNoLeaks(path: string): void {
  const db = openDatabase(path, { readonly: true });
  try {
    const owned = db
      .prepare(
        `SELECT content FROM items WHERE typeof(content) = 'integer'
        UNION ALL SELECT base_content FROM pending WHERE typeof(base_content) = 'integer'
        UNION ALL SELECT content FROM conflicts WHERE typeof(content) = 'integer'
        UNION ALL SELECT key FROM staging ORDER BY 1`,
      )
      .pluck()
      .all();
    const kept = db.prepare("SELECT key FROM large ORDER BY key").pluck().all();
    expect(owned).toEqual(kept);
    const sizes = (sql: string): unknown[] => db.prepare(sql).all();
    expect(
      sizes("SELECT key, sum(length(data)) AS size FROM pieces GROUP BY key HAVING sum(length(data)) > 0 ORDER BY key"),
    ).toEqual(sizes("SELECT key, size FROM large WHERE size > 0 ORDER BY key"));
  } finally {
    db.close();
  }
}
