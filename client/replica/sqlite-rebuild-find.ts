import type { Ledger } from "./books.js";
import { type FoundChanges, readChanges } from "./sqlite-rebuild-changes.js";
import { type FoundRecord, readConflicts } from "./sqlite-rebuild-conflicts.js";
import { type Identity, readIdentity, readProgress } from "./sqlite-rebuild-head.js";
import type { Salvage } from "./sqlite-rebuild-read.js";

/*
 * What of a damaged replica can be believed. A flipped bit may leave a row that reads well:
 *
 *   - A content is believed where it has the fingerprint that the item or the change keeps of it, which covers the id, too.
 *   - A deletion is believed where its base's content has the base's fingerprint, or where the index of the ids says the
 *     same as the row.
 *   - A base is believed unless its revision is beyond everything that the replica has heard of. A wrong one is in
 *     conflict with the server's state: it can't make anything prevail unseen.
 *   - An item is held where the row or the index says so: what is not decided is not sent.
 *   - Where it is not known whether a change was sent, it counts as sent.
 */

/** What was found of a replica. */
export interface Found extends Identity, FoundChanges, Pick<Ledger, "lastTimeUs" | "lastConflict" | "recovering"> {
  readonly conflicts: readonly FoundRecord[];
  /** What the file counts. */
  readonly counted: { readonly pending: number | undefined; readonly conflicts: number | undefined };
}

/** Reads all that a rebuilt replica keeps. */
export function readReplica(salvage: Salvage, nowUs: number): Found {
  const progress = readProgress(salvage, nowUs);
  return {
    ...readIdentity(salvage),
    ...readChanges(salvage, progress, nowUs),
    conflicts: readConflicts(salvage, nowUs),
    lastConflict: progress.lastConflict,
    lastTimeUs: progress.lastTimeUs,
    recovering: progress.recovering,
    counted: { pending: progress.pending, conflicts: progress.conflicts },
  };
}
