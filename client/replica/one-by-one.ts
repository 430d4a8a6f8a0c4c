import { changeAt, type ProvedColumns } from "../../core/item-columns.js";
import type { Action } from "./action.js";
import type { ApplyBatch } from "./apply-batch.js";
import { type SettledRun, settlesOf } from "./outgoing-columns.js";

/** What taking items in columns comes to, item by item. */
export function toActions(items: ProvedColumns): Action[] {
  return Array.from({ length: items.count }, (_, index): Action => {
    const { id, fingerprint, content, revision, modifyTimeUs } = changeAt(items, index);
    const upsert = { content, fingerprint: fingerprint as Uint8Array };
    return { kind: "take", id, sequence: 0, upsert, revision, modifyTimeUs, conflict: undefined, onlyNew: true };
  });
}

/**
 * The same batch with all that it has in columns and runs as actions, in the order in which a replica does them; but for
 * these of its runs.
 */
export function oneByOne(batch: ApplyBatch, whole: readonly SettledRun[] = []): ApplyBatch {
  const { items, settled, ...rest } = batch;
  if (items === undefined && settled === undefined) return batch;
  const taken = items === undefined ? [] : toActions(items);
  const runs = (settled ?? []).filter((run) => !whole.includes(run));
  const actions = [...taken, ...runs.flatMap(settlesOf), ...batch.actions];
  return { ...rest, ...(whole.length === 0 ? {} : { settled: whole }), actions };
}
