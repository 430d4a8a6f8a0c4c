import { expect } from "vitest";
import { openDatabase } from "../../core/sqlite.js";

/** Every content of a file belongs to one row, every chunk to a content, and chunks follow each other without gaps. */
export function checkContents(path: string): void {
  const database = openDatabase(path, { readonly: true });
  try {
    const count = (sql: string) => database.prepare<[], number>(`SELECT count(*) FROM ${sql}`).pluck().get();
    const owners = ["items", "conflicts", "uploads"]
      .map((table) => `SELECT content_key AS key FROM ${table} WHERE content_key IS NOT NULL`)
      .join(" UNION ALL ");
    expect(count(`(${owners}) GROUP BY key HAVING count(*) > 1`)).toBeUndefined();
    expect(count(`contents WHERE key NOT IN (${owners})`)).toBe(0);
    expect(count(`(${owners}) WHERE key NOT IN (SELECT key FROM contents)`)).toBe(0);
    expect(count("chunks WHERE content_key NOT IN (SELECT key FROM contents WHERE length(content) = 0)")).toBe(0);
    const chunks = database
      .prepare<[], [number, number, number]>("SELECT content_key, position, length(data) FROM chunks ORDER BY 1, 2")
      .raw()
      .all();
    let at: readonly [key: number, end: number] = [0, 0];
    for (const [key, position, length] of chunks) {
      expect(position).toBe(key === at[0] ? at[1] : 0);
      expect(length).toBeLessThanOrEqual(256 * 1024);
      at = [key, position + length];
    }
  } finally {
    database.close();
  }
}

/** Rows of contents, of chunks and of uploads. */
export function countContents(path: string): readonly (number | undefined)[] {
  const database = openDatabase(path, { readonly: true });
  const tables = ["contents", "chunks", "uploads"];
  const counts = tables.map((table) => database.prepare<[], number>(`SELECT count(*) FROM ${table}`).pluck().get());
  database.close();
  return counts;
}
