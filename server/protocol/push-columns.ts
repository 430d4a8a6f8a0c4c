import { contentSize, fromContentField } from "../../core/content.js";
import { ITEM_OVERHEAD_BYTES } from "../../core/limits.js";
import { ChangeKind, ChangeStandard } from "../../gen/tercet/v1/item.js";
import type { Push, PushBatch } from "../../gen/tercet/v1/sync.js";
import { contentAt, type ItemColumns, idAt } from "../store/creations.js";

/** The pushes of a batch that say no more than id, content and, maybe, a modify time. */
export interface PushColumns {
  readonly items: ItemColumns;
  /** Computed of the items: 32 bytes each. */
  readonly fingerprints: Buffer;
  /** As they were sent: 0 is that of the push before. None is negative. */
  readonly timesUs: Float64Array;
}

/** What pushes have that name no upload. One for all: to make one is most of what a push would cost. */
export const NO_UPLOAD: Buffer = Buffer.alloc(0);

/** By the batch itself: one that was made of another, with other pushes, has none. */
const columnsByBatch = new WeakMap<PushBatch, PushColumns>();

/** The pushes of a batch as columns, where they were decoded so. They are the same as its `pushes`. */
export function pushColumnsOf(batch: PushBatch): PushColumns | undefined {
  return columnsByBatch.get(batch);
}

/** A batch of these pushes, which are made one by one only for who asks for them. */
export function batchOfColumns(columns: PushColumns, rest: Omit<PushBatch, "pushes">): PushBatch {
  let pushes: Push[] | undefined;
  const batch: PushBatch = {
    get pushes() {
      pushes ??= Array.from({ length: columns.items.count }, (_, index) => pushAt(columns, index));
      return pushes;
    },
    fingerprint: rest.fingerprint,
    revisionSeen: rest.revisionSeen,
  };
  columnsByBatch.set(batch, columns);
  return batch;
}

function pushAt({ items, timesUs }: PushColumns, index: number): Push {
  const content = contentAt(items, index);
  return {
    id: idAt(items, index),
    kind: ChangeKind.CHANGE_KIND_UPSERTED,
    content: typeof content === "string" ? { $case: "text", value: content } : { $case: "data", value: content },
    fingerprint: undefined,
    expected: undefined,
    revisionSeen: undefined,
    overrides: ChangeStandard.CHANGE_STANDARD_UNSPECIFIED,
    modifyTimeUs: timesUs[index] as number,
    group: 0,
    uploadId: NO_UPLOAD,
    fence: false,
  };
}

/** Number of pushes of a batch. */
export function pushCount(batch: PushBatch): number {
  return pushColumnsOf(batch)?.items.count ?? batch.pushes.length;
}

/** Bytes that a push batch counts in the window; the client counts the same. */
export function pushBatchBytes(batch: PushBatch): number {
  const columns = pushColumnsOf(batch);
  if (columns !== undefined) {
    const { count, itemBytes } = columns.items;
    // Without the zero byte of each.
    return itemBytes + count * (ITEM_OVERHEAD_BYTES - 1);
  }
  let bytes = 0;
  for (const push of batch.pushes) {
    const content = fromContentField(push.content);
    bytes += ITEM_OVERHEAD_BYTES + push.id.length + (content === undefined ? 0 : contentSize(content));
  }
  return bytes;
}
