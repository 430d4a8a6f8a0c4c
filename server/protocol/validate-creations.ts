import { hash } from "node:crypto";
import { FINGERPRINT_BYTES } from "../../core/fingerprint.js";
import { createRangeSum, sameTotal, totalOf } from "../../core/range-sum.js";
import type { RangeFingerprint } from "../../gen/tercet/v1/item.js";
import { type Creations, type ItemColumns, idAt } from "../store/creations.js";
import type { PushColumns } from "./push-columns.js";
import { clampTime, type PushRules } from "./validate-push.js";

/**
 * Checks pushes that came as columns. Where all of them are in order, they are answered as creations: what `validatePushes`
 * makes of them. Else undefined: it is for that to say what is wrong with which.
 */
export function validateCreations(
  { items, timesUs }: PushColumns,
  batch: RangeFingerprint | undefined,
  rules: Pick<PushRules, "itemBytes" | "seen" | "nowUs" | "skewUs">,
): Creations | undefined {
  const { seen, itemBytes } = rules;
  if (seen === undefined || items.mostBytes > itemBytes || !hasEachOnce(items)) return undefined;
  const fingerprints = fingerprintsOf(items);
  const sum = createRangeSum();
  sum.addAll(fingerprints);
  const total = totalOf(sum);
  if (!sameTotal(batch, total)) return undefined;
  return { items, fingerprints, total, timesUs: clampTimes(timesUs, rules), seen };
}

/** The bytes of an item in columns are those that its fingerprint is made of (core/fingerprint.ts). */
function fingerprintsOf({ count, bytes, starts }: ItemColumns): Buffer {
  const fingerprints = Buffer.allocUnsafe(count * FINGERPRINT_BYTES);
  for (let index = 0; index < count; index++) {
    const print = hash("sha256", bytes.subarray(starts[index], starts[index + 1]), "binary");
    fingerprints.write(print, index * FINGERPRINT_BYTES, "latin1");
  }
  return fingerprints;
}

function hasEachOnce(items: ItemColumns): boolean {
  if (items.isAscending) return true;
  const ids = new Set<string>();
  for (let index = 0; index < items.count; index++) ids.add(idAt(items, index));
  return ids.size === items.count;
}

/** Modify times as they count, each by itself. */
function clampTimes(timesUs: Float64Array, rules: Pick<PushRules, "nowUs" | "skewUs">): Float64Array {
  let before = 0;
  return timesUs.map((timeUs) => {
    if (timeUs > 0) before = timeUs;
    return clampTime(before, rules);
  });
}
