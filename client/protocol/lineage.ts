import { asBuffer } from "../../core/content.js";
import type { LineageEpoch } from "../replica/replica-state.js";

/**
 * The lineage that a replica keeps: the server tells the epochs from the one of the replica's token on, so they follow on
 * what the replica has up to there.
 */
export function mergeLineage(kept: readonly LineageEpoch[], told: readonly LineageEpoch[]): readonly LineageEpoch[] {
  const first = told[0];
  if (first === undefined) return kept;
  return [...kept.filter((epoch) => epoch.firstRevision < first.firstRevision), ...told];
}

/**
 * The same where the server tells only the epochs that began after the replica's checkpoint, which may be none: what the
 * replica has of that time is of a history that the server does not go on from.
 */
export function mergeLater(
  kept: readonly LineageEpoch[],
  told: readonly LineageEpoch[],
  checkpoint: number,
): readonly LineageEpoch[] {
  return [...kept.filter((epoch) => epoch.firstRevision <= checkpoint), ...told];
}

/** Whether two lineages are the same. */
export function sameLineage(a: readonly LineageEpoch[], b: readonly LineageEpoch[]): boolean {
  if (a.length !== b.length) return false;
  return a.every((epoch, index) => {
    const other = b[index];
    return other !== undefined && other.firstRevision === epoch.firstRevision && asBuffer(epoch.id).equals(other.id);
  });
}
