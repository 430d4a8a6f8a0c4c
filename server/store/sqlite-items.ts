import type { Content } from "../../core/content.js";
import type { StoredChange } from "./store.js";

/** Columns of a row that is read as a change, but for its content. */
export const CHANGE_COLUMNS = "id, revision, fingerprint, size, modify_time_us, group_revision, content_key";

/** A row of `items`, or as much of one as was read. */
export interface ItemRow {
  readonly id: string;
  readonly revision: number;
  readonly fingerprint: Buffer | null;
  readonly size: number;
  readonly modify_time_us: number;
  readonly group_revision: number;
  /** Where a large content lives in `contents`. */
  readonly content_key: number | null;
  readonly content?: Content | null;
}

/** The row as a change with this content. */
export function changeOf(row: ItemRow, content: Content | undefined): StoredChange {
  return {
    id: row.id,
    revision: row.revision,
    fingerprint: row.fingerprint ?? undefined,
    size: row.size,
    modifyTimeUs: row.modify_time_us,
    group: row.group_revision,
    content,
  };
}
