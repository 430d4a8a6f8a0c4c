import { asBuffer, toContentField } from "../../core/content.js";
import { fingerprintOf, sameFingerprint, toFingerprint } from "../../core/fingerprint.js";
import { ITEM_OVERHEAD_BYTES } from "../../core/limits.js";
import { createRangeSum, toRangeFingerprint, totalOf } from "../../core/range-sum.js";
import { ChangeKind, ChangeStandard } from "../../gen/tercet/v1/item.js";
import type { Push, PushBatch } from "../../gen/tercet/v1/sync.js";
import type { OutgoingChange } from "../replica/outgoing-batch.js";
import { type CreationRun, changesOf, startOf } from "../replica/outgoing-columns.js";

const NO_UPLOAD = Buffer.alloc(0);

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
    const upload = change.upsert?.upload;
    const covered = wholeVersion(change);
    if (covered !== undefined) sum.add(covered.fingerprint);
    if (change.group !== 0 && change.group !== lastKey) group += 1;
    lastKey = change.group;
    const sameTime = change.modifyTimeUs === modifyTimeUs;
    modifyTimeUs = change.modifyTimeUs;
    return {
      id: change.id,
      kind: change.upsert === undefined ? ChangeKind.CHANGE_KIND_DELETED : ChangeKind.CHANGE_KIND_UPSERTED,
      content: change.upsert?.content === undefined ? undefined : toContentField(change.upsert.content),
      fingerprint:
        change.upsert === undefined || covered !== undefined ? undefined : toFingerprint(change.upsert.fingerprint),
      expected: change.base?.fingerprint === undefined ? undefined : toFingerprint(change.base.fingerprint),
      revisionSeen: seenOf(change, known),
      overrides: change.overrides ?? ChangeStandard.CHANGE_STANDARD_UNSPECIFIED,
      modifyTimeUs: sameTime ? 0 : change.modifyTimeUs,
      group: change.group === 0 ? 0 : group,
      uploadId: upload === undefined ? NO_UPLOAD : asBuffer(upload.id),
      fence: change.resent,
    };
  });
  const fingerprint = sum.count === 0 ? undefined : toRangeFingerprint(totalOf(sum));
  return { pushes, fingerprint, revisionSeen: seen };
}

/**
 * The revision that a change has seen, where it is not that of its batch. One that was sent before may have been made and
 * undone since, and a recovery finds nothing of that: it goes by fingerprints. So it stands on its base, and on nothing later.
 */
function seenOf({ base, resent }: OutgoingChange, known: number): number | undefined {
  return base !== undefined && (resent || base.revision > known) ? base.revision : undefined;
}

/**
 * The version of a change if its content is here and what its fingerprint says. One that was damaged in the replica goes with
 * its fingerprint, and is rejected by itself: it must not spoil its batch's.
 */
function wholeVersion({ id, upsert }: OutgoingChange): OutgoingChange["upsert"] {
  if (upsert?.content === undefined) return undefined;
  return sameFingerprint(fingerprintOf(id, upsert.content), upsert.fingerprint) ? upsert : undefined;
}

/** What a change counts in the window; the chunks of a large one count by themselves. */
export function changeBytes({ id, upsert }: OutgoingChange): number {
  return ITEM_OVERHEAD_BYTES + id.length + (upsert === undefined || upsert.upload !== undefined ? 0 : upsert.size);
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
  /** Of a large content: the upload, in hex. */
  readonly upload?: string;
  /** Its content was not held against its fingerprint before it was sent. */
  readonly unchecked?: true;
}

/** New items on their way, for the first time ever, in one message. */
export interface SendingRun extends CreationRun {
  readonly trip: number;
}

/** Whether these are new items in a row, and not one push. */
export function isRun(sending: Sending | SendingRun): sending is SendingRun {
  return "columns" in sending;
}

/** New items on their way one by one. */
export function sendingsOf({ trip, ...run }: SendingRun): Sending[] {
  return changesOf(run).map((change): Sending => {
    const { id, sequence, upsert } = change;
    const common = { id, sequence, fingerprint: upsert?.fingerprint, trip, again: false, resent: false };
    return { ...common, unchecked: true, bytes: ITEM_OVERHEAD_BYTES + Buffer.byteLength(id) + (upsert?.size ?? 0) };
  });
}

/** What new items count in the window. */
export function runBytes({ columns, from, to }: CreationRun): number {
  // The byte between id and content is none of theirs.
  return startOf(columns, to) - startOf(columns, from) + (to - from) * (ITEM_OVERHEAD_BYTES - 1);
}

/** Pushes without a verdict, by ordinal. */
export interface SendingWindow {
  /** Chunks included. */
  readonly bytes: number;
  readonly items: number;
  /** Chunks of an upload are on their way, of so many bytes, until its push has its verdict. */
  setChunks(upload: string, bytes: number): void;
  add(sending: Sending): void;
  addRun(run: SendingRun): void;
  /** Takes the oldest `count` out, which begin with `ordinal`; undefined where that is not what comes next. */
  take(ordinal: number, count: number): readonly (Sending | SendingRun)[] | undefined;
  /** A comparison has settled this pending change; if its push is on its way, the verdict on it has nothing to add. */
  agree(sequence: number): void;
  /** A push of this pending change is on its way. */
  has(sequence: number): boolean;
  /** On its way, for the first time ever: what is told of its item now was there before it. */
  isFirst(sequence: number): boolean;
  /**
   * The item's pending change has given way to its base, though the server told nothing of the item: if a push of it is on
   * its way and is made, the replica has to hear of it like of somebody else's change.
   */
  displace(id: string): void;
  /** Whether that was so for a push whose verdict has come. Answers once for each. */
  displaced(sending: Sending): boolean;
  /** Whether a comparison had settled the change of a push whose verdict has come. Answers once. */
  agreed(sequence: number): boolean;
  /** Whether that may be so for any. */
  readonly anyAgreed: boolean;
}

/** Nothing on its way. */
export function createSendingWindow(): SendingWindow {
  /** Sequence numbers, and whether it is the first sending. */
  const onTheirWay = new Map<number, boolean>();
  const agreed = new Set<number>();
  const displaced = new Set<Sending>();
  let sendings: (Sending | SendingRun)[] = [];
  let head = 0;
  /** Those of them that are runs. */
  let runs: SendingRun[] = [];
  let items = 0;
  let firstOrdinal = 0;
  let bytes = 0;
  const chunks = new Map<string, number>();
  function setChunks(upload: string, count: number): void {
    bytes += count - (chunks.get(upload) ?? 0);
    if (count === 0) chunks.delete(upload);
    else chunks.set(upload, count);
  }

  function inRun(sequence: number): boolean {
    return runs.some(({ columns, from, to }) => {
      return sequence >= columns.firstSequence + from && sequence < columns.firstSequence + to;
    });
  }

  /** Takes the first of what is on its way out, at most so many of a run. */
  function takeFirst(most: number): Sending | SendingRun {
    const first = sendings[head] as Sending | SendingRun;
    if (!isRun(first)) {
      head += 1;
      bytes -= first.bytes;
      if (first.upload !== undefined) setChunks(first.upload, 0);
      onTheirWay.delete(first.sequence);
      return first;
    }
    const to = Math.min(first.to, first.from + most);
    const part = { ...first, to };
    bytes -= runBytes(part);
    if (to === first.to) {
      head += 1;
      runs.shift();
    } else {
      const rest = { ...first, from: to };
      sendings[head] = rest;
      runs[0] = rest;
    }
    return part;
  }

  /** What is on its way, one by one. */
  function single(): readonly Sending[] {
    const all = sendings.slice(head).flatMap((sending) => (isRun(sending) ? sendingsOf(sending) : [sending]));
    sendings = all;
    head = 0;
    runs = [];
    for (const { sequence, resent } of all) onTheirWay.set(sequence, !resent);
    return all;
  }

  return {
    setChunks,
    get bytes() {
      return bytes;
    },
    get items() {
      return items;
    },
    add(sending) {
      sendings.push(sending);
      items += 1;
      onTheirWay.set(sending.sequence, !sending.resent);
      bytes += sending.bytes;
    },
    addRun(run) {
      sendings.push(run);
      runs.push(run);
      items += run.to - run.from;
      bytes += runBytes(run);
    },
    take(ordinal, count) {
      if (ordinal !== firstOrdinal || count < 1 || count > items) return undefined;
      const taken: (Sending | SendingRun)[] = [];
      for (let left = count; left > 0; ) {
        const part = takeFirst(left);
        taken.push(part);
        left -= isRun(part) ? part.to - part.from : 1;
      }
      items -= count;
      firstOrdinal += count;
      // Live, mostly nothing is on its way, and nothing is to be kept of what was: a run has its contents with it.
      if (head === sendings.length || (head > 16 && head * 2 > sendings.length)) {
        sendings = sendings.slice(head);
        head = 0;
      }
      return taken;
    },
    agree(sequence) {
      if (onTheirWay.has(sequence) || inRun(sequence)) agreed.add(sequence);
    },
    displace(id) {
      for (const sending of single()) if (sending.id === id) displaced.add(sending);
    },
    displaced: (sending) => displaced.delete(sending),
    has: (sequence) => onTheirWay.has(sequence) || inRun(sequence),
    isFirst: (sequence) => onTheirWay.get(sequence) === true || inRun(sequence),
    agreed: (sequence) => agreed.delete(sequence),
    get anyAgreed() {
      return agreed.size > 0;
    },
  };
}
