import { SHORT_SUM_BYTES } from "../../core/reconcile.js";
import { RangeKind, RangeQuery } from "../../gen/tercet/v1/sync.js";

const { RANGE_KIND_UNSPECIFIED: PASS, RANGE_KIND_SUM: SUM, RANGE_KIND_ITEMS: ITEMS } = RangeKind;

/** A query of somebody who has nothing: one range of everything, by its sum. Other fields as given. */
export function nothingOf(more: Partial<RangeQuery>): RangeQuery {
  return { ...RangeQuery.create({ kinds: [SUM], counts: [0], sums: Buffer.alloc(SHORT_SUM_BYTES) }), ...more };
}

const ends = (...rest: string[]) => ({ shared: rest.map(() => 0), rest });

/** Queries that are refused, and which field is at fault. */
export const badRanges: readonly { readonly what: string; readonly ranges: RangeQuery; readonly field: string }[] = [
  {
    what: "ends not in order",
    ranges: nothingOf({ ends: ends("b", "a"), kinds: [SUM, PASS, PASS] }),
    field: "ranges.ends",
  },
  { what: "an end twice", ranges: nothingOf({ ends: ends("b", "b"), kinds: [SUM, PASS, PASS] }), field: "ranges.ends" },
  { what: "an end before all ids", ranges: nothingOf({ ends: ends(""), kinds: [SUM, PASS] }), field: "ranges.ends" },
  {
    what: "an end that shares more than there is",
    ranges: nothingOf({ ends: { shared: [0, 9], rest: ["b", "c"] }, kinds: [SUM, PASS, PASS] }),
    field: "ranges.ends",
  },
  {
    what: "an end that shares half a character",
    ranges: nothingOf({ ends: { shared: [0, 1], rest: ["ä", "c"] }, kinds: [SUM, PASS, PASS] }),
    field: "ranges.ends",
  },
  {
    what: "ends of two lengths",
    ranges: nothingOf({ ends: { shared: [0, 0], rest: ["a"] }, kinds: [SUM, PASS] }),
    field: "ranges.ends",
  },
  { what: "no range at all", ranges: nothingOf({ kinds: [] }), field: "ranges.kinds" },
  { what: "more kinds than ranges", ranges: nothingOf({ kinds: [SUM, SUM] }), field: "ranges.kinds" },
  { what: "fewer kinds than ranges", ranges: nothingOf({ ends: ends("a", "b") }), field: "ranges.kinds" },
  { what: "an unknown kind", ranges: nothingOf({ kinds: [9 as RangeKind] }), field: "ranges.kinds" },
  {
    what: "4,097 ranges",
    ranges: nothingOf({
      ends: ends(...Array.from({ length: 4096 }, (_, at) => String(at).padStart(4, "0"))),
      kinds: Array.from({ length: 4097 }, () => PASS),
    }),
    field: "ranges.kinds",
  },
  { what: "no count", ranges: nothingOf({ counts: [] }), field: "ranges.counts" },
  { what: "a count too many", ranges: nothingOf({ counts: [0, 0] }), field: "ranges.counts" },
  { what: "a negative count", ranges: nothingOf({ counts: [-1] }), field: "ranges.counts" },
  { what: "a sum of 15 bytes", ranges: nothingOf({ sums: Buffer.alloc(15) }), field: "ranges.sums" },
  { what: "a sum of a range that is passed", ranges: nothingOf({ kinds: [PASS], counts: [] }), field: "ranges.sums" },
  {
    what: "fewer items than it says",
    ranges: nothingOf({ kinds: [ITEMS], counts: [2], sums: Buffer.alloc(0), items: Buffer.alloc(8) }),
    field: "ranges.items",
  },
  {
    what: "65,537 items",
    ranges: nothingOf({ kinds: [ITEMS], counts: [65_537], sums: Buffer.alloc(0), items: Buffer.alloc(65_537 * 8) }),
    field: "ranges.items",
  },
];
