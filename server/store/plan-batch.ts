import type { CollectionState } from "./collection-state.js";
import { decideWrite, type HeldState } from "./decide-write.js";
import type { StoredChange } from "./item-reads.js";
import type { Write, WriteOutcome } from "./write-batch.js";

/** A write that is to be made. */
export interface PlannedChange {
  readonly write: Write;
  /** What it replaces: an item, a tombstone, or nothing. */
  readonly held: HeldState | undefined;
  readonly revision: number;
  /** Revision of its atomic group, 0 for none. */
  readonly group: number;
  /** What it replaces gives way and is to be kept in a conflict record. */
  readonly record: boolean;
}

type Decision = "apply" | "already" | "conflict" | "no-upload";

const NO_UPLOAD: WriteOutcome = { kind: "no-upload", revision: 0 };

/** What becomes of a batch, before any of it is done. */
export interface BatchPlan {
  readonly outcomes: readonly WriteOutcome[];
  readonly changes: readonly PlannedChange[];
  /** Revision of the collection once the changes are made. */
  readonly revision: number;
}

/**
 * Decides a batch on what is held of its ids, one entry for each write (each id is there at most once, so that no write
 * of a batch depends on another, groups aside). `describe` tells of the held state of the write at an index, for conflicts;
 * `hasUpload` whether the upload that the write at an index names can be taken over.
 */
export function planBatch(
  writes: readonly Write[],
  held: readonly (HeldState | undefined)[],
  { revision: revisionBefore, compactedRevision: compacted }: Pick<CollectionState, "revision" | "compactedRevision">,
  describe: (index: number) => StoredChange,
  hasUpload: (index: number) => boolean,
): BatchPlan {
  const outcomes: WriteOutcome[] = [];
  const changes: PlannedChange[] = [];
  let revision = revisionBefore;

  function decide(index: number): Decision {
    const write = writes[index] as Write;
    const decision = decideWrite(held[index], write, compacted);
    return decision === "apply" && write.upsert?.upload !== undefined && !hasUpload(index) ? "no-upload" : decision;
  }

  function conflict(index: number): WriteOutcome {
    if (held[index] !== undefined) return { kind: "conflict", current: describe(index) };
    return { kind: "conflict", current: unknownItem((writes[index] as Write).id, revision) };
  }

  function apply(index: number, group: number): WriteOutcome {
    const write = writes[index] as Write;
    const state = held[index];
    changes.push({ write, held: state, revision, group, record: givesWay(write, state) });
    return { kind: "applied", revision, group };
  }

  function planGroup(from: number, to: number): void {
    const decisions: Decision[] = [];
    for (let i = from; i < to; i++) decisions.push(decide(i));
    if (decisions.includes("conflict")) {
      for (let i = from; i < to; i++) {
        outcomes.push(decisions[i - from] === "conflict" ? conflict(i) : { kind: "group-conflict" });
      }
      return;
    }
    if (decisions.includes("no-upload")) {
      for (let i = from; i < to; i++) outcomes.push(NO_UPLOAD);
      return;
    }
    if (decisions.includes("apply")) revision += 1;
    for (let i = from; i < to; i++)
      outcomes.push(decisions[i - from] === "apply" ? apply(i, revision) : already(held[i]));
  }

  for (let i = 0; i < writes.length; ) {
    const write = writes[i] as Write;
    if (write.group !== 0) {
      const end = groupEnd(writes, i);
      planGroup(i, end);
      i = end;
      continue;
    }
    const decision = decide(i);
    if (decision === "apply") {
      revision += 1;
      outcomes.push(apply(i, 0));
    } else if (decision === "no-upload") {
      outcomes.push(NO_UPLOAD);
    } else {
      outcomes.push(decision === "already" ? already(held[i]) : conflict(i));
    }
    i += 1;
  }
  return { outcomes, changes, revision };
}

/** Index after the last write of the group that begins at `from`. */
function groupEnd(writes: readonly Write[], from: number): number {
  const group = writes[from]?.group;
  let end = from + 1;
  while (writes[end]?.group === group) end += 1;
  return end;
}

function already(held: HeldState | undefined): WriteOutcome {
  return { kind: "already", revision: held?.revision ?? 0 };
}

/** A fenced repetition overwrites nothing, and an item that nobody knew of cannot give way. */
function givesWay(write: Write, held: HeldState | undefined): boolean {
  if (write.overrides === undefined || held === undefined) return false;
  return decideWrite(held, { ...write, fence: false }, 0) !== "already";
}

/** What a conflict says of an id that the store knows nothing of. */
function unknownItem(id: string, revision: number): StoredChange {
  return { id, revision, fingerprint: undefined, size: 0, modifyTimeUs: 0, group: 0, content: undefined };
}
