import { sameFingerprint } from "../../core/fingerprint.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import { type Books, nextTime } from "./books.js";
import { checkLimits, regroup } from "./group-rules.js";
import type { GroupLimits } from "./local-items.js";
import { dropPending, giveWay, keepUpsert, renewPending, replacePending, setMine, sizeOf } from "./row-rules.js";
import type { PendingRow, Rows, StoredUpsert } from "./rows.js";
import type { ReplicaStore } from "./store.js";

/*
 * How a conflict that is held is resolved, with all of its group. Whatever prevails over theirs gets new sequence numbers: an
 * exchange that runs has judged the item as held, and must judge again; and its group comes at the end, where it is sent.
 */

type How = Parameters<ReplicaStore["resolveHeld"]>[1];

const MANUAL = ChangeStandard.CHANGE_STANDARD_MANUAL;
/** What a held change becomes once it is to prevail. */
const PREVAILS = { held: false, overrides: MANUAL } as const;

/**
 * Resolves an item; answers whether it is held.
 *
 * @throws Error where the item is to become theirs and theirs has a content that is not known.
 * @throws GroupTooLarge by `limits`, where a merged content makes its group too large.
 */
export function resolveItem(
  rows: Rows,
  books: Books,
  id: string,
  how: How,
  nowUs: number,
  limits?: GroupLimits,
): boolean {
  const pending = rows.pending(id);
  if (pending?.held !== true) return false;
  const { group } = pending;
  if (how === "theirs") {
    for (const row of group === 0 ? [pending] : rows.group(group)) becomeTheirs(rows, books, row, nowUs);
    return true;
  }
  if (how !== "mine") mergeHeld(rows, books, pending, keepUpsert(rows, how.merged), nowUs);
  if (group !== 0) {
    const members = rows.group(group);
    if (how !== "mine" && limits !== undefined && members.length > 1) checkLimits(members, limits);
    for (const row of rows.group(group)) if (row.held) replacePending(rows, books, row, { ...row, ...PREVAILS });
    regroup(rows, books, rows.group(group));
    return true;
  }
  const left = rows.pending(id);
  if (left !== undefined) renewPending(rows, books, left, PREVAILS);
  return true;
}

function becomeTheirs(rows: Rows, books: Books, pending: PendingRow, nowUs: number): void {
  const { id, base } = pending;
  const fingerprint = base?.fingerprint;
  if (sameFingerprint(pending.fingerprint, fingerprint)) {
    dropPending(rows, books, pending);
    if (base !== undefined && fingerprint !== undefined) rows.setRevision(id, base.revision);
    return;
  }
  const content = rows.baseContent(id);
  if (fingerprint !== undefined && content === undefined) {
    throw new Error(`the server's content of ${JSON.stringify(id)} is not known here, so that it can't be taken`);
  }
  const theirs = fingerprint === undefined || content === undefined ? undefined : { content, fingerprint };
  yieldMine(rows, books, pending, theirs, nowUs);
}

/** Mine goes into a record, and the item becomes what its base is, in this version. */
function yieldMine(
  rows: Rows,
  books: Books,
  pending: PendingRow,
  theirs: StoredUpsert | undefined,
  nowUs: number,
): void {
  const { id, base } = pending;
  giveWay(rows, books, pending, theirs?.fingerprint, MANUAL, nowUs);
  const item = rows.item(id);
  dropPending(rows, books, pending);
  setMine(rows, books, id, theirs, item, base?.revision ?? 0, base?.modifyTimeUs || nowUs);
}

/** Mine becomes another version; where that is theirs, nothing is left to send. */
function mergeHeld(
  rows: Rows,
  books: Books,
  pending: PendingRow,
  merged: StoredUpsert | undefined,
  nowUs: number,
): void {
  const fingerprint = merged?.fingerprint;
  if (sameFingerprint(fingerprint, pending.fingerprint)) return;
  if (sameFingerprint(fingerprint, pending.base?.fingerprint)) {
    yieldMine(rows, books, pending, merged, nowUs);
    return;
  }
  giveWay(rows, books, pending, fingerprint, MANUAL, nowUs);
  const modifyTimeUs = nextTime(books, nowUs);
  books.lastTimeUs = modifyTimeUs;
  replacePending(rows, books, pending, { ...pending, fingerprint, size: sizeOf(merged), modifyTimeUs });
  setMine(rows, books, pending.id, merged, rows.item(pending.id), 0, modifyTimeUs);
}
