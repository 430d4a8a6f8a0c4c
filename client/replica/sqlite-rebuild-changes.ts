import { checkId } from "../../core/id.js";
import type { Database } from "../../core/sqlite.js";
import type { BaseState } from "./local-state.js";
import type { PendingRow } from "./rows.js";
import { MADE_THROUGH } from "./sqlite-made.js";
import { changeReader, type FoundChange, nothing } from "./sqlite-rebuild-change-reader.js";
import type { Progress } from "./sqlite-rebuild-head.js";
import { attempt, type KeyedRow, lastKey, readTable } from "./sqlite-rebuild-read.js";
import { isBytes, isStandard, isWhole, timeOf } from "./sqlite-rebuild-values.js";
import { CREATION_COLUMNS, PENDING_COLUMNS, type PendingTuple, toPendingRow } from "./sqlite-rows.js";

/** The pending changes of a damaged replica. */
export interface FoundChanges {
  readonly changes: readonly FoundChange[];
  /** Ids of changes of which nothing can be believed. */
  readonly lost: readonly string[];
}

/** Reads the pending changes, each with what can be believed of it. */
export function readChanges(db: Database, progress: Progress, nowUs: number): FoundChanges {
  const table = { table: "pending", key: "pending.sequence", columns: PENDING_COLUMNS };
  const { rows, gaps } = readTable(db, table, lastKey(db, "pending", "sequence"));
  const { items, creations } = readPendingItems(db);
  const reader = changeReader(db, items, nowUs);
  const changes = new Map<string, FoundChange>();
  const lost = new Set<string>();
  for (const [, ...tuple] of [...rows, ...creations].sort((a, b) => Number(a[1]) - Number(b[1]))) {
    const row = toRow(tuple, progress, nowUs);
    if (row === undefined || changes.has(row.id)) continue;
    const change = reader.change(row);
    if (change === undefined) lost.add(row.id);
    else changes.set(row.id, change);
  }
  for (const id of items.keys()) {
    if (changes.has(id)) continue;
    const change = reader.item(id);
    if (change !== undefined) changes.set(id, change);
    else if (!reader.isClean(id)) lost.add(id);
  }
  for (const id of changes.keys()) lost.delete(id);
  const believed = believeBases([...changes.values()], progress.heard);
  return { changes: breakGroups(believed, lostGroups(rows, lost), gaps), lost: [...lost] };
}

/** Ids of items that have a pending change, and where they are in the table; of creations without a row, what that would be. */
function readPendingItems(db: Database): { readonly items: Map<string, number>; readonly creations: KeyedRow[] } {
  // Where it is not known what was made, it counts as pending: the server says then that it has it.
  const made = attempt(() => db.prepare<[], unknown>(`SELECT ${MADE_THROUGH}`).pluck().get());
  const where = `pending = 1 AND (creation IS NULL OR creation > ${isWhole(made) ? made : 0})`;
  const query = { table: "items", key: "items.rowid", columns: CREATION_COLUMNS, where };
  const items = new Map<string, number>();
  const creations: KeyedRow[] = [];
  for (const row of readTable(db, query, lastKey(db, "items", "rowid")).rows) {
    const [rowid, sequence, id] = row;
    if (typeof id !== "string" || checkId(id) !== undefined) continue;
    items.set(id, rowid);
    if (isWhole(sequence)) creations.push(row);
  }
  return { items, creations };
}

/** A row that has the form of one. */
function toRow(tuple: readonly unknown[], { sentThrough }: Progress, nowUs: number): PendingRow | undefined {
  const [sequence, id, fingerprint, , timeUs, revision, baseFingerprint, overrides, , , sent, , baseTimeUs] = tuple;
  const well =
    isWhole(sequence) &&
    typeof id === "string" &&
    checkId(id) === undefined &&
    (fingerprint === null || isBytes(fingerprint, 32));
  if (!well) return undefined;
  const hasBase = isWhole(revision) && (baseFingerprint === null || isBytes(baseFingerprint, 32));
  const row = toPendingRow(tuple as unknown as PendingTuple, { through: sentThrough });
  const base: BaseState | undefined = hasBase
    ? { fingerprint: row.base?.fingerprint, revision, modifyTimeUs: timeOf(baseTimeUs, nowUs) }
    : undefined;
  return {
    ...row,
    base,
    modifyTimeUs: timeOf(timeUs, nowUs),
    overrides: isStandard(overrides) ? overrides : undefined,
    rejected: undefined,
    baseLarge: undefined,
    sent: row.sent || ![0, 1, 2].includes(sent as number),
    group: isWhole(row.group) ? row.group : 0,
  };
}

/** Bases of revisions that nobody has heard of are left out; unless they are many: then it is the replica's own that is wrong. */
function believeBases(changes: readonly FoundChange[], heard: number | undefined): FoundChange[] {
  const isBeyond = ({ row }: FoundChange): boolean =>
    heard !== undefined && row.base !== undefined && row.base.revision > heard;
  if (changes.filter(isBeyond).length * 2 > changes.length) return [...changes];
  return changes.map((change) => {
    if (!isBeyond(change)) return change;
    return { ...change, row: { ...change.row, base: undefined, held: false }, baseContent: nothing, baseless: true };
  });
}

function lostGroups(rows: readonly KeyedRow[], lost: ReadonlySet<string>): Set<number> {
  const groups = new Set<number>();
  for (const [, ...tuple] of rows) {
    const { 1: id, 14: group } = tuple as unknown as PendingTuple;
    if (lost.has(id) && isWhole(group) && group > 0) groups.add(group);
  }
  return groups;
}

/** A group whose numbers reach into what could not be read, or that lost a member, is none any more. */
function breakGroups(
  changes: readonly FoundChange[],
  lost: ReadonlySet<number>,
  gaps: readonly (readonly [number, number])[],
): FoundChange[] {
  const first = new Map<number, number>();
  for (const { row } of changes) {
    first.set(row.group, Math.min(first.get(row.group) ?? row.sequence, row.sequence));
  }
  const isBroken = (group: number): boolean =>
    lost.has(group) || gaps.some(([from, to]) => from <= group + 1 && to >= (first.get(group) ?? group) - 1);
  return changes.map((change) => {
    const { group } = change.row;
    if (group === 0 || !isBroken(group)) return change;
    return { ...change, row: { ...change.row, group: 0 }, broken: true };
  });
}
