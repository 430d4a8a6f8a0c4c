import type { Fault } from "../../core/fault.js";
import { decodeBounds, encodeBounds } from "../../core/id-bounds.js";
import { type Change, fromPageChanges } from "../../core/page.js";
import { SHORT_SUM_BYTES, shortPrintsOf, shortSumOf } from "../../core/reconcile.js";
import {
  type RangeAnswers,
  RangeKind,
  type RangeList,
  RangeOutcome,
  type RangeQuery,
} from "../../gen/tercet/v1/sync.js";
import { outOfOrder, unknownFault } from "./faults.js";
import type { AskedRange, TheirPart } from "./refine-ranges.js";

/** A range that was asked about, and in which round trip. */
export interface Asked {
  readonly range: AskedRange;
  readonly trip: number;
}

/** A range and what the server listed in it. */
export interface Listed {
  readonly range: AskedRange;
  readonly list: RangeList;
}

/** Ranges in the order of their ids as a query, with nothing asked of what is between them. */
export function toRangeQuery(ranges: readonly AskedRange[]): RangeQuery {
  const ends: string[] = [];
  const kinds: RangeKind[] = [];
  let at: string | undefined = "";
  for (const { interval, entries } of ranges) {
    if (interval.from !== at) {
      ends.push(interval.from);
      kinds.push(RangeKind.RANGE_KIND_UNSPECIFIED);
    }
    if (interval.to !== undefined) ends.push(interval.to);
    kinds.push(entries === undefined ? RangeKind.RANGE_KIND_SUM : RangeKind.RANGE_KIND_ITEMS);
    at = interval.to;
  }
  if (at !== undefined) kinds.push(RangeKind.RANGE_KIND_UNSPECIFIED);
  return {
    ends: encodeBounds(ends),
    kinds,
    counts: ranges.map(({ total, entries }) => entries?.length ?? total.count),
    sums: Buffer.concat(ranges.flatMap(({ total, entries }) => (entries === undefined ? [shortSumOf(total)] : []))),
    items: Buffer.concat(ranges.flatMap(({ entries }) => (entries === undefined ? [] : [shortPrintsOf(entries)]))),
  };
}

/** What a message answers, range by range. */
export interface AnswersRead {
  readonly listed: readonly Listed[];
  /** Parts of ranges that differ. */
  readonly parts: readonly TheirPart[];
  /** The round trip in which the last of them was asked. */
  readonly trip: number;
}

/** Reads the answers to the ranges that were asked first. */
export function readAnswers(answers: RangeAnswers, asked: readonly Asked[]): AnswersRead | Fault {
  const { outcomes, parts: sizes, counts, sums, lists } = answers;
  const ends = splitEnds(answers);
  const count = (outcome: RangeOutcome): number => outcomes.filter((each) => each === outcome).length;
  const whole = sizes.reduce((sum, size) => sum + size, 0);
  const fits =
    outcomes.length <= asked.length &&
    ends !== undefined &&
    sizes.every((size) => size >= 2) &&
    count(RangeOutcome.RANGE_OUTCOME_SPLIT) === sizes.length &&
    count(RangeOutcome.RANGE_OUTCOME_LIST) === lists.length &&
    count(RangeOutcome.RANGE_OUTCOME_EQUAL) + sizes.length + lists.length === outcomes.length &&
    counts.length === whole &&
    sums.length === whole * SHORT_SUM_BYTES;
  if (!fits) return outOfOrder("the server's answer to a recovery does not fit what was asked");
  const listed: Listed[] = [];
  const parts: TheirPart[] = [];
  let trip = 1;
  let splits = 0;
  for (const [index, outcome] of outcomes.entries()) {
    const { range, trip: askedIn } = asked[index] as Asked;
    trip = Math.max(trip, askedIn);
    if (outcome === RangeOutcome.RANGE_OUTCOME_LIST) listed.push({ range, list: lists[listed.length] as RangeList });
    if (outcome !== RangeOutcome.RANGE_OUTCOME_SPLIT) continue;
    const inner = ends[splits] as readonly string[];
    for (let part = 0; part < (sizes[splits] as number); part++) {
      const interval = { from: inner[part - 1] ?? range.interval.from, to: inner[part] ?? range.interval.to };
      const at = parts.length * SHORT_SUM_BYTES;
      parts.push({
        interval,
        count: counts[parts.length] as number,
        shortSum: sums.subarray(at, at + SHORT_SUM_BYTES),
      });
    }
    splits += 1;
  }
  return { listed, parts, trip };
}

/** The inner ends of each split; undefined where their number is another. */
function splitEnds({ ends, parts: sizes }: RangeAnswers): readonly (readonly string[])[] | undefined {
  const all = decodeBounds(ends ?? { shared: [], rest: [] });
  let at = 0;
  const split = sizes.map((size) => {
    at += size - 1;
    return all?.slice(at - size + 1, at) ?? [];
  });
  return all === undefined || at !== all.length ? undefined : split;
}

/** The changes of a list: each is proved by its own fingerprint. */
export function readList(
  list: RangeList,
): { readonly changes: readonly Change[]; readonly doubtful: readonly Change[] } | Fault {
  const read = fromPageChanges({ changes: [...list.items, ...list.deleted], fingerprint: undefined });
  const [unknown] = read.unknown;
  return unknown === undefined ? read : unknownFault(unknown);
}
