import type { StoredChange } from "./item-reads.js";

/** What a change counts in a page beside its id and content: revision, fingerprint, size and times. */
export const CHANGE_BYTES = 64;

/** Bytes that a change counts in a page (`maxBytes` of a query). */
export function changeBytes(change: StoredChange): number {
  return CHANGE_BYTES + Buffer.byteLength(change.id) + (change.content === undefined ? 0 : change.size);
}

/** How much a page may take. */
export interface PageLimits {
  readonly maxBytes: number;
  readonly maxChanges: number;
}

/** A page that is being filled with whole commits. */
export interface CommitPage {
  readonly changes: StoredChange[];
  /** Bytes counted so far. */
  readonly bytes: number;
  /** Adds the next change in order of revision. False, and not added: the page was full before its commit. */
  add(change: StoredChange): boolean;
}

/** Fills up to the limits and then to the end of the commit that reached them. */
export function createCommitPage(limits: PageLimits): CommitPage {
  const changes: StoredChange[] = [];
  let bytes = 0;
  let last = -1;
  return {
    changes,
    get bytes() {
      return bytes;
    },
    add(change) {
      const full = bytes >= limits.maxBytes || changes.length >= limits.maxChanges;
      if (full && changes.length > 0 && change.revision !== last) return false;
      changes.push(change);
      bytes += changeBytes(change);
      last = change.revision;
      return true;
    },
  };
}
