import { createHash } from "node:crypto";
import type { Content } from "../../core/content.js";
import { fingerprintOf, sameFingerprint } from "../../core/fingerprint.js";
import { createRangeSum, type RangeTotal, totalOf } from "../../core/range-sum.js";
import { MAX_DAMAGED, type ReplicaDamage } from "./damage.js";

/** All of an id that an audit looks at. */
export interface AuditRow {
  readonly id: string;
  /** The item; undefined where there is none. */
  readonly item:
    | {
        readonly content: Content | undefined;
        /** In place of the content: a large one, piece by piece. */
        readonly pieces?: Iterable<Uint8Array>;
        readonly fingerprint: Uint8Array;
      }
    | undefined;
  /** The pending change: fingerprints of mine and base, undefined for nothing. Undefined for a clean item. */
  readonly pending: { readonly fingerprint: Uint8Array | undefined; readonly base: Uint8Array | undefined } | undefined;
}

/**
 * Compares what a replica has with what it says of it. The contents are hashed anew; nothing kept is believed. `ranges`:
 * whether the sums of ranges were found right.
 */
export function auditRows(rows: Iterable<AuditRow>, kept: RangeTotal, ranges: boolean): ReplicaDamage | undefined {
  const sum = createRangeSum();
  const damaged: string[] = [];
  let damagedCount = 0;
  for (const { id, item, pending } of rows) {
    const base = pending === undefined ? item?.fingerprint : pending.base;
    if (base !== undefined) sum.add(base);
    const actual = item && actualFingerprint(id, item);
    const whole =
      sameFingerprint(actual, item?.fingerprint) &&
      (pending === undefined || sameFingerprint(actual, pending.fingerprint));
    if (whole) continue;
    damagedCount += 1;
    if (damaged.length < MAX_DAMAGED) damaged.push(id);
  }
  const total = totalOf(sum);
  const right = total.count === kept.count && sameFingerprint(total.sum, kept.sum);
  if (right && ranges && damagedCount === 0) return undefined;
  return { damaged, damagedCount, total: right ? undefined : total, ranges };
}

function actualFingerprint(id: string, { content, pieces }: NonNullable<AuditRow["item"]>): Uint8Array {
  if (content !== undefined) return fingerprintOf(id, content);
  const hash = createHash("sha256").update(id).update("\0");
  for (const piece of pieces ?? []) hash.update(piece);
  return hash.digest();
}
