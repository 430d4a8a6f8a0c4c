import { FINGERPRINT_BYTES } from "../../core/fingerprint.js";
import type { RangeTotal } from "../../core/range-sum.js";
import type { EpochState } from "./collection-state.js";
import type { BatchWritten, Write, WriteBatch, WriteOutcome } from "./write-batch.js";

/** Longest content that stands in columns, in bytes: what is longer costs more than its place among others. */
export const COLUMN_CONTENT_BYTES = 768;

/** Items as they came, without a value of its own for each: their bytes in one piece, with whatever is between them. */
export interface ItemColumns {
  readonly count: number;
  /** Of each item its id, which is of printable ASCII only, a zero byte, and its content: what its fingerprint is made of. */
  readonly bytes: Buffer;
  /** Where each item begins, and where it ends. */
  readonly starts: Uint32Array;
  readonly ends: Uint32Array;
  /** Bytes of each id. */
  readonly idBytes: Uint16Array;
  /** Bytes of all items together. */
  readonly itemBytes: number;
  /** Bytes of the longest content, at most COLUMN_CONTENT_BYTES. */
  readonly mostBytes: number;
  /** All contents are text, and UTF-8; else all are bytes. */
  readonly isText: boolean;
  /** The ids are in ascending order, each once. */
  readonly isAscending: boolean;
}

/** Changes that each make an item of which the client knows nothing: nothing expected, no group, nothing overridden. */
export interface Creations {
  /** Each id is there once. */
  readonly items: ItemColumns;
  /** 32 bytes each; have been checked. */
  readonly fingerprints: Buffer;
  /** What the fingerprints come to. */
  readonly total: RangeTotal;
  readonly timesUs: Float64Array;
  /** Revision that the client has seen. */
  readonly seen: number;
}

/** Id of the item at an index. */
export function idAt({ bytes, starts, idBytes }: ItemColumns, index: number): string {
  const start = starts[index] as number;
  return bytes.toString("latin1", start, start + (idBytes[index] as number));
}

/** Content of the item at an index; bytes are not copied. */
export function contentAt({ bytes, starts, ends, idBytes, isText }: ItemColumns, index: number): string | Buffer {
  const start = (starts[index] as number) + (idBytes[index] as number) + 1;
  const end = ends[index] as number;
  return isText ? bytes.toString("utf8", start, end) : bytes.subarray(start, end);
}

/** Bytes of the content of the item at an index. */
export function sizeAt({ starts, ends, idBytes }: ItemColumns, index: number): number {
  return (ends[index] as number) - (starts[index] as number) - (idBytes[index] as number) - 1;
}

/** By the batch itself: one that was made of another, with other writes, has none. */
const creationsByBatch = new WeakMap<WriteBatch, Creations>();

/** The writes of a batch as creations, where they came so. They are the same as its `writes`. */
export function creationsOf(batch: WriteBatch): Creations | undefined {
  return creationsByBatch.get(batch);
}

/** A batch of creations, whose writes are made one by one only for who asks for them. */
export function batchOfCreations(creations: Creations, uid: Uint8Array, nowUs: number): WriteBatch {
  let writes: readonly Write[] | undefined;
  const batch: WriteBatch = {
    uid,
    nowUs,
    get writes() {
      writes ??= Array.from({ length: creations.items.count }, (_, index) => writeAt(creations, index));
      return writes;
    },
  };
  creationsByBatch.set(batch, creations);
  return batch;
}

function writeAt({ items, fingerprints, timesUs, seen }: Creations, index: number): Write {
  const fingerprint = fingerprints.subarray(index * FINGERPRINT_BYTES, (index + 1) * FINGERPRINT_BYTES);
  return {
    id: idAt(items, index),
    upsert: { content: contentAt(items, index), fingerprint, size: sizeAt(items, index) },
    modifyTimeUs: timesUs[index] as number,
    expected: undefined,
    seen,
    fence: false,
    overrides: undefined,
    group: 0,
  };
}

/** Writes that were all made, of no group, each with a revision of its own. */
export interface AppliedRun {
  readonly count: number;
  /** Revision of the first; those of the others follow. */
  readonly first: number;
}

const runs = new WeakMap<BatchWritten, AppliedRun>();

/** What became of a batch, where all its writes were made and its store has said so in one. */
export function appliedRunOf(written: BatchWritten): AppliedRun | undefined {
  return runs.get(written);
}

/** What became of a batch whose writes were all made; the outcomes are made one by one only for who asks for them. */
export function writtenAll(count: number, revisionBefore: number, lineage: readonly EpochState[]): BatchWritten {
  const first = revisionBefore + 1;
  const applied = (index: number): WriteOutcome => ({ kind: "applied", revision: first + index, group: 0 });
  const written: BatchWritten = {
    get outcomes() {
      return Array.from({ length: count }, (_, index) => applied(index));
    },
    revisionBefore,
    revision: revisionBefore + count,
    lineage,
  };
  runs.set(written, { count, first });
  return written;
}
