/** One start of a server on a collection's data, from its first revision on. */
export interface Epoch {
  readonly id: Uint8Array;
  readonly firstRevision: number;
}

/** The last revision that two lineages share; 0 where they share none. `revision`: of this side's head. */
export function forkOf(theirs: readonly Epoch[], own: readonly Epoch[], revision: number): number {
  const key = (epoch: Epoch): string => Buffer.from(epoch.id).toString("hex");
  const known = new Map(theirs.map((epoch, index) => [key(epoch), index]));
  const at = own.findLastIndex((epoch) => known.has(key(epoch)));
  if (at < 0) return 0;
  const place = known.get(key(own[at] as Epoch)) as number;
  const ownEnd = (own[at + 1]?.firstRevision ?? revision + 1) - 1;
  const theirEnd = (theirs[place + 1]?.firstRevision ?? Number.MAX_SAFE_INTEGER) - 1;
  return Math.min(ownEnd, theirEnd);
}
