import { type Comparison, compare, compareRecovered } from "../../core/compare.js";
import { sameFingerprint } from "../../core/fingerprint.js";
import type { Change } from "../../core/page.js";
import { judge, type Prevailing, type Version } from "../../core/standard.js";
import type { ChangeStandard } from "../../gen/tercet/v1/item.js";
import type { Action } from "../replica/action.js";
import { LOST_REVISION } from "../replica/apply-batch.js";
import type { LocalWrite, Upsert } from "../replica/local-items.js";
import type { BaseState, LocalState } from "../replica/local-state.js";
import type { Fork } from "./known-history.js";

/** A change with what is at hand of its content. */
export interface KnownChange extends Change {
  /** A large content was fetched, and is staged under this key. */
  readonly staged?: number;
  /** It is the base's own content, which is large and known. */
  readonly kept?: boolean;
  /** The server told nothing of a creation that was sent: it has none so far, but what was sent may be under way yet. */
  readonly presumed?: boolean;
}

/** Whether the content of a change is at hand. */
export function isAtHand({ content, staged, kept }: KnownChange): boolean {
  return content !== undefined || staged !== undefined || kept === true;
}

/** What a comparison and a judgement need to know beside both versions. */
export interface Circumstances {
  /** The standard in force. */
  readonly standard: ChangeStandard;
  /** This side's times count up to here: the server's clock and the allowed skew. */
  readonly ceilingUs: number;
  /** In recovery, where the histories of both sides part. */
  readonly fork: Fork | undefined;
  /** What the server lost is not offered to it again: its history is followed. */
  readonly follows: boolean;
  /** Items that are held are judged anew: by another standard, or by the application. */
  readonly rejudges: boolean;
  /** The exchange is to end where the server turns out to have lost anything. */
  readonly stops: boolean;
}

/** What is to be done with one item of which the server's state is told. */
export interface Decision {
  /** The server's state, or of a member of a group that gives way without news, its base. */
  readonly change: KnownChange;
  /** The state that was judged (R8). */
  readonly local: LocalState;
  readonly comparison: Comparison;
  /** Of a conflict: how it ends; undefined where it has not been judged yet. */
  readonly outcome: Prevailing | "merged" | undefined;
  /** Where both give way to a version of the application's: that; undefined deletes the item. */
  readonly merged: LocalWrite["upsert"];
  /** Decisions of the same unit, an atomic group, are carried out together or not at all; 0 for none. */
  readonly unit: number;
  /** A member of a group that the server told nothing of, and that shares the fate of the others. */
  readonly companion: boolean;
  /** The server lost what this side had, and its history is followed. */
  readonly followed: boolean;
}

/**
 * Step 2 for one change; undefined where there is nothing to do. `unmade`: what was sent of the item is known not to have
 * been made.
 */
export function decide(
  local: LocalState,
  change: KnownChange,
  circumstances: Circumstances,
  unmade: boolean,
): Decision | undefined {
  const { fork, follows, rejudges } = circumstances;
  const face = unmade ? { ...local, sendings: [] } : local;
  let comparison =
    fork === undefined ? compare(face, change) : compareRecovered(face, change, fork.shared, fork.lostAfter);
  if (rejudges && local.pending?.held === true) comparison = "conflict";
  if (comparison === "known") return undefined;
  // Deleted here since it was sent: the deletion stays pending, and is pushed, so that what was sent can't come to be later.
  if (comparison === "agreed" && change.presumed === true) return undefined;
  const followed = comparison === "lost" && follows;
  return {
    change,
    local,
    comparison: followed ? "conflict" : comparison,
    outcome: followed ? "theirs" : undefined,
    merged: undefined,
    unit: 0,
    companion: false,
    followed,
  };
}

/** A conflict judged by the standard in force. */
export function judged(decision: Decision, { standard, ceilingUs }: Circumstances): Decision {
  return { ...decision, outcome: judge(standard, mineOf(decision.local, ceilingUs), decision.change) };
}

/** This side's version, its time no later than the ceiling. */
export function mineOf({ pending, base, modifyTimeUs }: LocalState, ceilingUs: number): Version {
  if (pending === undefined) {
    return { fingerprint: base?.fingerprint, modifyTimeUs: Math.min(modifyTimeUs, ceilingUs) };
  }
  return { fingerprint: pending.fingerprint, modifyTimeUs: Math.min(pending.modifyTimeUs, ceilingUs) };
}

/** The server's content is to be stored, and is not at hand. */
export function needsContent({ change, comparison, outcome }: Decision): boolean {
  if (change.fingerprint === undefined || isAtHand(change)) return false;
  return comparison === "theirs" || (outcome !== undefined && outcome !== "mine");
}

/** The action that carries a decision out. `fetched`: the server's content, possibly of a later revision than was told. */
export function toAction(
  decision: Decision,
  fetched: KnownChange | undefined,
  { standard, fork }: Pick<Circumstances, "standard" | "fork">,
): Action {
  const { comparison, local, unit } = decision;
  const change = atHead(needsContent(decision) && fetched !== undefined ? fetched : decision.change, fork);
  const { id, revision } = change;
  const common = { id, sequence: local.sequence, ...(unit === 0 ? {} : { unit }) };
  switch (comparison) {
    case "agreed":
      return { kind: "agree", ...common, revision };
    case "lost":
      return local.pending === undefined ? offer(change, local, undefined) : rebase(change, common, undefined);
    case "conflict":
      return endConflict(decision, change, common, standard);
    case "theirs":
      return take(change, common, undefined);
    case "same":
      return { ...rebase(change, common, undefined), keeps: true };
    default:
      return rebase(change, common, undefined);
  }
}

/** In recovery, states of later revisions than the fork become bases as of the head, at which the server has had all. */
function atHead(change: KnownChange, fork: Fork | undefined): KnownChange {
  const { revision } = change;
  const isLater = fork !== undefined && revision > fork.lostAfter && revision < LOST_REVISION;
  return isLater ? { ...change, revision: Math.max(revision, fork.head) } : change;
}

type Common = { readonly id: string; readonly sequence: number; readonly unit?: number };

function endConflict(decision: Decision, change: KnownChange, common: Common, standard: ChangeStandard): Action {
  const { outcome, local, merged, companion } = decision;
  const held = outcome === "held";
  if (outcome === "theirs") return take(change, common, standard);
  if (local.pending === undefined) return offer(change, local, held ? undefined : standard, held);
  if (outcome === "merged") {
    // Later than both.
    const modifyTimeUs = Math.max(local.pending.modifyTimeUs, change.modifyTimeUs) + 1;
    return {
      kind: "merge",
      ...common,
      upsert: merged,
      base: baseOf(change),
      ...baseContentOf(change),
      overrides: standard,
      modifyTimeUs,
    };
  }
  if (companion && sameFingerprint(change.fingerprint, local.base?.fingerprint)) {
    return { kind: "hold", ...common, ...baseContentOf(change) };
  }
  return { ...rebase(change, common, held ? undefined : standard), held };
}

function baseOf({ fingerprint, revision, modifyTimeUs }: Change): BaseState {
  return { fingerprint, revision, modifyTimeUs };
}

/** The content of a base as far as it is at hand. */
function baseContentOf({
  content,
  staged,
}: KnownChange): Pick<Extract<Action, { kind: "rebase" }>, "content" | "staged"> {
  return staged === undefined ? { content } : { content, staged };
}

function rebase(
  change: KnownChange,
  common: Common,
  overrides: ChangeStandard | undefined,
): Extract<Action, { kind: "rebase" }> {
  return { kind: "rebase", ...common, base: baseOf(change), ...baseContentOf(change), overrides };
}

function offer(change: KnownChange, local: LocalState, overrides: ChangeStandard | undefined, held = false): Action {
  const { id, sequence } = local;
  const base = change.fingerprint === undefined && change.revision === 0 ? undefined : baseOf(change);
  return { kind: "offer", id, sequence, base, ...baseContentOf(change), overrides, held };
}

function take(change: KnownChange, common: Common, conflict: ChangeStandard | undefined): Action {
  const { fingerprint, revision, modifyTimeUs } = change;
  const upsert = fingerprint === undefined ? undefined : upsertOf(change, fingerprint);
  return { kind: "take", ...common, upsert, revision, modifyTimeUs, conflict };
}

/** Takes an item whose content is at hand, if nothing is known of it here: as `decide` and `toAction` would. */
export function takeOnlyNew({ id, fingerprint, content, revision, modifyTimeUs }: Change): Action {
  if (fingerprint === undefined) throw new Error(`"${id}" is no item to be taken`);
  const upsert = { content, fingerprint };
  return { kind: "take", id, sequence: 0, upsert, revision, modifyTimeUs, conflict: undefined, onlyNew: true };
}

function upsertOf(change: KnownChange, fingerprint: Uint8Array): Upsert & { readonly kept?: boolean } {
  const { content, staged, kept } = change;
  if (!isAtHand(change)) throw new Error(`no content at hand for "${change.id}"`);
  if (staged !== undefined) return { content, staged, fingerprint };
  return kept === true ? { content, kept, fingerprint } : { content, fingerprint };
}
