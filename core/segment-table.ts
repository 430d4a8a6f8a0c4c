import { FINGERPRINT_BYTES } from "./fingerprint.js";
import { compareIds } from "./id.js";
import type { IdInterval } from "./range.js";
import type { RangeSum } from "./range-sum.js";
import { createSumTable } from "./sum-table.js";

/** Some neighbouring ids, up to where the next segment begins, with their count and sum. The first begins at "". */
export interface Segment {
  readonly from: string;
  readonly count: number;
  /** 32 little-endian bytes. */
  readonly sum: Uint8Array;
}

/** A segment in memory; its sum is in the slot of a table, as 5,000,000 items have some 130,000 segments. */
export interface HeldSegment {
  readonly from: string;
  count: number;
  readonly slot: number;
}

/** All segments of an index, in memory: some 130 bytes and an id each. */
export interface SegmentTable {
  /** In the order of their ids; read when they are first asked for. */
  all(): readonly HeldSegment[];
  /** How many there are in memory. */
  readonly size: number;
  /** Index of the segment that an id falls into. */
  indexOf(id: string): number;
  /** Whether an id falls into the segment at an index. */
  isIn(index: number, id: string): boolean;
  /** The range of a segment. */
  intervalOf(index: number): IdInterval;
  /** Which segments lie in a range as a whole: from one index to before another. */
  wholeIn(interval: IdInterval): { readonly first: number; readonly end: number };
  /** Adds so many items with this sum to one, or takes them out of it. */
  add(segment: HeldSegment, count: number, sum: Uint8Array, sign: 1 | -1): void;
  /** Adds up segments from one index to before another. */
  addTo(sum: RangeSum, from: number, to: number): void;
  /** Begins a segment behind all others. */
  append(from: string): void;
  /** Takes a segment out, and puts others in its place. */
  replace(segment: HeldSegment, others: readonly Segment[]): void;
  /** A segment with its sum. */
  read(segment: HeldSegment): Segment;
  /** Forgets all. */
  reset(): void;
}

const NO_SUM = new Uint8Array(FINGERPRINT_BYTES);

/** The table of what `load` answers. */
export function createSegmentTable(load: () => readonly Segment[]): SegmentTable {
  let sums = createSumTable();
  let loaded: HeldSegment[] | undefined;

  function hold({ from, count, sum }: Segment): HeldSegment {
    return { from, count, slot: sums.take(sum) };
  }

  function all(): HeldSegment[] {
    if (loaded === undefined) {
      loaded = load().map(hold);
      if (loaded[0]?.from !== "") loaded.unshift(hold({ from: "", count: 0, sum: NO_SUM }));
    }
    return loaded;
  }

  function indexOf(id: string): number {
    const segments = all();
    let low = 0;
    let high = segments.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (compareIds((segments[middle] as HeldSegment).from, id) <= 0) low = middle;
      else high = middle;
    }
    return low;
  }

  function intervalOf(index: number): IdInterval {
    const segments = all();
    return { from: (segments[index] as HeldSegment).from, to: segments[index + 1]?.from };
  }

  return {
    all,
    get size() {
      return loaded?.length ?? 0;
    },
    indexOf,
    isIn(index, id) {
      const { from, to } = intervalOf(index);
      return compareIds(from, id) <= 0 && (to === undefined || compareIds(id, to) < 0);
    },
    intervalOf,
    wholeIn({ from, to }) {
      const segments = all();
      const at = indexOf(from);
      const first = segments[at]?.from === from ? at : at + 1;
      if (to === undefined) return { first, end: segments.length };
      return { first, end: Math.max(first, indexOf(to)) };
    },
    add(segment, count, sum, sign) {
      segment.count += sign * count;
      sums.add(segment.slot, sum, sign);
    },
    addTo(sum, from, to) {
      const segments = all();
      for (let index = from; index < to; index++) {
        const { count, slot } = segments[index] as HeldSegment;
        sum.merge({ count, sum: sums.view(slot) });
      }
    },
    append: (from) => void all().push(hold({ from, count: 0, sum: NO_SUM })),
    replace(segment, others) {
      const held = others.map(hold);
      all().splice(indexOf(segment.from), 1, ...held);
      sums.release(segment.slot);
    },
    read: ({ from, count, slot }) => ({ from, count, sum: sums.bytes(slot) }),
    reset() {
      sums = createSumTable();
      loaded = undefined;
    },
  };
}
