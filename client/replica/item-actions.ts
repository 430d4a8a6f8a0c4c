import { changeAt, type ProvedColumns } from "../../core/item-columns.js";
import type { Action } from "./store.js";

/** What taking items in columns comes to, item by item. */
export function toActions(items: ProvedColumns): Action[] {
  return Array.from({ length: items.count }, (_, index): Action => {
    const { id, fingerprint, content, revision, modifyTimeUs } = changeAt(items, index);
    const upsert = { content, fingerprint: fingerprint as Uint8Array };
    return { kind: "take", id, sequence: 0, upsert, revision, modifyTimeUs, conflict: undefined, onlyNew: true };
  });
}

/** All that a batch does, item by item. */
export function allActions(actions: readonly Action[], items: ProvedColumns | undefined): readonly Action[] {
  return items === undefined ? actions : [...toActions(items), ...actions];
}
