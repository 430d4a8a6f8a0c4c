import { contentSize, fromContentField } from "../../core/content.js";
import { ErrorReason, type Fault, fieldFault } from "../../core/fault.js";
import { toChangeInfo } from "../../core/page.js";
import { PushOutcome, type Verdict } from "../../gen/tercet/v1/sync.js";
import type { AppliedRun } from "../store/creations.js";
import type { StoredChange } from "../store/item-reads.js";
import type { BatchWritten, WriteOutcome } from "../store/write-batch.js";

/** What became of one push: what the store says, or why it never came to the store. */
export type PushResult =
  | Exclude<WriteOutcome, { kind: "conflict" | "no-upload" }>
  | { readonly kind: "conflict"; readonly current: StoredChange }
  | { readonly kind: "rejected"; readonly fault: Fault }
  | { readonly kind: "compare-first" };

const NONE: Omit<Verdict, "ordinal" | "outcome"> = {
  count: 1,
  revision: 0,
  oneRevision: false,
  current: undefined,
  reason: ErrorReason.ERROR_REASON_UNSPECIFIED,
  message: "",
};

/** Verdicts on pushes in a row, the first of which has this ordinal. Equal ones in a row become one. */
export function toVerdicts(results: readonly PushResult[], firstOrdinal: number): Verdict[] {
  const verdicts: Verdict[] = [];
  let last: Verdict | undefined;
  for (let index = 0; index < results.length; index++) {
    const result = results[index] as PushResult;
    if (last !== undefined && continues(last, result)) {
      last.count += 1;
      continue;
    }
    last = toVerdict(result, firstOrdinal + index);
    verdicts.push(last);
  }
  return verdicts;
}

/** The verdict on pushes in a row that were all applied, the first of which has this ordinal. */
export function appliedVerdict({ count, first }: AppliedRun, ordinal: number): Verdict {
  return { ...NONE, ordinal, count, outcome: PushOutcome.PUSH_OUTCOME_APPLIED, revision: first };
}

/** Whether a verdict speaks of the next push, too, once it counts one more. */
function continues(last: Verdict, next: PushResult): boolean {
  switch (next.kind) {
    case "applied":
      if (last.outcome !== PushOutcome.PUSH_OUTCOME_APPLIED || last.oneRevision !== (next.group !== 0)) return false;
      return next.revision === (last.oneRevision ? last.revision : last.revision + last.count);
    case "already":
      return last.outcome === PushOutcome.PUSH_OUTCOME_ALREADY_APPLIED && last.revision === next.revision;
    case "compare-first":
      return last.outcome === PushOutcome.PUSH_OUTCOME_COMPARE_FIRST;
    default:
      return false;
  }
}

function toVerdict(result: PushResult, ordinal: number): Verdict {
  switch (result.kind) {
    case "applied": {
      const outcome = PushOutcome.PUSH_OUTCOME_APPLIED;
      return { ...NONE, ordinal, outcome, revision: result.revision, oneRevision: result.group !== 0 };
    }
    case "already":
      return { ...NONE, ordinal, outcome: PushOutcome.PUSH_OUTCOME_ALREADY_APPLIED, revision: result.revision };
    case "conflict":
      return { ...NONE, ordinal, outcome: PushOutcome.PUSH_OUTCOME_CONFLICT, current: toChangeInfo(result.current) };
    case "group-conflict":
      return { ...NONE, ordinal, outcome: PushOutcome.PUSH_OUTCOME_CONFLICT };
    case "compare-first":
      return { ...NONE, ordinal, outcome: PushOutcome.PUSH_OUTCOME_COMPARE_FIRST };
    case "rejected": {
      const { reason, message } = result.fault;
      return { ...NONE, ordinal, outcome: PushOutcome.PUSH_OUTCOME_REJECTED, reason, message };
    }
  }
}

/**
 * The results of all pushes of a batch in their order: those that never came to the store, and between them the outcomes
 * of those that did (`written`; undefined: none did).
 */
export function mergeResults(
  validated: readonly ({ readonly fault: Fault } | { readonly compareFirst: true } | { readonly write: unknown })[],
  written: Pick<BatchWritten, "outcomes" | "revision"> | undefined,
): PushResult[] {
  let next = 0;
  return validated.map((push): PushResult => {
    if ("fault" in push) return { kind: "rejected", fault: push.fault };
    if ("compareFirst" in push) return { kind: "compare-first" };
    const outcome = written?.outcomes[next++] as WriteOutcome;
    if (outcome.kind === "no-upload") return { kind: "rejected", fault: uploadFault() };
    // An item that there is no trace of is so as of now: whoever asked has a base of an earlier revision.
    const untraced = outcome.kind === "already" && outcome.revision === 0;
    return untraced ? { kind: "already", revision: written?.revision ?? 0 } : outcome;
  });
}

/** A push names an upload that it can't have. */
export function uploadFault(): Fault {
  const description = "this upload is not known here, not whole, or of another item; upload the content anew";
  return fieldFault(ErrorReason.ERROR_REASON_UPLOAD_INVALID, "upload_id", description);
}

/** Bytes that a verdict takes besides its message and the id and content of its item, about. */
const VERDICT_BYTES = 128;

/** Cuts verdicts into messages of about so many bytes; none is empty. */
export function cutVerdicts(verdicts: readonly Verdict[], messageBytes: number): Verdict[][] {
  const messages: Verdict[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const verdict of verdicts) {
    const { current, message } = verdict;
    const content = fromContentField(current?.content);
    const textBytes = 3 * (message.length + (current?.id.length ?? 0));
    const size = VERDICT_BYTES + textBytes + (content === undefined ? 0 : contentSize(content));
    if (bytes + size > messageBytes) {
      messages.push([]);
      bytes = 0;
    }
    messages.at(-1)?.push(verdict);
    bytes += size;
  }
  return messages;
}
