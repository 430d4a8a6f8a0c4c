import { ErrorReason, type Fault } from "../../core/fault.js";
import { decodeBounds, encodeBounds } from "../../core/id-bounds.js";
import { forkOf } from "../../core/lineage.js";
import { toChangeInfo } from "../../core/page.js";
import type { IdInterval, RangePart } from "../../core/range.js";
import {
  MAX_QUERY_ITEMS,
  MAX_QUERY_RANGES,
  SHORT_PRINT_BYTES,
  SHORT_SUM_BYTES,
  shortSumOf,
} from "../../core/reconcile.js";
import {
  type RangeAnswers,
  RangeKind,
  type RangeList,
  RangeOutcome,
  type RangeQuery,
  type Recover,
} from "../../gen/tercet/v1/sync.js";
import type { CollectionState } from "../store/collection-state.js";
import type { RangeAnswer, RangeAsk, RangesRead } from "../store/range-reads.js";
import { type Conversation, deletedFault } from "./conversation.js";
import { compactedFault } from "./send-change-info.js";
import { encodeToken, tokenAt } from "./token.js";

/** Recovery: compares ranges of ids with the client's. */
export interface Reconciler {
  /** Begins: takes the head that the recovery earns. `begun` is told it. */
  recover(message: Recover, begun: (head: number) => void): void;
  /** Answers a query, in as many messages as it takes. */
  answer(query: RangeQuery): void;
}

/** What the first answer says besides. */
export type Preamble = Pick<RangeAnswers, "head" | "forkRevision" | "compactedRevision" | "lineage">;

const NOTHING_MORE: Preamble = { head: undefined, forkRevision: 0, compactedRevision: 0, lineage: [] };

/** The reconciler of a conversation. */
export function createReconciler(conversation: Conversation): Reconciler {
  let preamble = NOTHING_MORE;
  let fork = 0;
  let compacted = 0;

  function begin(message: Recover, state: CollectionState): void {
    // Epochs of another collection say nothing of this one, whatever their ids.
    fork = conversation.rebinds ? 0 : forkOf(message.lineage, state.lineage, state.revision);
    compacted = state.compactedRevision;
    preamble = preambleOf(state, fork);
  }

  function readOn(asks: readonly RangeAsk[]): void {
    if (asks.length === 0) return;
    const { uid, limits } = conversation;
    const bounds = { inlineBytes: limits.inlineBytes, maxBytes: limits.messageBytes };
    conversation.ask({ kind: "read-ranges", query: { uid, asks, tombstonesAfter: fork, ...bounds } }, (result) => {
      if (result.kind !== "read-ranges") return;
      if (result.read === undefined) return conversation.close(deletedFault(conversation.name));
      // The client was told up to where the absence of an item says nothing.
      if (result.read.compactedRevision > Math.max(fork, compacted)) return conversation.close(compactedFault());
      send(result.read);
      readOn(asks.slice(result.read.answers.length));
    });
  }

  function send(read: RangesRead): void {
    conversation.lineage = read.lineage;
    conversation.unanswered.items -= read.answers.length;
    const { uid, lineage } = conversation;
    const { revision } = read;
    const witness = { token: encodeToken(tokenAt(uid, lineage, revision, 0)), revision };
    conversation.send({ $case: "ranges", value: { ...toAnswers(read.answers), ...preamble, witness } });
    preamble = NOTHING_MORE;
  }

  return {
    recover(message, begun) {
      const { name, uid } = conversation;
      conversation.ask({ kind: "state", name, uid }, (result) => {
        if (result.kind !== "state") return;
        if (result.state === undefined) return conversation.close(deletedFault(conversation.name));
        begin(message, result.state);
        begun(result.state.revision);
      });
    },
    answer(query) {
      const asks = readQuery(query);
      if ("reason" in asks) conversation.close(asks);
      else readOn(asks);
    },
  };
}

/** What the first answer says besides, of a collection in this state whose history parts from the client's at the fork. */
export function preambleOf(
  {
    uid,
    lineage,
    revision,
    compactedRevision,
  }: Pick<CollectionState, "uid" | "lineage" | "revision" | "compactedRevision">,
  fork: number,
): Preamble {
  return {
    head: { token: encodeToken(tokenAt(uid, lineage, revision, 0)), revision },
    forkRevision: fork,
    compactedRevision,
    lineage: lineage.map(({ id, firstRevision }) => ({ id: Buffer.from(id), firstRevision })),
  };
}

/** How many ranges of a query are to be compared. */
export function comparedRanges(query: RangeQuery): number {
  return query.kinds.filter((kind) => kind !== RangeKind.RANGE_KIND_UNSPECIFIED).length;
}

/** The ranges of a query that are to be compared, or what is wrong with it. */
export function readQuery(query: RangeQuery): readonly RangeAsk[] | Fault {
  const { kinds, counts, sums, items } = query;
  const coded = query.ends ?? { shared: [], rest: [] };
  if (kinds.length !== coded.rest.length + 1) return invalid("kinds", "must be one more than ends");
  if (kinds.length > MAX_QUERY_RANGES) return invalid("kinds", `must not be over ${MAX_QUERY_RANGES}`);
  const ends = decodeBounds(coded);
  if (ends === undefined) return invalid("ends", "must be in ascending order, short, and coded as they should be");
  if (kinds.some((kind) => kind < 0 || kind > RangeKind.RANGE_KIND_ITEMS))
    return invalid("kinds", "has an unknown kind");
  const asked = kinds.filter((kind) => kind !== RangeKind.RANGE_KIND_UNSPECIFIED);
  if (counts.length !== asked.length || counts.some((count) => count < 0)) {
    return invalid("counts", "must be one for each range that is compared, and not negative");
  }
  const bySum = asked.filter((kind) => kind === RangeKind.RANGE_KIND_SUM).length;
  const byItems = counts.reduce((sum, count, at) => (asked[at] === RangeKind.RANGE_KIND_ITEMS ? sum + count : sum), 0);
  if (sums.length !== bySum * SHORT_SUM_BYTES)
    return invalid("sums", `must be ${SHORT_SUM_BYTES} bytes for each range`);
  if (byItems > MAX_QUERY_ITEMS) return invalid("items", `must not be of over ${MAX_QUERY_ITEMS} items`);
  if (items.length !== byItems * SHORT_PRINT_BYTES) {
    return invalid("items", `must be ${SHORT_PRINT_BYTES} bytes for each item`);
  }
  return toAsks(query, ends);
}

function toAsks({ kinds, counts, sums, items }: RangeQuery, ends: readonly string[]): readonly RangeAsk[] {
  const asks: RangeAsk[] = [];
  let sumAt = 0;
  let itemAt = 0;
  for (const [index, kind] of kinds.entries()) {
    const interval: IdInterval = { from: ends[index - 1] ?? "", to: ends[index] };
    if (kind === RangeKind.RANGE_KIND_UNSPECIFIED) continue;
    const count = counts[asks.length] as number;
    if (kind === RangeKind.RANGE_KIND_SUM) {
      asks.push({ kind: "sum", interval, count, shortSum: sums.subarray(sumAt, sumAt + SHORT_SUM_BYTES) });
      sumAt += SHORT_SUM_BYTES;
    } else {
      const bytes = count * SHORT_PRINT_BYTES;
      asks.push({ kind: "items", interval, prints: items.subarray(itemAt, itemAt + bytes) });
      itemAt += bytes;
    }
  }
  return asks;
}

/** The message for answers, without what the first one says besides. */
export function toAnswers(answers: readonly RangeAnswer[]): Omit<RangeAnswers, keyof Preamble | "witness"> {
  const parts: RangePart[] = [];
  const sizes: number[] = [];
  const lists: RangeList[] = [];
  const outcomes = answers.map((answer) => {
    if (answer.kind === "equal") return RangeOutcome.RANGE_OUTCOME_EQUAL;
    if (answer.kind === "split") {
      parts.push(...answer.parts);
      sizes.push(answer.parts.length);
      return RangeOutcome.RANGE_OUTCOME_SPLIT;
    }
    const { items, deleted, differing } = answer;
    lists.push({ items: items.map(toChangeInfo), deleted: deleted.map(toChangeInfo), differing: [...differing] });
    return RangeOutcome.RANGE_OUTCOME_LIST;
  });
  return {
    outcomes,
    parts: sizes,
    ends: encodeBounds(innerEnds(parts, sizes)),
    counts: parts.map((part) => part.total.count),
    sums: Buffer.concat(parts.map((part) => shortSumOf(part.total))),
    lists,
  };
}

/** Where parts end that are not the last of their range: the reader knows where that one does. */
function innerEnds(parts: readonly RangePart[], sizes: readonly number[]): readonly string[] {
  const ends: string[] = [];
  let at = 0;
  for (const size of sizes) {
    for (let part = 0; part < size - 1; part++) ends.push(parts[at + part]?.to as string);
    at += size;
  }
  return ends;
}

function invalid(field: string, description: string): Fault {
  const path = `ranges.${field}`;
  const fields = [{ field: path, description }];
  return { reason: ErrorReason.ERROR_REASON_RANGES_INVALID, message: `${path}: ${description}`, fields };
}
