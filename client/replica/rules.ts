import { sameFingerprint } from "../../core/fingerprint.js";
import type { Action } from "./action.js";
import type { ApplyResult } from "./apply-batch.js";
import { type Books, hearTime, moveBase } from "./books.js";
import { regroup } from "./group-rules.js";
import { storedSize } from "./large.js";
import { newPending } from "./local-rules.js";
import {
  becomeClean,
  dropPending,
  giveWay,
  keepBase,
  keepUpsert,
  renewPending,
  replacePending,
  setMine,
  sizeOf,
} from "./row-rules.js";
import type { PendingRow, Rows, StoredUpsert } from "./rows.js";

/*
 * What each action of an exchange does to a replica, said once for every replica. (Local writes: local-rules.ts.)
 */

/** What became of an action. */
interface Outcome {
  /** The item is in another state than was judged: nothing was done. */
  readonly stale: boolean;
  /** Number of the conflict record that was made. */
  readonly conflict: number | undefined;
}

const DONE: Outcome = { stale: false, conflict: undefined };
const STALE: Outcome = { stale: true, conflict: undefined };

type Kind<K extends Action["kind"]> = Extract<Action, { kind: K }>;
/** What is made only if the item still is as it was judged. */
type Conditional = Exclude<Action, { kind: "settle" | "reject" }>;

/** Does actions in their order, row by row. */
export function applyActions(
  rows: Rows,
  books: Books,
  actions: readonly Action[],
  nowUs: number,
): Omit<ApplyResult, "total"> {
  const done = { stale: [], conflicts: [] };
  const ordered = orderByUnit(actions);
  for (let at = 0; at < ordered.length; ) {
    const together = unitAt(ordered, at);
    applyUnit(rows, books, together, nowUs, done);
    at += together.length;
  }
  return done;
}

/** The unit of an action; 0 for none. */
export function unitOf(action: Action): number {
  return "unit" in action ? (action.unit ?? 0) : 0;
}

/** Actions with those of a unit together, where its first one stands: nothing comes between them. */
export function orderByUnit(actions: readonly Action[]): readonly Action[] {
  if (!actions.some((action) => unitOf(action) !== 0)) return actions;
  const units = new Map<number, Action[]>();
  const ordered: Action[][] = [];
  for (const action of actions) {
    const unit = unitOf(action);
    const together = unit === 0 ? undefined : units.get(unit);
    if (together !== undefined) {
      together.push(action);
      continue;
    }
    const begun = [action];
    ordered.push(begun);
    if (unit !== 0) units.set(unit, begun);
  }
  return ordered.flat();
}

/** The actions from `at` on that are one unit; an action without a unit by itself. */
export function unitAt(ordered: readonly Action[], at: number): readonly Action[] {
  const unit = unitOf(ordered[at] as Action);
  let end = at + 1;
  while (unit !== 0 && end < ordered.length && unitOf(ordered[end] as Action) === unit) end += 1;
  return ordered.slice(at, end);
}

/** Does all of a unit, or nothing where one of its items is not as it was judged. */
export function applyUnit(
  rows: Rows,
  books: Books,
  actions: readonly Action[],
  nowUs: number,
  done: { readonly stale: string[]; readonly conflicts: number[] },
): void {
  const whole = actions.every((action) => !isConditional(action) || isAsJudged(rows, action));
  for (const action of actions) {
    const outcome = whole ? applyAction(rows, books, action, nowUs) : STALE;
    if (outcome.stale) done.stale.push(action.id);
    if (outcome.conflict !== undefined) done.conflicts.push(outcome.conflict);
  }
}

function isConditional(action: Action): action is Conditional {
  return action.kind !== "settle" && action.kind !== "reject" && action.kind !== "return";
}

function isAsJudged(rows: Rows, action: Conditional): boolean {
  if (action.kind === "take" && action.onlyNew === true && rows.item(action.id) !== undefined) return false;
  return (rows.pending(action.id)?.sequence ?? 0) === action.sequence;
}

/** Does what an exchange decided on one item, which still is as it was judged. */
function applyAction(rows: Rows, books: Books, action: Action, nowUs: number): Outcome {
  const pending = rows.pending(action.id);
  switch (action.kind) {
    case "settle":
      return settle(rows, books, action, pending);
    case "reject":
      return reject(rows, books, action, pending);
    case "return":
      if (pending !== undefined && pending.sequence === action.sequence) {
        replacePending(rows, books, pending, { ...pending, sent: pending.sent && action.resent });
      }
      return DONE;
    case "take":
      return take(rows, books, action, pending, nowUs);
    case "rebase":
      return pending === undefined ? moveClean(rows, action) : rebase(rows, books, action, pending);
    case "offer":
      return pending === undefined ? offer(rows, books, action) : STALE;
    case "hold":
      if (pending !== undefined) hold(rows, books, action, pending);
      return DONE;
    case "merge":
      return merge(rows, books, action, pending, nowUs);
    case "agree":
      if (pending !== undefined) becomeClean(rows, books, pending, action.revision);
      else if (rows.item(action.id) !== undefined) rows.setRevision(action.id, action.revision);
      return DONE;
  }
}

function take(rows: Rows, books: Books, action: Kind<"take">, pending: PendingRow | undefined, nowUs: number): Outcome {
  const { id, upsert } = action;
  const item = rows.item(id);
  const theirs = upsert?.fingerprint;
  const version = upsert?.kept === true ? keptVersion(rows, action, pending) : keepUpsert(rows, upsert);
  let conflict: number | undefined;
  if (action.conflict !== undefined) {
    const clean = item && { id, fingerprint: item.fingerprint, modifyTimeUs: item.modifyTimeUs };
    if (pending !== undefined) conflict = giveWay(rows, books, pending, theirs, action.conflict, nowUs);
    else if (clean !== undefined && !sameFingerprint(clean.fingerprint, theirs)) {
      const size = storedSize(rows.content(id));
      conflict = giveWay(rows, books, { ...clean, size }, theirs, action.conflict, nowUs);
    }
  }
  if (pending !== undefined) dropPending(rows, books, pending);
  const base = pending === undefined ? item : pending.base;
  moveBase(books, id, base?.fingerprint, theirs);
  setMine(rows, books, id, version, item, action.revision, action.modifyTimeUs);
  hearTime(books, action.modifyTimeUs, nowUs);
  return conflict === undefined ? DONE : { stale: false, conflict };
}

/** The base's own content becomes mine. */
function keptVersion(rows: Rows, { id, upsert }: Kind<"take">, pending: PendingRow | undefined): StoredUpsert {
  const content = rows.baseContent(id);
  const fingerprint = pending?.base?.fingerprint;
  if (content === undefined || fingerprint === undefined || !sameFingerprint(fingerprint, upsert?.fingerprint)) {
    throw new Error(`the content to be taken of ${JSON.stringify(id)} is not that of its base, or not known`);
  }
  return { content, fingerprint };
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
  const { base, overrides, held = false } = action;
  if (action.keeps === true && sameFingerprint(pending.base?.fingerprint, base.fingerprint)) {
    replacePending(rows, books, pending, { ...pending, base });
    return DONE;
  }
  const before = standOn(rows, books, action, pending);
  replacePending(rows, books, before, { ...before, base, overrides, held, sent: false, resent: false });
  return DONE;
}

function hold(rows: Rows, books: Books, action: Kind<"hold">, pending: PendingRow): void {
  const content = keepBase(rows, action);
  const before = content === undefined ? pending : rows.setBaseContent(pending, content);
  replacePending(rows, books, before, { ...before, held: true });
}

/** Moves a pending change to a base that it was compared with: what was sent of it is settled. */
function standOn(rows: Rows, books: Books, action: Kind<"rebase" | "merge">, pending: PendingRow): PendingRow {
  const { id, base } = action;
  const content = keepBase(rows, action);
  moveBase(books, id, pending.base?.fingerprint, base.fingerprint);
  if (pending.resent) rows.settleSendings(id, Number.MAX_SAFE_INTEGER);
  const known = content === undefined && sameFingerprint(pending.base?.fingerprint, base.fingerprint);
  return known ? pending : rows.setBaseContent(pending, content);
}

function offer(rows: Rows, books: Books, action: Kind<"offer">): Outcome {
  const { id, base, overrides, held = false } = action;
  const item = rows.item(id);
  if (item === undefined) return DONE;
  const { fingerprint, modifyTimeUs } = item;
  books.lastSequence += 1;
  books.pending += 1;
  moveBase(books, id, fingerprint, base?.fingerprint);
  const mine = { fingerprint, modifyTimeUs, size: storedSize(rows.content(id)) };
  rows.insertPending({ ...newPending(id, books.lastSequence), ...mine, base, overrides, held }, keepBase(rows, action));
  if (held) books.held += 1;
  return DONE;
}

function merge(
  rows: Rows,
  books: Books,
  action: Kind<"merge">,
  pending: PendingRow | undefined,
  nowUs: number,
): Outcome {
  const { id, base, overrides, modifyTimeUs } = action;
  if (pending === undefined) throw new Error(`merge of the clean item ${JSON.stringify(id)}`);
  const merged = keepUpsert(rows, action.upsert);
  const fingerprint = merged?.fingerprint;
  const isSame = sameFingerprint(pending.fingerprint, fingerprint);
  const conflict = isSame ? undefined : giveWay(rows, books, pending, fingerprint, overrides, nowUs);
  const onBase = standOn(rows, books, action, pending);
  // In this transaction its group may have moved already, for another member: it is where it should be then.
  const isNew = pending.sequence > books.sequenceBefore;
  const before = { ...onBase, sent: false, resent: false, held: false };
  const mine = { fingerprint, size: sizeOf(merged), modifyTimeUs, base, overrides };
  replacePending(rows, books, onBase, { ...before, ...mine });
  if (!isNew && pending.group !== 0) regroup(rows, books, rows.group(pending.group));
  else if (!isNew) renewPending(rows, books, { ...before, ...mine }, {});
  setMine(rows, books, id, merged, rows.item(id), 0, modifyTimeUs);
  hearTime(books, modifyTimeUs, nowUs);
  return conflict === undefined ? DONE : { stale: false, conflict };
}

function settle(rows: Rows, books: Books, action: Kind<"settle">, pending: PendingRow | undefined): Outcome {
  if (pending === undefined) return DONE;
  const { id, sequence, fingerprint, revision } = action;
  const { base } = pending;
  const same = pending.sequence === sequence && sameFingerprint(pending.fingerprint, fingerprint);
  const isKnown = base !== undefined && base.revision >= revision;
  // The change repeats its base: it returned there, or fell together with it, which a recovery may have known later.
  const repeats = isKnown && sameFingerprint(base.fingerprint, fingerprint);
  if (isKnown && !(same && repeats)) return DONE;
  if (same) {
    becomeClean(rows, books, pending, repeats ? base.revision : revision);
    return DONE;
  }
  moveBase(books, id, base?.fingerprint, fingerprint);
  const modifyTimeUs = pending.resent ? rows.sentTime(id, sequence) : 0;
  // What was sent after this version may still arrive.
  const resent = pending.resent && rows.settleSendings(id, sequence);
  // The base is a version of this side now: nothing is overridden any more, and no conflict is held.
  const moved = { base: { fingerprint, revision, modifyTimeUs }, overrides: undefined, held: false, resent };
  replacePending(rows, books, pending, { ...pending, ...moved });
  if (!sameFingerprint(base?.fingerprint, fingerprint)) rows.setBaseContent(pending, undefined);
  return DONE;
}

function reject(rows: Rows, books: Books, action: Kind<"reject">, pending: PendingRow | undefined): Outcome {
  if (pending === undefined || pending.sequence !== action.sequence) return DONE;
  const { reason, message, resent } = action;
  // What was rejected is this sending; an earlier one of the same version may still arrive.
  const rejected = { ...pending, rejected: { reason, message }, sent: pending.sent && resent };
  replacePending(rows, books, pending, rejected);
  return DONE;
}
