import type { ChangePage } from "../gen/tercet/v1/sync.js";
import type { ItemColumns } from "./item-columns.js";

const columns = new WeakMap<ChangePage, ItemColumns>();

/** Remembers that the changes of a page are these, and nothing else. */
export function setColumns(page: ChangePage, items: ItemColumns): void {
  columns.set(page, items);
}

/** The changes of a page as columns, where it was read into such. A copy of a page has none. */
export function columnsOf(page: ChangePage): ItemColumns | undefined {
  return columns.get(page);
}
