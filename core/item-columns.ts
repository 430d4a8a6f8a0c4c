import type { RangeFingerprint } from "../gen/tercet/v1/item.js";
import type { Content } from "./content.js";
import { FINGERPRINT_BYTES, fingerprintsOf } from "./fingerprint.js";
import type { Change } from "./page.js";
import { createRangeSum, type RangeTotal, sameTotal, totalOf } from "./range-sum.js";

/*
 * Items in columns: those of a page of change info where each has its content with it and nothing else, which is a first
 * pull. To make an object of each, and strings of its id and content, would be most of what it costs to take one.
 */

/** Changes that put an item, each with its id and content. */
export interface ItemColumns {
  readonly count: number;
  /** Of each item its id in UTF-8, a zero byte, its content and one more zero byte. Between items are zero bytes only. */
  readonly bytes: Buffer;
  /** In `bytes`: where an item begins, where its id ends, and where its content ends. */
  readonly starts: readonly number[];
  readonly idEnds: readonly number[];
  readonly ends: readonly number[];
  /** The contents are text, in valid UTF-8; else bytes. */
  readonly isText: boolean;
  readonly revisions: readonly number[];
  /** Modify times in microseconds, and the latest of them. */
  readonly timesUs: readonly number[];
  readonly latestUs: number;
  /** Bytes of the largest content. */
  readonly largest: number;
}

/** The same, with what proves them. */
export interface ProvedColumns extends ItemColumns {
  /** Fingerprints, 32 bytes each, one behind the other. */
  readonly fingerprints: Buffer;
  /** What they come to. */
  readonly total: RangeTotal;
}

/** Computes the fingerprints; undefined where they are not what was told of them. */
export function proveColumns(columns: ItemColumns, told: RangeFingerprint | undefined): ProvedColumns | undefined {
  const fingerprints = fingerprintsOf(columns.bytes, columns.starts, columns.ends);
  const sum = createRangeSum();
  sum.addAll(fingerprints);
  const total = totalOf(sum);
  return sameTotal(told, total) ? { ...columns, fingerprints, total } : undefined;
}

/** The id of an item. */
export function idAt({ bytes, starts, idEnds }: ItemColumns, index: number): string {
  return bytes.toString("utf8", starts[index], idEnds[index]);
}

/** The fingerprint of an item. The bytes are not copied. */
export function fingerprintAt({ fingerprints }: ProvedColumns, index: number): Buffer {
  return fingerprints.subarray(index * FINGERPRINT_BYTES, (index + 1) * FINGERPRINT_BYTES);
}

/** An item as a change by itself. */
export function changeAt(columns: ProvedColumns, index: number): Change {
  const content = contentAt(columns, index);
  return {
    id: idAt(columns, index),
    revision: columns.revisions[index] as number,
    fingerprint: fingerprintAt(columns, index),
    size: (columns.ends[index] as number) - (columns.idEnds[index] as number) - 1,
    modifyTimeUs: columns.timesUs[index] as number,
    group: 0,
    content,
  };
}

function contentAt({ bytes, idEnds, ends, isText }: ItemColumns, index: number): Content {
  const from = (idEnds[index] as number) + 1;
  return isText ? bytes.toString("utf8", from, ends[index]) : bytes.subarray(from, ends[index]);
}

/** Whether each id is greater than the one before it, by their bytes: then none comes twice either. */
export function isAscending({ count, bytes, starts, idEnds }: ItemColumns): boolean {
  for (let index = 1; index < count; index++) {
    let before = starts[index - 1] as number;
    let at = starts[index] as number;
    const end = idEnds[index] as number;
    // Both end in a zero byte, which no id has: the shorter of two that are alike so far is the lesser.
    while (at < end && bytes[before] === bytes[at]) {
      before += 1;
      at += 1;
    }
    if (at >= end || (bytes[before] as number) >= (bytes[at] as number)) return false;
  }
  return true;
}
