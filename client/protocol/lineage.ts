import { asBuffer } from "../../core/content.js";

/** One start of a server on a collection's data. */
export interface LineageEpoch {
  /** 8 random bytes. */
  readonly id: Uint8Array;
  readonly firstRevision: number;
}

/**
 * The lineage that a replica keeps: the server tells the epochs from the one of the replica's token on, so they follow on
 * what the replica has up to there.
 */
export function mergeLineage(kept: readonly LineageEpoch[], told: readonly LineageEpoch[]): readonly LineageEpoch[] {
  const first = told[0];
  if (first === undefined) return kept;
  return [...kept.filter((epoch) => epoch.firstRevision < first.firstRevision), ...told];
}

/** Whether two lineages are the same. */
export function sameLineage(a: readonly LineageEpoch[], b: readonly LineageEpoch[]): boolean {
  if (a.length !== b.length) return false;
  return a.every((epoch, index) => {
    const other = b[index];
    return other !== undefined && other.firstRevision === epoch.firstRevision && asBuffer(epoch.id).equals(other.id);
  });
}
