import { statSync } from "node:fs";
import { openDatabase } from "../../core/sqlite.js";
import { prepareCollections } from "./sqlite-collections.js";

/** What a data file holds. */
export interface DataSummary {
  readonly bytes: number;
  readonly collections: readonly { readonly name: string; readonly items: number; readonly revision: number }[];
}

/** Reads what a data file holds that no server has open, and leaves it as it is. */
export function summaryOf(file: string): DataSummary {
  const database = openDatabase(file, { readonly: true });
  try {
    // Nothing is written, so the epoch that it is opened in does not matter.
    const states = prepareCollections(database, Buffer.alloc(0)).list("", Number.MAX_SAFE_INTEGER);
    const collections = states.map(({ name, total, revision }) => ({ name, items: total.count, revision }));
    return { bytes: statSync(file).size, collections };
  } finally {
    database.close();
  }
}
