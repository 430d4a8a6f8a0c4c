import { checkId } from "../../core/id.js";
import { LOST_REVISION } from "./apply-batch.js";
import type { BaseState } from "./local-state.js";
import type { PendingRow } from "./rows.js";
import { BASE_CONTENT, changeReader, type FoundChange, nothing } from "./sqlite-rebuild-change-reader.js";
import type { Progress } from "./sqlite-rebuild-head.js";
import { readPendingItems } from "./sqlite-rebuild-items.js";
import type { Salvage } from "./sqlite-rebuild-read.js";
import type { Gap, RowPlace } from "./sqlite-rebuild-tree.js";
import { isBytes, isStandard, isWhole, timeOf } from "./sqlite-rebuild-values.js";
import { type PendingTuple, toPendingRow } from "./sqlite-rows.js";

/** The pending changes of a damaged replica. */
export interface FoundChanges {
  readonly changes: readonly FoundChange[];
  /** Ids of changes of which nothing can be believed. */
  readonly lost: readonly string[];
}

/** Reads the pending changes, each with what can be believed of it. */
export function readChanges(salvage: Salvage, progress: Progress, nowUs: number): FoundChanges {
  const { rows, gaps } = readRows(salvage, progress, nowUs);
  const items = readPendingItems(salvage, progress, new Set(rows.map(({ row }) => row.id)));
  const reader = changeReader(salvage, items, nowUs);
  const changes = new Map<string, FoundChange>();
  const lost = new Set<string>();
  const creations = items.creations.flatMap((tuple) => foundRow(tuple, undefined, progress, nowUs));
  for (const { row, place } of rows.concat(creations).sort((a, b) => a.row.sequence - b.row.sequence)) {
    if (changes.has(row.id)) continue;
    const change = reader.change(row, place);
    if (change === undefined) lost.add(row.id);
    else changes.set(row.id, change);
  }
  for (const id of items.marked.keys()) {
    if (changes.has(id)) continue;
    const change = reader.item(id);
    if (change !== undefined) changes.set(id, change);
    else if (!reader.isClean(id)) lost.add(id);
  }
  for (const id of changes.keys()) lost.delete(id);
  const believed = believeBases([...changes.values()], progress.heard);
  return { changes: breakGroups(believed, lostGroups(rows, lost), gaps), lost: [...lost] };
}

/** A row of `pending`, and where it is; a creation is nowhere in that table. */
interface FoundRow {
  readonly row: PendingRow;
  readonly place: RowPlace | undefined;
}

function foundRow(
  tuple: readonly unknown[],
  place: RowPlace | undefined,
  progress: Progress,
  nowUs: number,
): FoundRow[] {
  const row = toRow(tuple, progress, nowUs);
  return row === undefined ? [] : [{ row, place }];
}

function readRows(salvage: Salvage, progress: Progress, nowUs: number) {
  const rows: FoundRow[] = [];
  const gaps = salvage.tree("pending").visit((row, place) => {
    const others = Array.from({ length: BASE_CONTENT - 1 }, (_, n) => row.value(n + 1));
    rows.push(...foundRow([row.key, ...others, null], place, progress, nowUs));
  });
  return { rows, gaps };
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
    heard !== undefined && row.base !== undefined && row.base.revision > heard && row.base.revision < LOST_REVISION;
  const based = changes.filter(({ row }) => row.base !== undefined);
  if (based.filter(isBeyond).length * 2 > based.length) return [...changes];
  return changes.map((change) => {
    if (!isBeyond(change)) return change;
    return { ...change, row: { ...change.row, base: undefined, held: false }, baseContent: nothing, baseless: true };
  });
}

function lostGroups(rows: readonly FoundRow[], lost: ReadonlySet<string>): Set<number> {
  return new Set(rows.flatMap(({ row }) => (lost.has(row.id) && row.group > 0 ? [row.group] : [])));
}

/** A group whose numbers reach into what could not be read, or that lost a member, is none any more. */
function breakGroups(changes: readonly FoundChange[], lost: ReadonlySet<number>, gaps: readonly Gap[]): FoundChange[] {
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
