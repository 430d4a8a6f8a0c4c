import { sameFingerprint } from "../../core/fingerprint.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import { type Books, nextTime } from "./books.js";
import { groupWrites, type Written } from "./group-rules.js";
import type { GroupLimits } from "./local-items.js";
import type { BaseState } from "./local-state.js";
import { dropPending, giveWay, keepUpsert, renewPending, setMine, sizeOf } from "./row-rules.js";
import type { ConflictRow, ItemRow, PendingRow, Rows, RowWrite, StoredUpsert } from "./rows.js";

/*
 * What a local write does to a replica, said once for every replica.
 *
 *   - All changes of one `write` have one modify time, later than all before (a hybrid logical clock).
 *   - Putting what mine already is (the same fingerprint, be it as text or as bytes), or deleting what is not there,
 *     changes nothing.
 *   - A write on a clean item makes it pending, with the item as it was as its base. A further write gives it a new
 *     sequence number and keeps base and `overrides`, and that it is held; it clears a rejection.
 *   - A version that was sent and is overwritten moves to the item's sendings: it may still arrive.
 *   - A write that returns to the state of the base ends the pending change, unless something may still arrive (an
 *     unsettled sending, the version overwritten just now included) or the change overrides one of the server's. So a
 *     creation that is deleted before it was ever sent leaves nothing; one that was sent stays, as a deletion without base.
 *     An item that is held then is what theirs is: nothing is left to resolve.
 *   - Restoring a conflict record is a write of its version. A pending change to another state goes into a new record first:
 *     nobody else has that version.
 */

/**
 * Makes the changes of one local write; answers the sequence number of each.
 *
 * @throws GroupTooLarge by `limits`.
 */
export function writeAll(
  rows: Rows,
  books: Books,
  changes: readonly RowWrite[],
  nowUs: number,
  limits: GroupLimits | undefined,
): number[] {
  const timeUs = nextTime(books, nowUs);
  const written = changes.map((change) => writeChange(rows, books, change, timeUs));
  return groupWrites(rows, books, changes, written, limits);
}

/** Makes one change, by the rules above; its group is not yet cared for. */
export function writeChange(rows: Rows, books: Books, change: RowWrite, timeUs: number): Written {
  const { id, upsert } = change;
  const item = rows.item(id);
  if (sameFingerprint(item?.fingerprint, upsert?.fingerprint)) {
    // It would be left over.
    if (upsert?.staged !== undefined) rows.keep(upsert);
    return undefined;
  }
  const mine = keepUpsert(rows, upsert);
  const pending = rows.pending(id);
  books.lastTimeUs = timeUs;
  if (pending !== undefined && returnsToBase(pending, upsert?.fingerprint)) {
    dropPending(rows, books, pending);
    // The item is what the server has, and of the time that it has there.
    setMine(rows, books, id, mine, item, pending.base?.revision ?? 0, pending.base?.modifyTimeUs || timeUs);
    return { sequence: 0, group: pending.group };
  }
  const sequence = markPending(rows, books, id, mine, item, pending, timeUs);
  setMine(rows, books, id, mine, item, 0, timeUs);
  return { sequence, group: pending?.group ?? 0 };
}

function returnsToBase(pending: PendingRow, fingerprint: Uint8Array | undefined): boolean {
  if (pending.sent || pending.resent || pending.overrides !== undefined) return false;
  return sameFingerprint(pending.base?.fingerprint, fingerprint);
}

function markPending(
  rows: Rows,
  books: Books,
  id: string,
  version: StoredUpsert | undefined,
  item: ItemRow | undefined,
  pending: PendingRow | undefined,
  timeUs: number,
): number {
  const mine = { fingerprint: version?.fingerprint, size: sizeOf(version), modifyTimeUs: timeUs };
  if (pending !== undefined) return renewPending(rows, books, pending, mine).sequence;
  books.lastSequence += 1;
  books.pending += 1;
  const row = { ...newPending(id, books.lastSequence), ...mine, base: baseOf(item) };
  rows.insertPending(row, item && rows.content(id));
  return row.sequence;
}

/** What a clean item is to what becomes of it: the base. */
export function baseOf(item: ItemRow | undefined): BaseState | undefined {
  if (item === undefined) return undefined;
  return { fingerprint: item.fingerprint, revision: item.revision, modifyTimeUs: item.modifyTimeUs };
}

/** A pending change without anything. */
export function newPending(id: string, sequence: number): PendingRow {
  return {
    id,
    sequence,
    fingerprint: undefined,
    size: 0,
    modifyTimeUs: 0,
    base: undefined,
    overrides: undefined,
    rejected: undefined,
    sent: false,
    resent: false,
    held: false,
    group: 0,
  };
}

/** Brings back what gave way, as a local write; a pending change that it replaces gives way to it, into a record. */
export function restore(rows: Rows, books: Books, record: ConflictRow, nowUs: number): void {
  const { id, content, fingerprint } = record;
  const pending = rows.pending(id);
  if (pending !== undefined && !sameFingerprint(pending.fingerprint, fingerprint)) {
    giveWay(rows, books, pending, fingerprint, ChangeStandard.CHANGE_STANDARD_UNSPECIFIED, nowUs);
  }
  const upsert = content === undefined || fingerprint === undefined ? undefined : { content, fingerprint };
  writeAll(rows, books, [{ id, upsert }], nowUs, undefined);
}
