import type { Content } from "../../core/content.js";
import type { PendingRow } from "./rules.js";
import type { OutgoingChange, OutgoingQuery } from "./store.js";

/** Bytes that a change is reckoned at beside its id and content. */
const CHANGE_BYTES = 64;

/**
 * Takes from the rows what a query's bounds allow. For an eager query the rows are those without unsettled sendings, and
 * all of them must be within the bounds, or none are taken.
 */
export function takeWithin(
  rows: Iterable<PendingRow>,
  query: OutgoingQuery,
): { readonly taken: readonly PendingRow[]; readonly more: boolean } {
  const taken: PendingRow[] = [];
  let bytes = 0;
  for (const row of rows) {
    bytes += Buffer.byteLength(row.id) + row.size + CHANGE_BYTES;
    const full = bytes > query.maxBytes || taken.length >= query.maxChanges;
    if (full && query.eager) return { taken: [], more: true };
    if (full && taken.length > 0) return { taken, more: true };
    taken.push(row);
  }
  return { taken, more: false };
}

/** A row as it was before it was taken, with the content of mine, as it is sent. */
export function outgoingChange(row: PendingRow, content: Content | undefined): OutgoingChange {
  const { id, sequence, fingerprint, size, modifyTimeUs, base, overrides } = row;
  const upsert = fingerprint === undefined || content === undefined ? undefined : { content, fingerprint, size };
  return { id, sequence, upsert, modifyTimeUs, base, overrides, resent: unsettled(row) };
}

/** Whether a version of the item was sent and has no verdict. */
export function unsettled(row: PendingRow): boolean {
  return row.sent || row.resent;
}
