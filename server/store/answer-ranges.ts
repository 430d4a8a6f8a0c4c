import type { IdInterval, RangeEntry, RangePart } from "../../core/range.js";
import type { RangeTotal } from "../../core/range-sum.js";
import {
  compareItems,
  LIST_ITEMS,
  LISTED_WHOLE_ITEMS,
  partsFor,
  SHORT_PRINT_BYTES,
  sameShortTotal,
} from "../../core/reconcile.js";
import type { StoredChange } from "./item-reads.js";
import type { RangeAnswer, RangeAsk, RangesQuery } from "./range-reads.js";

/** A collection in one snapshot, as ranges are answered from it. */
export interface RangeSource {
  /** Count and sum of the items of a range. */
  total(interval: IdInterval): RangeTotal;
  /** Cuts a range into about so many parts of about the same size; at least 2 where it has 2 items or more. */
  split(interval: IdInterval, parts: number): readonly RangePart[];
  /** Items in the order of their ids, at most `limit`. */
  entries(interval: IdInterval, limit: number): readonly RangeEntry[];
  /** An item that is there, with its content where that has up to so many bytes. */
  change(id: string, inlineBytes: number): StoredChange;
  /** How much was done so far, in items that are read. */
  readonly work: number;
  /** Tombstones with a greater revision than `after`, in the order of their ids, at most `limit`. */
  tombstones(interval: IdInterval, after: number, limit: number): readonly StoredChange[];
  /** Their ids alone. */
  tombstoneIds(interval: IdInterval, after: number, limit: number): readonly string[];
}

/** What an answer counts of `maxBytes`, beside ids and contents: a change, a part, a number. */
const CHANGE_BYTES = 80;
const PART_BYTES = 32;
const NUMBER_BYTES = 2;

/** Work that is done at a time, in items that are read: some 10 to 20 ms. The rest of a query is answered in another turn. */
const MAX_WORK = 6_000;
/** What a range costs of which nothing is read, and what is listed, beside being read. */
const RANGE_WORK = 16;
const LISTED_WORK = 2;

/** Most tombstones that are read to cut a range that has too many of them for a list. */
const MAX_CUT_TOMBSTONES = 65_536;
/** Into so many parts. */
const TOMBSTONE_PARTS = 16;

/** Store.readRanges, the same for every store; `compacted` is the tombstone horizon. */
export function answerRanges(query: RangesQuery, compacted: number, source: RangeSource): readonly RangeAnswer[] {
  const after = Math.max(query.tombstonesAfter, compacted);
  const answers: RangeAnswer[] = [];
  let bytes = 0;
  let work = -source.work;
  for (const ask of query.asks) {
    const answer = answerRange(ask, query, after, source);
    answers.push(answer);
    bytes += answerBytes(answer);
    work += workFor(ask, answer);
    if (bytes >= query.maxBytes || work + source.work >= MAX_WORK) break;
  }
  return answers;
}

/** Work for an answer, beside that of the source. */
function workFor(ask: RangeAsk, answer: RangeAnswer): number {
  const told = ask.kind === "items" ? ask.prints.length / SHORT_PRINT_BYTES : 0;
  if (answer.kind !== "list") return RANGE_WORK + told;
  return RANGE_WORK + told + (answer.items.length + answer.deleted.length) * LISTED_WORK;
}

function answerRange(ask: RangeAsk, query: RangesQuery, after: number, source: RangeSource): RangeAnswer {
  const { interval } = ask;
  const split = (count: number): RangeAnswer => ({ kind: "split", parts: source.split(interval, partsFor(count)) });
  if (ask.kind === "sum") {
    const own = source.total(interval);
    if (sameShortTotal(own, ask.count, ask.shortSum)) return { kind: "equal" };
    if (own.count > LISTED_WHOLE_ITEMS) return split(own.count);
    return listOf(source.entries(interval, LISTED_WHOLE_ITEMS), [], interval, query, after, source);
  }
  // With more than these, more differ than go into a list, whatever they are.
  const most = Math.floor(ask.prints.length / SHORT_PRINT_BYTES) + LIST_ITEMS;
  const entries = source.entries(interval, most + 1);
  if (entries.length > most) return split(source.total(interval).count);
  const { own, theirs } = compareItems(entries, ask.prints);
  if (own.length === 0 && theirs.length === 0) return { kind: "equal" };
  if (own.length > LIST_ITEMS) return split(entries.length);
  return listOf(own, theirs, interval, query, after, source);
}

function listOf(
  own: readonly RangeEntry[],
  differing: readonly number[],
  interval: IdInterval,
  query: RangesQuery,
  after: number,
  source: RangeSource,
): RangeAnswer {
  const deleted = source.tombstones(interval, after, LIST_ITEMS + 1);
  if (deleted.length > LIST_ITEMS) return { kind: "split", parts: splitTombstones(interval, after, source) };
  let room = query.maxBytes;
  const items = own.map(({ id }) => {
    const change = source.change(id, Math.min(query.inlineBytes, room));
    if (change.content !== undefined) room -= change.size;
    return change;
  });
  return { kind: "list", items, deleted, differing };
}

/**
 * Cuts a range with few items and many tombstones so that their number bounds a list, too. The other side passes by parts
 * that are equal: it has none of the ids that were deleted in them.
 */
function splitTombstones(interval: IdInterval, after: number, source: RangeSource): readonly RangePart[] {
  const deleted = source.tombstoneIds(interval, after, MAX_CUT_TOMBSTONES);
  const bounds = Array.from({ length: TOMBSTONE_PARTS - 1 }, (_, index) => {
    return deleted[Math.floor((deleted.length * (index + 1)) / TOMBSTONE_PARTS)] as string;
  });
  return [interval.from, ...bounds].map((from, index) => {
    const part = { from, to: bounds[index] ?? interval.to };
    return { ...part, total: source.total(part) };
  });
}

function answerBytes(answer: RangeAnswer): number {
  let bytes = NUMBER_BYTES;
  switch (answer.kind) {
    case "equal":
      return bytes;
    case "split":
      for (const { from } of answer.parts) bytes += PART_BYTES + Buffer.byteLength(from);
      return bytes;
    case "list":
      for (const { id, size, content } of [...answer.items, ...answer.deleted]) {
        bytes += CHANGE_BYTES + Buffer.byteLength(id) + (content === undefined ? 0 : size);
      }
      return bytes + NUMBER_BYTES * answer.differing.length;
  }
}
