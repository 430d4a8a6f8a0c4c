import type { ChangeStandard } from "../../gen/tercet/v1/item.js";
import { type Books, moveBase } from "./books.js";
import { type Stored, storedSize } from "./large.js";
import type { ItemRow, PendingRow, Rows, RowUpsert, StoredUpsert } from "./rows.js";

/*
 * The steps that all rules are made of. Each keeps the ledger's counts with the rows.
 */

/** A version of mine that may have to give way, without its content. */
export type MineVersion = Pick<PendingRow, "id" | "fingerprint" | "size" | "modifyTimeUs">;

/** Replaces a pending row. */
export function replacePending(rows: Rows, books: Books, before: PendingRow, after: PendingRow): void {
  books.rejected += Number(after.rejected !== undefined) - Number(before.rejected !== undefined);
  books.held += Number(after.held) - Number(before.held);
  rows.updatePending(before, after);
}

/**
 * Gives a pending change a sequence number of its own again, as whatever was judged or sent of it before is over: a version
 * that was sent moves to the sendings, and a rejection is cleared.
 */
export function renewPending(rows: Rows, books: Books, before: PendingRow, part: Partial<PendingRow>): PendingRow {
  books.lastSequence += 1;
  if (before.sent) rows.addSending(before);
  const resent = before.resent || before.sent;
  const after = { ...before, rejected: undefined, sent: false, resent, sequence: books.lastSequence, ...part };
  replacePending(rows, books, before, after);
  return after;
}

/** A pending change ends: its mark and sendings go. */
export function dropPending(rows: Rows, books: Books, pending: PendingRow): void {
  if (pending.resent) rows.settleSendings(pending.id, Number.MAX_SAFE_INTEGER);
  rows.deletePending(pending);
  books.pending -= 1;
  if (pending.rejected !== undefined) books.rejected -= 1;
  if (pending.held) books.held -= 1;
}

/** The server has what mine is: the base becomes mine, and nothing is left to send or to wait for. */
export function becomeClean(rows: Rows, books: Books, pending: PendingRow, revision: number): void {
  moveBase(books, pending.id, pending.base?.fingerprint, pending.fingerprint);
  if (pending.fingerprint !== undefined) rows.setRevision(pending.id, revision);
  dropPending(rows, books, pending);
}

/** Mine becomes another version, or goes. `item` is what was there. */
export function setMine(
  rows: Rows,
  books: Books,
  id: string,
  mine: StoredUpsert | undefined,
  item: ItemRow | undefined,
  revision: number,
  modifyTimeUs: number,
): void {
  if (mine !== undefined) {
    if (item === undefined) books.items += 1;
    rows.putItem(id, { fingerprint: mine.fingerprint, revision, modifyTimeUs }, mine.content, item);
  } else if (item !== undefined) {
    books.items -= 1;
    rows.deleteItem(id, item);
  }
}

/** Keeps mine in a conflict record; answers its number. */
export function giveWay(
  rows: Rows,
  books: Books,
  mine: MineVersion,
  prevailed: Uint8Array | undefined,
  standard: ChangeStandard,
  nowUs: number,
): number {
  books.conflicts += 1;
  books.lastConflict += 1;
  rows.addConflict({
    number: books.lastConflict,
    id: mine.id,
    fingerprint: mine.fingerprint,
    prevailed,
    standard,
    recordTimeUs: nowUs,
    modifyTimeUs: mine.modifyTimeUs,
    size: mine.size,
    content: mine.fingerprint && rows.content(mine.id),
  });
  return books.lastConflict;
}

/** A version that was given as it is kept. */
export function keepUpsert(rows: Rows, upsert: RowUpsert | undefined): StoredUpsert | undefined {
  return upsert && { content: rows.keep(upsert), fingerprint: upsert.fingerprint };
}

/** The content of a base that was given as it is kept; undefined where it is not known. */
export function keepBase(rows: Rows, given: Omit<RowUpsert, "fingerprint">): Stored | undefined {
  return given.content === undefined && given.staged === undefined ? undefined : rows.keep(given);
}

/** Bytes of a version; 0 for a deletion. */
export function sizeOf(mine: StoredUpsert | undefined): number {
  return mine === undefined ? 0 : storedSize(mine.content);
}
