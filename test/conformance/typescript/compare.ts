import { ChangeStandard } from "../../../gen/tercet/v1/item.js";
import { same } from "./fingerprint.js";

/*
 * Step 2: what is to be done with one item of which the server's state was told, and whose change prevails. Nothing but
 * values: `vectors/comparison.json` and `standards.json` say every case.
 */

/** A state of an item at the server: a fingerprint (undefined: no item), as of a revision. */
export interface Known {
  readonly fingerprint: Uint8Array | undefined;
  readonly revision: number;
}

/** What the client knows of an item. */
export interface Own {
  /** What it last agreed on with the server; undefined: it knows of nothing. */
  readonly base: Known | undefined;
  /** What its own change made of the item (undefined fingerprint: deleted); undefined: it has none. */
  readonly pending: { readonly fingerprint: Uint8Array | undefined } | undefined;
  /** What it sent of the item and had no verdict on. */
  readonly sendings: readonly (Uint8Array | undefined)[];
}

/**
 * known     nothing to do
 * same      only the revision is new
 * theirs    changed only there: take it
 * agreed    changed on both sides into the same: nothing moves
 * arrived   it is what this client sent earlier, and changed since: send the change on top of it
 * new       created here; there was something else of that name, which is deleted: send the creation
 * lost      the server, restored from a backup, lost what was agreed on: offer it again (recovery only)
 * conflict  changed on both sides: the change standard decides
 */
export type Comparison = "known" | "same" | "theirs" | "agreed" | "arrived" | "new" | "lost" | "conflict";

/** The comparison of an exchange. An item that the server tells nothing of is unchanged there. */
export function compare({ base, pending, sendings }: Own, theirs: Known): Comparison {
  if (base !== undefined && theirs.revision <= base.revision) return "known";
  if (pending === undefined) {
    if (!same(base?.fingerprint, theirs.fingerprint)) return "theirs";
    return theirs.fingerprint === undefined ? "known" : "same";
  }
  const neverHad = base === undefined && sendings.length === 0;
  if (neverHad && theirs.fingerprint === undefined && pending.fingerprint !== undefined) return "new";
  return comparePending(pending.fingerprint, sendings, theirs);
}

/**
 * The comparison of a recovery. `fork` is the last revision that the histories of both sides share. What was agreed on up to
 * it is as real as what the server has; what was agreed on later the server lost, and its revisions say nothing then.
 */
export function compareRecovered(own: Own, theirs: Known, fork: number): Comparison {
  const { base, pending, sendings } = own;
  if (base === undefined) return compare(own, theirs);
  if (base.revision <= fork) {
    if (theirs.revision > base.revision) return compare(own, theirs);
    if (same(base.fingerprint, theirs.fingerprint)) return "known";
    return pending === undefined ? "theirs" : comparePending(pending.fingerprint, sendings, theirs);
  }
  if (same(base.fingerprint, theirs.fingerprint)) return "same";
  const found = pending === undefined ? "conflict" : comparePending(pending.fingerprint, sendings, theirs);
  return found === "conflict" && theirs.revision <= fork ? "lost" : found;
}

function comparePending(mine: Uint8Array | undefined, sendings: Own["sendings"], theirs: Known): Comparison {
  if (same(mine, theirs.fingerprint)) return "agreed";
  return sendings.some((sent) => same(sent, theirs.fingerprint)) ? "arrived" : "conflict";
}

/** How a conflict ends; `held`: not yet. */
export type Outcome = "mine" | "theirs" | "held";

/** A version of an item as a standard judges it. */
export interface Judged {
  readonly fingerprint: Uint8Array | undefined;
  /** Mine is at most the server's clock and `skew_us`, as the server would store it. */
  readonly timeUs: number;
}

/** Whose change prevails by a standard that is in force. */
export function judge(standard: ChangeStandard, mine: Judged, theirs: Judged): Outcome {
  if (standard === ChangeStandard.CHANGE_STANDARD_MANUAL) return "held";
  if (standard === ChangeStandard.CHANGE_STANDARD_CLIENT) return "mine";
  if (standard === ChangeStandard.CHANGE_STANDARD_NEWEST) return isNewer(mine, theirs) ? "mine" : "theirs";
  return "theirs";
}

/** The later time; on a tie the greater fingerprint, and a deletion is less than any. */
function isNewer(mine: Judged, theirs: Judged): boolean {
  if (mine.timeUs !== theirs.timeUs) return mine.timeUs > theirs.timeUs;
  if (mine.fingerprint === undefined || theirs.fingerprint === undefined) return mine.fingerprint !== undefined;
  return Buffer.compare(mine.fingerprint, theirs.fingerprint) > 0;
}

/** Whether this client can judge by a standard. */
export function isStandard(standard: ChangeStandard): boolean {
  return standard >= ChangeStandard.CHANGE_STANDARD_SERVER && standard <= ChangeStandard.CHANGE_STANDARD_MANUAL;
}
