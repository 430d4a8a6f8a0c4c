import { type Comparison, compare } from "../../core/compare.js";
import type { Content } from "../../core/content.js";
import type { Change } from "../../core/page.js";
import { judge, type Prevailing } from "../../core/standard.js";
import type { ChangeStandard } from "../../gen/tercet/v1/item.js";
import type { Action, LocalState } from "../replica/store.js";

/** What is to be done with one change that the server told, before its content is at hand. */
export interface Decision {
  readonly change: Change;
  readonly comparison: Comparison;
  /** Of a conflict: whose change prevails. */
  readonly prevailed: Prevailing | undefined;
  /** The state that was judged (R8). */
  readonly sequence: number;
  /** The server's content is to be taken and did not come inline. */
  readonly needsContent: boolean;
}

/**
 * Step 2 and the change standard for one change; undefined where there is nothing to do. `unmade`: what was sent of the
 * item is known not to have been made.
 */
export function decide(
  local: LocalState,
  change: Change,
  standard: ChangeStandard,
  unmade: boolean,
): Decision | undefined {
  const comparison = compare(unmade ? { ...local, sendings: [] } : local, change);
  if (comparison === "known") return undefined;
  const prevailed = comparison === "conflict" ? judge(standard) : undefined;
  const takes = comparison === "theirs" || prevailed === "theirs";
  const needsContent = takes && change.fingerprint !== undefined && change.content === undefined;
  return { change, comparison, prevailed, sequence: local.sequence, needsContent };
}

/** A content that was fetched, as of a revision which may be later than the one that was told. */
export type Fetched = Change;

/** The action that carries a decision out, once its content is at hand. */
export function toAction(decision: Decision, fetched: Fetched | undefined, standard: ChangeStandard): Action {
  const { change, comparison, sequence } = decision;
  const base = { id: change.id, sequence };
  switch (comparison) {
    case "agreed":
      return { kind: "agree", ...base, revision: change.revision };
    case "same":
    case "arrived":
    case "new":
      return rebase(decision, undefined);
    case "conflict":
      return decision.prevailed === "mine" ? rebase(decision, standard) : take(decision, fetched, standard);
    default:
      return take(decision, fetched, undefined);
  }
}

function rebase({ change, sequence }: Decision, overrides: ChangeStandard | undefined): Action {
  const { id, fingerprint, revision, content } = change;
  return { kind: "rebase", id, sequence, base: { fingerprint, revision }, content, overrides };
}

function take(decision: Decision, fetched: Fetched | undefined, conflict: ChangeStandard | undefined): Action {
  const change = decision.needsContent && fetched !== undefined ? fetched : decision.change;
  const { id, fingerprint, revision, modifyTimeUs } = change;
  const upsert = fingerprint === undefined ? undefined : { content: contentOf(change), fingerprint };
  return { kind: "take", id, sequence: decision.sequence, upsert, revision, modifyTimeUs, conflict };
}

function contentOf(change: Change): Content {
  if (change.content === undefined) throw new Error(`no content at hand for "${change.id}"`);
  return change.content;
}
