import { checkId } from "../../core/id.js";
import { LOST_REVISION } from "./apply-batch.js";
import type { Progress } from "./sqlite-rebuild-head.js";
import type { Salvage } from "./sqlite-rebuild-read.js";
import type { Row } from "./sqlite-rebuild-record.js";
import type { RowPlace } from "./sqlite-rebuild-tree.js";
import { isWhole } from "./sqlite-rebuild-values.js";
import { creationTuple, type PendingTuple, UNSENT } from "./sqlite-rows.js";

/** Columns of `items`. */
export const ITEM = { id: 0, pending: 1, creation: 2, fingerprint: 3, revision: 4, modifyTimeUs: 5, content: 6 };

/** Items that have, or may have, a pending change. */
export interface PendingItems {
  /** Ids of those that say so, and their keys. */
  readonly marked: ReadonlyMap<string, number>;
  /** Where the rows of those and of the ids asked for are: more than one where one of them is damaged. */
  readonly places: ReadonlyMap<string, readonly RowPlace[]>;
  /** Of creations without a row, what that would be; and of items that the server has lost, which are to be offered to it. */
  readonly creations: readonly PendingTuple[];
}

/** Finds items that say that a change of them is pending, and others by their ids. */
export function readPendingItems(salvage: Salvage, progress: Progress, ids: ReadonlySet<string>): PendingItems {
  const made = madeThrough(salvage, progress);
  const marked = new Map<string, number>();
  const places = new Map<string, RowPlace[]>();
  const creations: PendingTuple[] = [];
  salvage.tree("items").visit((row, place) => {
    const creation = row.value(ITEM.creation);
    const isMarked = row.value(ITEM.pending) === 1 && !(isWhole(creation) && creation <= made);
    const isLost = !isMarked && row.value(ITEM.revision) === LOST_REVISION;
    if (!isMarked && !isLost && ids.size === 0) return;
    const id = row.value(ITEM.id);
    if (typeof id !== "string" || !(isMarked || isLost ? checkId(id) === undefined : ids.has(id))) return;
    const known = places.get(id);
    if (known === undefined) places.set(id, [place]);
    else known.push(place);
    if (isLost && !ids.has(id)) creations.push(offerOf(row, id));
    if (!isMarked) return;
    marked.set(id, row.key);
    if (isWhole(creation)) creations.push(creationOf(row, creation, id));
  });
  return { marked, places, creations };
}

/** In a recovery that was cut: what would be pending of it once the server tells that it has it no more. */
function offerOf(row: Row, id: string): PendingTuple {
  const [fingerprint, timeUs] = [row.value(ITEM.fingerprint) as Buffer, row.value(ITEM.modifyTimeUs) as number];
  const base = [LOST_REVISION, fingerprint, null, null, null, UNSENT, 0, timeUs] as const;
  return [Number.MAX_SAFE_INTEGER, id, fingerprint, 0, timeUs, ...base, 0, 0, null];
}

/** The size is taken from the content when that is read. */
function creationOf(row: Row, creation: number, id: string): PendingTuple {
  const [fingerprint, timeUs] = [row.value(ITEM.fingerprint) as Buffer, row.value(ITEM.modifyTimeUs) as number];
  return creationTuple(creation, id, fingerprint, 0, timeUs);
}

/**
 * Up to where creations were made (sqlite-made.ts). Where that is not known they count as pending: the server says then
 * that it has them. A number that is too high would drop some.
 */
function madeThrough(salvage: Salvage, { lastSequence }: Progress): number {
  let through = 0;
  const gaps = salvage.tree("made").visit((row) => {
    const last = row.value(1);
    if (isWhole(last) && last >= row.key && last <= lastSequence) through = Math.max(through, last);
  });
  return gaps.length === 0 ? through : 0;
}
