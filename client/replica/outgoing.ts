import type { Content } from "../../core/content.js";
import type { PendingRow } from "./rules.js";
import type { OutgoingBatch, OutgoingChange, OutgoingQuery } from "./store.js";

/** Bytes that a change is reckoned at beside its id and content. */
const CHANGE_BYTES = 64;

/** A pending change that may be taken. */
export interface Candidate {
  readonly row: PendingRow;
  /** Content of mine, asked for only where the change is taken; undefined for a deletion. */
  readonly content: () => Content | undefined;
}

/** What is taken, with its rows, which are to be remembered as sent. */
export interface Taken extends Omit<OutgoingBatch, "skipped"> {
  readonly rows: readonly PendingRow[];
}

/**
 * Takes from the candidates what a query's bounds allow, and reads one candidate beyond them at most. For an eager query
 * the candidates are those without unsettled sendings.
 */
export function takeWithin(candidates: Iterable<Candidate>, query: OutgoingQuery): Taken {
  const rows: PendingRow[] = [];
  const changes: OutgoingChange[] = [];
  let bytes = 0;
  for (const { row, content } of candidates) {
    bytes += Buffer.byteLength(row.id) + row.size + CHANGE_BYTES;
    const full = bytes > query.maxBytes || rows.length >= query.maxChanges;
    if (full && query.eager) return { rows: [], changes: [], more: true };
    if (full && rows.length > 0) return { rows, changes, more: true };
    rows.push(row);
    changes.push(outgoing(row, content()));
  }
  return { rows, changes, more: false };
}

function outgoing(row: PendingRow, content: Content | undefined): OutgoingChange {
  const { id, sequence, fingerprint, size, modifyTimeUs, base, overrides } = row;
  const upsert = fingerprint === undefined || content === undefined ? undefined : { content, fingerprint, size };
  return { id, sequence, upsert, modifyTimeUs, base, overrides, resent: unsettled(row) };
}

/** Whether a version of the item was sent and has no verdict. */
export function unsettled(row: PendingRow): boolean {
  return row.sent || row.resent;
}
