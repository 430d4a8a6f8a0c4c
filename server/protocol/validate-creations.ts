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
  { items, fingerprints, timesUs }: PushColumns,
  batch: RangeFingerprint | undefined,
  rules: Pick<PushRules, "itemBytes" | "seen" | "nowUs" | "skewUs">,
): Creations | undefined {
  const { seen, itemBytes } = rules;
  if (seen === undefined || items.mostBytes > itemBytes || !hasEachOnce(items)) return undefined;
  const sum = createRangeSum();
  sum.addAll(fingerprints);
  const total = totalOf(sum);
  if (!sameTotal(batch, total)) return undefined;
  return { items, fingerprints, total, timesUs: clampTimes(timesUs, rules), seen };
}

function hasEachOnce(items: ItemColumns): boolean {
  if (items.isAscending) return true;
  const ids = new Set<string>();
  for (let index = 0; index < items.count; index++) ids.add(idAt(items, index));
  return ids.size === items.count;
}

/** Modify times as they count, each by itself. */
function clampTimes(timesUs: Float64Array, rules: Pick<PushRules, "nowUs" | "skewUs">): Float64Array {
  const clamped = new Float64Array(timesUs.length);
  let before = clampTime(0, rules);
  for (let index = 0; index < timesUs.length; index++) {
    const timeUs = timesUs[index] as number;
    if (timeUs > 0) before = clampTime(timeUs, rules);
    clamped[index] = before;
  }
  return clamped;
}
