import type { DataSummary } from "../store/sqlite-summary.js";

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
