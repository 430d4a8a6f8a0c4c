import { cutEntries } from "../../core/cut-entries.js";
import { compareIds } from "../../core/id.js";
import type { IdInterval, RangeEntry } from "../../core/range.js";
import { createRangeSum, totalOf } from "../../core/range-sum.js";
import { answerRanges } from "./answer-ranges.js";
import type { CompactQuery } from "./collection-state.js";
import type { StoredChange } from "./item-reads.js";
import { type MemoryCollection, withContent } from "./memory-write.js";
import type { RangesQuery, RangesRead } from "./range-reads.js";
import { minuteOf } from "./time-marks.js";

/** The ids of a collection in byte order, tombstones included. */
export function sortedIds(collection: MemoryCollection): readonly string[] {
  collection.sortedIds ??= [...collection.items.keys()].sort(compareIds);
  return collection.sortedIds;
}

/** Store.readRanges. By scans, without sums that are kept: what other stores are checked against. */
export function readRanges(collection: MemoryCollection, query: RangesQuery): RangesRead {
  const { revision, compactedRevision, lineage } = collection.state;
  let itemsRead = 0;
  const entries = (interval: IdInterval, limit: number): RangeEntry[] => {
    const found: RangeEntry[] = [];
    for (const { id, fingerprint } of changesIn(collection, interval)) {
      if (found.length === limit) break;
      if (fingerprint !== undefined) found.push({ id, fingerprint });
    }
    itemsRead += found.length;
    return found;
  };
  function tombstones(interval: IdInterval, after: number, limit: number): StoredChange[] {
    const isTold = (change: StoredChange) => change.fingerprint === undefined && change.revision > after;
    return [...changesIn(collection, interval)].filter(isTold).slice(0, limit);
  }
  const answers = answerRanges(query, compactedRevision, {
    entries,
    get work() {
      return itemsRead;
    },
    total(interval) {
      const sum = createRangeSum();
      for (const { fingerprint } of entries(interval, Number.POSITIVE_INFINITY)) sum.add(fingerprint);
      return totalOf(sum);
    },
    split: (interval, parts) => cutEntries(entries(interval, Number.POSITIVE_INFINITY), interval, parts),
    change: (id, inlineBytes) => withContent(collection.items.get(id) as StoredChange, inlineBytes),
    tombstones,
    tombstoneIds: (interval, after, limit) => tombstones(interval, after, limit).map(({ id }) => id),
  });
  return { answers, revision, compactedRevision, lineage };
}

/** Items and tombstones of a range, in the order of their ids. */
function* changesIn(collection: MemoryCollection, { from, to }: IdInterval): Generator<StoredChange> {
  const ids = sortedIds(collection);
  let low = 0;
  let high = ids.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareIds(ids[middle] as string, from) >= 0) high = middle;
    else low = middle + 1;
  }
  for (let at = low; at < ids.length; at++) {
    const id = ids[at] as string;
    if (to !== undefined && compareIds(id, to) >= 0) return;
    yield collection.items.get(id) as StoredChange;
  }
}

/** Store.compact: the tombstones go at once. */
export function compactCollection(collection: MemoryCollection, query: CompactQuery): number {
  const { revision, compactedRevision } = collection.state;
  const horizon = Math.max(compactedRevision, Math.min(wantedHorizon(collection, query), revision));
  if (horizon === compactedRevision) return horizon;
  for (const change of collection.items.values()) {
    if (change.fingerprint === undefined && change.revision <= horizon) collection.items.delete(change.id);
  }
  collection.sortedIds = undefined;
  collection.marks = collection.marks.filter((mark) => mark.revision > horizon);
  collection.state = { ...collection.state, compactedRevision: horizon };
  return horizon;
}

function wantedHorizon(collection: MemoryCollection, query: CompactQuery): number {
  if ("through" in query) return query.through;
  return collection.marks.findLast((mark) => mark.minute < minuteOf(query.beforeUs))?.revision ?? 0;
}
