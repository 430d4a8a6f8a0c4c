import { statSync } from "node:fs";
// biome-ignore lint/style/noRestrictedImports: reads a backup, which no store opens, through the store's own queries
import { openDatabase } from "../../core/sqlite.js";
import { prepareCollections } from "../store/sqlite-collections.js";

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

/** For people, a line for each collection. */
export function summaryLines({ collections }: DataSummary): string[] {
  return collections.map(({ name, items, revision }) => {
    const counted = `${items.toLocaleString("en")} ${items === 1 ? "item" : "items"}`;
    return `  ${name}  ${counted}, revision ${revision.toLocaleString("en")}`;
  });
}

/** Bytes in a unit that suits people. */
export function sizeOf(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  const unit = Math.min(Math.floor(Math.log2(Math.max(bytes, 1)) / 10), units.length - 1);
  const value = bytes / 1024 ** unit;
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 1 : 0)} ${units[unit]}`;
}
