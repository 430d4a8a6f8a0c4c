import { toContentField } from "../../core/content.js";
import { toFingerprint } from "../../core/fingerprint.js";
import { ITEM_OVERHEAD_BYTES } from "../../core/limits.js";
import { createRangeSum, toRangeFingerprint, totalOf } from "../../core/range-sum.js";
import { ChangeKind, ChangeStandard } from "../../gen/tercet/v1/item.js";
import type { Push, PushBatch } from "../../gen/tercet/v1/sync.js";
import type { OutgoingChange } from "../replica/store.js";

/**
 * Changes as a batch to push. `seen` is the revision of the last checkpoint taken (undefined: what the token in Open
 * spoke of); a change whose base is later than `known` has seen that. The batch's range fingerprint stands for those of
 * its contents.
 */
export function toPushBatch(changes: readonly OutgoingChange[], seen: number | undefined, known: number): PushBatch {
  const sum = createRangeSum();
  let modifyTimeUs = 0;
  let group = 0;
  let lastKey = 0;
  const pushes = changes.map((change): Push => {
    if (change.upsert !== undefined) sum.add(change.upsert.fingerprint);
    if (change.group !== 0 && change.group !== lastKey) group += 1;
    lastKey = change.group;
    const sameTime = change.modifyTimeUs === modifyTimeUs;
    modifyTimeUs = change.modifyTimeUs;
    return {
      id: change.id,
      kind: change.upsert === undefined ? ChangeKind.CHANGE_KIND_DELETED : ChangeKind.CHANGE_KIND_UPSERTED,
      content: change.upsert === undefined ? undefined : toContentField(change.upsert.content),
      fingerprint: undefined,
      expected: change.base?.fingerprint === undefined ? undefined : toFingerprint(change.base.fingerprint),
      revisionSeen: change.base !== undefined && change.base.revision > known ? change.base.revision : undefined,
      overrides: change.overrides ?? ChangeStandard.CHANGE_STANDARD_UNSPECIFIED,
      modifyTimeUs: sameTime ? 0 : change.modifyTimeUs,
      group: change.group === 0 ? 0 : group,
      uploadId: Buffer.alloc(0),
      fence: change.resent,
    };
  });
  const fingerprint = sum.count === 0 ? undefined : toRangeFingerprint(totalOf(sum));
  return { pushes, fingerprint, revisionSeen: seen };
}

/** What a change counts in the window. */
export function changeBytes(change: OutgoingChange): number {
  return ITEM_OVERHEAD_BYTES + change.id.length + (change.upsert?.size ?? 0);
}

/** A push on its way. */
export interface Sending {
  readonly id: string;
  readonly sequence: number;
  /** Undefined for a deletion. */
  readonly fingerprint: Uint8Array | undefined;
  readonly bytes: number;
  /** In which round trip it was sent. */
  readonly trip: number;
  /** It was sent before in this exchange, and is sent again on a new base. */
  readonly again: boolean;
  /** It had unsettled sendings of earlier streams. */
  readonly resent: boolean;
}

/** Pushes without a verdict, by ordinal. */
export interface SendingWindow {
  readonly bytes: number;
  readonly items: number;
  add(sending: Sending): void;
  /** Takes the oldest `count` out, which begin with `ordinal`; undefined where that is not what comes next. */
  take(ordinal: number, count: number): readonly Sending[] | undefined;
  /** A comparison has settled this pending change; if its push is on its way, the verdict on it has nothing to add. */
  agree(sequence: number): void;
  /** On its way, for the first time ever: what is told of its item now was there before it. */
  isFirst(sequence: number): boolean;
  /** Whether a comparison had settled the change of a push whose verdict has come. Answers once. */
  agreed(sequence: number): boolean;
}

/** Nothing on its way. */
export function createSendingWindow(): SendingWindow {
  /** Sequence numbers, and whether it is the first sending. */
  const onTheirWay = new Map<number, boolean>();
  const agreed = new Set<number>();
  let sendings: Sending[] = [];
  let head = 0;
  let firstOrdinal = 0;
  let bytes = 0;
  return {
    get bytes() {
      return bytes;
    },
    get items() {
      return sendings.length - head;
    },
    add(sending) {
      sendings.push(sending);
      onTheirWay.set(sending.sequence, !sending.resent);
      bytes += sending.bytes;
    },
    take(ordinal, count) {
      if (ordinal !== firstOrdinal || count < 1 || count > sendings.length - head) return undefined;
      const taken = sendings.slice(head, head + count);
      head += count;
      firstOrdinal += count;
      for (const sending of taken) {
        bytes -= sending.bytes;
        onTheirWay.delete(sending.sequence);
      }
      if (head > 4096 && head * 2 > sendings.length) {
        sendings = sendings.slice(head);
        head = 0;
      }
      return taken;
    },
    agree(sequence) {
      if (onTheirWay.has(sequence)) agreed.add(sequence);
    },
    isFirst: (sequence) => onTheirWay.get(sequence) === true,
    agreed: (sequence) => agreed.delete(sequence),
  };
}
