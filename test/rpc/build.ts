import { fingerprintOf, toFingerprint } from "../../core/fingerprint.js";
import { createRangeSum, toRangeFingerprint, totalOf } from "../../core/range-sum.js";
import { ChangeKind, type Fingerprint, type RangeFingerprint } from "../../gen/tercet/v1/item.js";
import type { Precondition } from "../../gen/tercet/v1/item_service.js";
import { Push, type PushBatch } from "../../gen/tercet/v1/sync.js";

/** A content as its oneof. */
export function contentOf(content: string | Buffer) {
  return typeof content === "string"
    ? ({ $case: "text", value: content } as const)
    : ({ $case: "data", value: content } as const);
}

/** The fingerprint of an item. */
export function printOf(id: string, content: string | Buffer): Fingerprint {
  return toFingerprint(fingerprintOf(id, content));
}

/** The range fingerprint of items, by ids and contents. */
export function sumOf(items: Readonly<Record<string, string | Buffer>>): RangeFingerprint {
  const sum = createRangeSum();
  for (const [id, content] of Object.entries(items)) sum.add(fingerprintOf(id, content));
  return toRangeFingerprint(totalOf(sum));
}

/** An upsert with its fingerprint. */
export function upsert(id: string, content: string | Buffer, more: Partial<Push> = {}): Push {
  const push = Push.create({ id, kind: ChangeKind.CHANGE_KIND_UPSERTED });
  return { ...push, content: contentOf(content), fingerprint: printOf(id, content), ...more };
}

/** A deletion of an item that has this content. */
export function deletion(id: string, content: string | Buffer, more: Partial<Push> = {}): Push {
  return { ...Push.create({ id, kind: ChangeKind.CHANGE_KIND_DELETED }), expected: printOf(id, content), ...more };
}

/** A batch of pushes whose maker has seen everything up to this revision. */
export function batch(pushes: Push[], revisionSeen = 0): { $case: "push"; value: PushBatch } {
  return { $case: "push", value: { pushes, fingerprint: undefined, revisionSeen } };
}

/** Preconditions. */
export const absent: Precondition = { state: { $case: "absent", value: true } };
/** Whatever is there. */
export const any: Precondition = { state: { $case: "any", value: true } };
/** The item has this content. */
export function has(id: string, content: string, revisionSeen?: number): Precondition {
  return { state: { $case: "fingerprint", value: printOf(id, content) }, revisionSeen };
}
