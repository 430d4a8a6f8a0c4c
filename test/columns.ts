import { fingerprintOf } from "../core/fingerprint.js";
import { type ProvedColumns, proveColumns } from "../core/item-columns.js";
import type { Change } from "../core/page.js";
import { createRangeSum, toRangeFingerprint, totalOf } from "../core/range-sum.js";

const ZERO = Buffer.alloc(1);

/** Columns of changes that put items, where the contents of all are at hand and of the same kind; else undefined. */
export function toColumns(
  changes: readonly Pick<Change, "id" | "content" | "revision" | "modifyTimeUs">[],
): ProvedColumns | undefined {
  const isText = typeof changes[0]?.content === "string";
  const sum = createRangeSum();
  const parts: Buffer[] = [];
  const starts: number[] = [];
  const idEnds: number[] = [];
  const ends: number[] = [];
  let at = 0;
  for (const { id, content } of changes) {
    if (content === undefined || (typeof content === "string") !== isText) return undefined;
    const idBytes = Buffer.from(id);
    const contentBytes = Buffer.from(content as string);
    sum.add(fingerprintOf(id, content));
    starts.push(at);
    idEnds.push(at + idBytes.length);
    at += idBytes.length + 1 + contentBytes.length;
    ends.push(at++);
    parts.push(idBytes, ZERO, contentBytes, ZERO);
  }
  const revisions = changes.map(({ revision }) => revision);
  const timesUs = changes.map(({ modifyTimeUs }) => modifyTimeUs);
  const bytes = Buffer.concat(parts);
  const latestUs = Math.max(...timesUs);
  const largest = Math.max(...ends.map((end, index) => end - (idEnds[index] as number) - 1));
  const texts = { bytes, starts, idEnds, ends, isText, largest };
  const columns = { count: changes.length, ...texts, revisions, timesUs, latestUs };
  return changes.length === 0 ? undefined : proveColumns(columns, toRangeFingerprint(totalOf(sum)));
}
