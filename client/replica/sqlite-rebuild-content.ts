import type { Content } from "../../core/content.js";
import type { Database } from "../../core/sqlite.js";
import { attempt } from "./sqlite-rebuild-read.js";
import { isWhole } from "./sqlite-rebuild-values.js";

/** Reads the content of a column: a large one stands in pieces under the key that the column has. */
export function contentReader(db: Database): (stored: unknown) => Content | undefined {
  const find = attempt(() => db.prepare<[number], unknown[]>("SELECT size, text FROM large WHERE key = ?").raw());
  const pieces = attempt(() =>
    db.prepare<[number], unknown>("SELECT data FROM pieces WHERE key = ? ORDER BY offset").pluck(),
  );
  return (stored) => {
    if (isContent(stored)) return stored;
    if (!isWhole(stored)) return undefined;
    const [size, text] = attempt(() => find?.get(stored)) ?? [];
    const parts = attempt(() => pieces?.all(stored)) ?? [];
    if (!parts.every((part) => part instanceof Uint8Array)) return undefined;
    const whole = Buffer.concat(parts);
    if (whole.length !== size) return undefined;
    return text === 1 ? whole.toString() : whole;
  };
}

function isContent(value: unknown): value is Content {
  return typeof value === "string" || value instanceof Uint8Array;
}
