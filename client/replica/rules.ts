import { type Content, contentSize } from "../../core/content.js";
import { sameFingerprint } from "../../core/fingerprint.js";
import type { ErrorReason } from "../../gen/tercet/v1/error.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import { type Books, hearTime, moveBase, nextTime } from "./books.js";
import type { Action, BaseState, LocalConflict, LocalWrite } from "./store.js";

/*
 * What a local write and each action of an exchange do to a replica, said once for every replica.
 *
 * Local writes:
 *   - All changes of one `write` have one modify time, later than all before (a hybrid logical clock).
 *   - Putting what mine already is (the same fingerprint, be it as text or as bytes), or deleting what is not there,
 *     changes nothing.
 *   - A write on a clean item makes it pending, with the item as it was as its base. A further write gives it a new
 *     sequence number and keeps base and `overrides`; it clears a rejection.
 *   - A version that was sent and is overwritten moves to the item's sendings: it may still arrive.
 *   - A write that returns to the state of the base ends the pending change, unless something may still arrive (an
 *     unsettled sending, the version overwritten just now included) or the change overrides one of the server's. So a
 *     creation that is deleted before it was ever sent leaves nothing; one that was sent stays, as a deletion without base.
 *   - Restoring a conflict record is a write of its version. A pending change to another state goes into a new record first:
 *     nobody else has that version.
 */

/** An item that the application sees, without its content. */
export interface ItemRow {
  readonly fingerprint: Uint8Array;
  /** Revision of the base; without meaning while a change is pending. */
  readonly revision: number;
  readonly modifyTimeUs: number;
}

/** A pending change, without the contents of mine and base. */
export interface PendingRow {
  readonly id: string;
  readonly sequence: number;
  /** Mine; undefined for a deletion. */
  readonly fingerprint: Uint8Array | undefined;
  readonly size: number;
  readonly modifyTimeUs: number;
  readonly base: BaseState | undefined;
  readonly overrides: ChangeStandard | undefined;
  readonly rejected: { readonly reason: ErrorReason; readonly message: string } | undefined;
  /** Mine, in this version, was sent and has no verdict. */
  readonly sent: boolean;
  /** There are earlier versions that were sent and have no verdict. */
  readonly resent: boolean;
}

/** The rows of a replica within a transaction: what the rules need of a storage. */
export interface Rows {
  item(id: string): ItemRow | undefined;
  /** Content of an item that is there. */
  content(id: string): Content;
  putItem(id: string, row: ItemRow, content: Content): void;
  setRevision(id: string, revision: number): void;
  deleteItem(id: string): void;
  pending(id: string): PendingRow | undefined;
  /** `content` is the base's, where known. */
  insertPending(row: PendingRow, content: Content | undefined): void;
  /** Replaces the row of `before`; the base's content stays. */
  updatePending(before: PendingRow, row: PendingRow): void;
  setBaseContent(row: PendingRow, content: Content | undefined): void;
  deletePending(row: PendingRow): void;
  /** Remembers that a version was sent: `sequence` was its pending sequence number. */
  addSending(id: string, fingerprint: Uint8Array | undefined, sequence: number): void;
  /** Forgets the sendings of an item with sequence numbers up to `through`; answers whether some are left. */
  settleSendings(id: string, through: number): boolean;
  addConflict(record: LocalConflict & { readonly content: Content | undefined }): void;
}

/** What became of an action. */
export interface Outcome {
  /** The item is in another state than was judged: nothing was done. */
  readonly stale: boolean;
  /** Number of the conflict record that was made. */
  readonly conflict: number | undefined;
}

const DONE: Outcome = { stale: false, conflict: undefined };
const STALE: Outcome = { stale: true, conflict: undefined };

/** Makes a change of the application, by the rules above. Answers whether it changed anything. */
export function writeChange(rows: Rows, books: Books, change: LocalWrite, timeUs: number): boolean {
  const { id, upsert } = change;
  const item = rows.item(id);
  if (sameFingerprint(item?.fingerprint, upsert?.fingerprint)) return false;
  const pending = rows.pending(id);
  let revision = 0;
  if (pending !== undefined && returnsToBase(pending, upsert?.fingerprint)) {
    revision = pending.base?.revision ?? 0;
    dropPending(rows, books, pending);
  } else {
    markPending(rows, books, change, item, pending, timeUs);
  }
  setMine(rows, books, id, item, upsert, revision, timeUs);
  books.lastTimeUs = timeUs;
  return true;
}

function returnsToBase(pending: PendingRow, fingerprint: Uint8Array | undefined): boolean {
  if (pending.sent || pending.resent || pending.overrides !== undefined) return false;
  return sameFingerprint(pending.base?.fingerprint, fingerprint);
}

function markPending(
  rows: Rows,
  books: Books,
  change: LocalWrite,
  item: ItemRow | undefined,
  pending: PendingRow | undefined,
  timeUs: number,
): void {
  const { id, upsert } = change;
  books.lastSequence += 1;
  const mine = {
    id,
    sequence: books.lastSequence,
    fingerprint: upsert?.fingerprint,
    size: upsert === undefined ? 0 : contentSize(upsert.content),
    modifyTimeUs: timeUs,
    rejected: undefined,
    sent: false,
  };
  if (pending === undefined) {
    books.pending += 1;
    const base = item && { fingerprint: item.fingerprint, revision: item.revision };
    rows.insertPending({ ...mine, base, overrides: undefined, resent: false }, item && rows.content(id));
    return;
  }
  if (pending.rejected !== undefined) books.rejected -= 1;
  if (pending.sent) rows.addSending(id, pending.fingerprint, pending.sequence);
  rows.updatePending(pending, { ...pending, ...mine, resent: pending.resent || pending.sent });
}

/** Brings back what gave way, as a local write; a pending change that it replaces gives way to it, into a record. */
export function restore(rows: Rows, books: Books, record: LocalConflict, nowUs: number): void {
  const { id, content, fingerprint } = record;
  const pending = rows.pending(id);
  if (pending !== undefined && !sameFingerprint(pending.fingerprint, fingerprint)) {
    giveWay(rows, books, pending, fingerprint, ChangeStandard.CHANGE_STANDARD_UNSPECIFIED, nowUs);
  }
  const upsert = content === undefined || fingerprint === undefined ? undefined : { content, fingerprint };
  writeChange(rows, books, { id, upsert }, nextTime(books, nowUs));
}

/** Does what an exchange decided on one item. */
export function applyAction(rows: Rows, books: Books, action: Action, nowUs: number): Outcome {
  const pending = rows.pending(action.id);
  if (action.kind === "settle") return settle(rows, books, action, pending);
  if (action.kind === "reject") return reject(rows, books, action, pending);
  if ((pending?.sequence ?? 0) !== action.sequence) return STALE;
  switch (action.kind) {
    case "take":
      return take(rows, books, action, pending, nowUs);
    case "rebase":
      return pending === undefined ? moveClean(rows, action) : rebase(rows, books, action, pending);
    case "agree":
      if (pending !== undefined) becomeClean(rows, books, pending, action.revision);
      else if (rows.item(action.id) !== undefined) rows.setRevision(action.id, action.revision);
      return DONE;
  }
}

type Kind<K extends Action["kind"]> = Extract<Action, { kind: K }>;

function take(rows: Rows, books: Books, action: Kind<"take">, pending: PendingRow | undefined, nowUs: number): Outcome {
  const { id, upsert } = action;
  const item = rows.item(id);
  let conflict: number | undefined;
  if (pending !== undefined) {
    if (action.conflict !== undefined)
      conflict = giveWay(rows, books, pending, upsert?.fingerprint, action.conflict, nowUs);
    dropPending(rows, books, pending);
  }
  const base = pending === undefined ? item : pending.base;
  moveBase(books, base?.fingerprint, upsert?.fingerprint);
  setMine(rows, books, id, item, upsert, action.revision, action.modifyTimeUs);
  hearTime(books, action.modifyTimeUs, nowUs);
  return conflict === undefined ? DONE : { stale: false, conflict };
}

/** Keeps mine in a conflict record. */
function giveWay(
  rows: Rows,
  books: Books,
  mine: PendingRow,
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

/** A clean item has a new revision with the same content; of an id without item there is nothing to keep. */
function moveClean(rows: Rows, action: Kind<"rebase">): Outcome {
  const item = rows.item(action.id);
  if (!sameFingerprint(item?.fingerprint, action.base.fingerprint)) {
    // The base of a clean item is the item. To go on would break the proof, or lose the item without a trace.
    throw new Error(`rebase of the clean item ${JSON.stringify(action.id)} onto another content`);
  }
  if (item !== undefined) rows.setRevision(action.id, action.base.revision);
  return DONE;
}

function rebase(rows: Rows, books: Books, action: Kind<"rebase">, pending: PendingRow): Outcome {
  moveBase(books, pending.base?.fingerprint, action.base.fingerprint);
  if (pending.resent) rows.settleSendings(action.id, Number.MAX_SAFE_INTEGER);
  const { base, overrides } = action;
  rows.updatePending(pending, { ...pending, base, overrides, sent: false, resent: false });
  const known = action.content === undefined && sameFingerprint(pending.base?.fingerprint, base.fingerprint);
  if (!known) rows.setBaseContent(pending, action.content);
  return DONE;
}

function settle(rows: Rows, books: Books, action: Kind<"settle">, pending: PendingRow | undefined): Outcome {
  if (pending === undefined) return DONE;
  const { fingerprint, revision } = action;
  const { base } = pending;
  const same = pending.sequence === action.sequence && sameFingerprint(pending.fingerprint, fingerprint);
  // The base already is what the server said: the change repeats it (it returned there, or fell together with it).
  const repeats = base?.revision === revision && sameFingerprint(base.fingerprint, fingerprint);
  if (base !== undefined && base.revision >= revision && !(same && repeats)) return DONE;
  if (same) {
    becomeClean(rows, books, pending, revision);
    return DONE;
  }
  moveBase(books, base?.fingerprint, fingerprint);
  // What was sent after this version may still arrive.
  const resent = pending.resent && rows.settleSendings(action.id, action.sequence);
  rows.updatePending(pending, { ...pending, base: { fingerprint, revision }, overrides: undefined, resent });
  if (!sameFingerprint(base?.fingerprint, fingerprint)) rows.setBaseContent(pending, undefined);
  return DONE;
}

function reject(rows: Rows, books: Books, action: Kind<"reject">, pending: PendingRow | undefined): Outcome {
  if (pending === undefined || pending.sequence !== action.sequence) return DONE;
  if (pending.rejected === undefined) books.rejected += 1;
  const { reason, message, resent } = action;
  // What was rejected is this sending; an earlier one of the same version may still arrive.
  rows.updatePending(pending, { ...pending, rejected: { reason, message }, sent: pending.sent && resent });
  return DONE;
}

/** The server has what mine is: the base becomes mine, and nothing is left to send or to wait for. */
function becomeClean(rows: Rows, books: Books, pending: PendingRow, revision: number): void {
  moveBase(books, pending.base?.fingerprint, pending.fingerprint);
  if (pending.fingerprint !== undefined) rows.setRevision(pending.id, revision);
  dropPending(rows, books, pending);
}

function dropPending(rows: Rows, books: Books, pending: PendingRow): void {
  if (pending.resent) rows.settleSendings(pending.id, Number.MAX_SAFE_INTEGER);
  rows.deletePending(pending);
  books.pending -= 1;
  if (pending.rejected !== undefined) books.rejected -= 1;
}

function setMine(
  rows: Rows,
  books: Books,
  id: string,
  item: ItemRow | undefined,
  upsert: LocalWrite["upsert"],
  revision: number,
  modifyTimeUs: number,
): void {
  if (upsert !== undefined) {
    if (item === undefined) books.items += 1;
    rows.putItem(id, { fingerprint: upsert.fingerprint, revision, modifyTimeUs }, upsert.content);
  } else if (item !== undefined) {
    books.items -= 1;
    rows.deleteItem(id);
  }
}
