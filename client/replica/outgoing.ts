import { isLarge, type Stored } from "./large.js";
import type { OutgoingChange, OutgoingQuery, Upload } from "./outgoing-batch.js";
import type { PendingRow } from "./rows.js";

/** Bytes that a change is reckoned at beside its id and content. */
export const CHANGE_BYTES = 64;

/** What a query takes. */
export interface Taken<Row extends PendingRow> {
  readonly taken: readonly Row[];
  readonly more: boolean;
  /** Rows were left out because they have unsettled sendings. */
  readonly skipped: boolean;
}

/**
 * Takes from the rows what a query allows. A row of a group stands for all of it: `groupOf` answers the members by its key.
 * For an eager query all that is not left out must be within the bounds, or none is taken.
 */
export function takeWithin<Row extends PendingRow>(
  rows: Iterable<Row>,
  query: OutgoingQuery,
  groupOf: (key: number) => readonly Row[],
): Taken<Row> {
  const { maxBytes, maxChanges, eager } = query;
  const taken: Row[] = [];
  const groups = new Set<number>();
  let bytes = 0;
  let skipped = false;
  for (const row of rows) {
    if (groups.has(row.group)) continue;
    if (row.group !== 0) groups.add(row.group);
    const unit = row.group === 0 ? undefined : groupOf(row.group);
    if (unit === undefined ? row.held : unit.some((member) => member.held)) continue;
    if (eager && (unit === undefined ? unsettled(row) : unit.some(unsettled))) {
      skipped = true;
      continue;
    }
    bytes += unit === undefined ? bytesOf(row) : unit.reduce((sum, member) => sum + bytesOf(member), 0);
    const full = bytes > maxBytes || taken.length + (unit?.length ?? 1) > maxChanges;
    if (full && eager) return { taken: [], more: true, skipped: false };
    if (full && taken.length > 0) return { taken, more: true, skipped: false };
    if (unit === undefined) taken.push(row);
    else taken.push(...unit);
  }
  return { taken, more: false, skipped };
}

function bytesOf({ id, size }: PendingRow): number {
  return Buffer.byteLength(id) + size + CHANGE_BYTES;
}

/** A row as it was before it was taken, with the content of mine, as it is sent; of a large one, with its upload. */
export function outgoingChange(
  row: PendingRow,
  stored: Stored | undefined,
  upload: Upload | undefined,
): OutgoingChange {
  const { id, sequence, fingerprint, size, modifyTimeUs, base, overrides, group } = row;
  const content = stored !== undefined && isLarge(stored) ? undefined : stored;
  const upsert = fingerprint === undefined || stored === undefined ? undefined : { content, fingerprint, size, upload };
  return { id, sequence, upsert, modifyTimeUs, base, overrides, resent: unsettled(row), group };
}

/** Whether a version of the item was sent and has no verdict. */
export function unsettled(row: PendingRow): boolean {
  return row.sent || row.resent;
}

/** Whether a change was sent as a creation and has no verdict: the server may have made it, and nothing here says so. */
export function unsettledCreation(row: PendingRow): boolean {
  return unsettled(row) && row.base?.fingerprint === undefined;
}
