import type { Content } from "../../core/content.js";
import type { Database } from "../../core/sqlite.js";
import type { StoredChange } from "./item-reads.js";
import { prepareContents } from "./sqlite-contents.js";

/** Sorts after every id there can be: longer, and of the last code point only. */
export const AFTER_ALL_IDS = "\u{10ffff}".repeat(129);

/** Columns of an ItemRow, but for its content, which follows. */
export const CHANGE_COLUMNS = "id, revision, fingerprint, size, modify_time_us, group_revision, content_key";

/** A row of `items`: an array, as the driver is twice as fast with them. A larger content lives under its key in `contents`. */
export type ItemRow = readonly [
  id: string,
  revision: number,
  fingerprint: Buffer | null,
  size: number,
  modifyTimeUs: number,
  group: number,
  contentKey: number | null,
  content: Content | null,
];

/** Reads a row as a change, with its content where that has up to so many bytes. */
export type RowReader = (row: ItemRow, inlineBytes: number) => StoredChange;

/** Prepares the statement that contents outside of their rows take. */
export function prepareRowReader(database: Database): RowReader {
  const { whole } = prepareContents(database);
  return ([id, revision, fingerprint, size, modifyTimeUs, group, contentKey, inRow], inlineBytes) => {
    let content: Content | undefined;
    if (size <= inlineBytes) content = contentKey === null ? (inRow ?? undefined) : whole(contentKey);
    return { id, revision, fingerprint: fingerprint ?? undefined, size, modifyTimeUs, group, content };
  };
}
