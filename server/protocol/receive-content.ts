import type { Checkpoint } from "../../gen/tercet/v1/item.js";
import { Capability, type Push, type PushBatch } from "../../gen/tercet/v1/sync.js";
import { type AppliedRun, appliedRunOf, batchOfCreations } from "../store/creations.js";
import type { StoredChange } from "../store/item-reads.js";
import type { BatchWritten, WriteBatch } from "../store/write-batch.js";
import type { CheckedUploads, UploadChecker } from "./check-uploads.js";
import { type Conversation, deletedFault } from "./conversation.js";
import { pushColumnsOf, pushCount } from "./push-columns.js";
import type { ChangeFeed } from "./send-change-info.js";
import { validateCreations } from "./validate-creations.js";
import { type ValidatedPush, validatePushes } from "./validate-push.js";
import { appliedVerdict, cutVerdicts, mergeResults, type PushResult, toVerdicts } from "./verdict.js";

/** Step 3 towards the server: receives pushes and gives verdicts. */
export interface ContentReceiver {
  /** Validates and commits batches, in one transaction where the storage can, and gives their verdicts. */
  push(batches: readonly QueuedBatch[]): void;
  /** The token was refused: every push gets the verdict 'compare first'. */
  refuse(queued: QueuedBatch): void;
}

/**
 * Batches that lie unread are committed together until they have so many bytes, which is two of the usual messages or many
 * small ones: one fsync for all. More would be no faster, and everybody else would wait for longer (it is about 5 ms here).
 */
export const COMMIT_BYTES = 128 * 1024;

/** A batch that was received, and what it counts in the window. */
export interface QueuedBatch {
  readonly batch: PushBatch;
  readonly bytes: number;
}

interface Received extends QueuedBatch {
  readonly first: number;
  /** Undefined where all of it is to be written. */
  readonly validated: readonly (ValidatedPush | { readonly compareFirst: true })[] | undefined;
  /** What there is to write. */
  readonly writes: WriteBatch | undefined;
}

/** The receiver of a conversation; `uploadChecker` makes what few need, and `seenAtOpen` is what pushes have seen that do not say. */
export function createContentReceiver(
  conversation: Conversation,
  feed: ChangeFeed,
  uploadChecker: () => UploadChecker,
  seenAtOpen: () => number | undefined,
): ContentReceiver {
  let ordinal = 0;

  function number(batch: PushBatch): number {
    const first = ordinal;
    ordinal += pushCount(batch);
    return first;
  }

  function validate({ batch, bytes }: QueuedBatch, uploads: CheckedUploads | undefined): Received {
    const { uid, limits, nowUs, skewUs } = conversation;
    const { itemBytes, groupItems, groupBytes } = limits;
    const seen = batch.revisionSeen ?? seenAtOpen();
    const rules = { itemBytes, groupItems, groupBytes, seen, nowUs, skewUs, uploads };
    const first = number(batch);
    const columns = pushColumnsOf(batch);
    const creations = columns && validateCreations(columns, batch.fingerprint, rules);
    if (creations !== undefined) {
      return { batch, bytes, first, validated: undefined, writes: batchOfCreations(creations, uid, nowUs) };
    }
    const validated = compareFirst(batch.pushes, validatePushes(batch.pushes, batch.fingerprint, rules));
    const writes = validated.flatMap((each) => ("write" in each ? [each.write] : []));
    return { batch, bytes, first, validated, writes: writes.length === 0 ? undefined : { uid, nowUs, writes } };
  }

  function push(batches: readonly QueuedBatch[]): void {
    if (!conversation.capabilities.includes(Capability.CAPABILITY_CHUNKS)) return pushChecked(batches, undefined);
    // Pushes that came as columns name no uploads, and nearly all others neither.
    const pushes = batches.flatMap(({ batch }) => (pushColumnsOf(batch) === undefined ? batch.pushes : []));
    const uploading = pushes.filter(({ uploadId }) => uploadId.length > 0);
    if (uploading.length === 0) return pushChecked(batches, NO_UPLOADS);
    uploadChecker()(uploading, (uploads) => pushChecked(batches, uploads));
  }

  function pushChecked(batches: readonly QueuedBatch[], uploads: CheckedUploads | undefined): void {
    const received = batches.map((queued) => validate(queued, uploads));
    const writes = received.flatMap((each) => (each.writes === undefined ? [] : [each.writes]));
    if (writes.length === 0) return answerAll(received, []);
    conversation.ask({ kind: "write", batches: writes }, (result) => {
      if (result.kind === "write") answerAll(received, result.written);
    });
  }

  /** Gives the verdicts of each batch in turn. */
  function answerAll(received: readonly Received[], written: readonly (BatchWritten | undefined)[]): void {
    const [current, ...rest] = received;
    if (current === undefined) return;
    const [outcome, ...others] = current.writes === undefined ? [undefined, ...written] : written;
    if (current.writes !== undefined && outcome === undefined) {
      return conversation.close(deletedFault(conversation.name));
    }
    const checkpoint = outcome === undefined ? undefined : feed.written(outcome);
    const run = outcome && current.validated === undefined ? appliedRunOf(outcome) : undefined;
    if (run !== undefined) {
      verdicts(current, run, outcome?.revision ?? 0, checkpoint);
      return answerAll(rest, others);
    }
    const results = mergeResults(current.validated ?? current.batch.pushes.map(ALL_WRITTEN), outcome);
    completeConflicts(results, (complete) => {
      verdicts(current, complete, outcome?.revision ?? 0, checkpoint);
      answerAll(rest, others);
    });
  }

  /** Reads the small contents of conflicts that the change feed will not bring any more. */
  function completeConflicts(results: PushResult[], then: (results: readonly PushResult[]) => void): void {
    const ids = results.flatMap((result) =>
      result.kind === "conflict" && isToldNoMore(result.current) ? [result.current.id] : [],
    );
    if (ids.length === 0) return then(results);
    const { uid, limits } = conversation;
    conversation.ask({ kind: "read-items", query: { uid, ids, maxBytes: limits.messageBytes } }, (result) => {
      if (result.kind !== "read-items") return;
      if (result.read === undefined) return conversation.close(deletedFault(conversation.name));
      const found = result.read.items.flatMap((item) => (item === undefined ? [] : [[item.id, item] as const]));
      const latest = new Map(found);
      const complete = results.map((each): PushResult => {
        const current = each.kind === "conflict" ? latest.get(each.current.id) : undefined;
        return current === undefined ? each : { kind: "conflict", current };
      });
      then(complete);
    });
  }

  function isToldNoMore(current: StoredChange): boolean {
    return current.fingerprint !== undefined && current.size <= conversation.limits.inlineBytes && feed.passed(current);
  }

  /** Gives the verdicts of a batch; `latest` is the latest revision that they may speak of. */
  function verdicts(
    { batch, bytes, first }: Pick<Received, "batch" | "bytes" | "first">,
    results: readonly PushResult[] | AppliedRun,
    latest: number,
    checkpoint?: Checkpoint,
  ): void {
    conversation.unanswered.bytes -= bytes;
    conversation.unanswered.items -= pushCount(batch);
    const all = "count" in results ? [appliedVerdict(results, first)] : toVerdicts(results, first);
    const messages = cutVerdicts(all, conversation.limits.messageBytes);
    messages.forEach((each, index) => {
      const isLast = index === messages.length - 1;
      const witness = isLast && checkpoint === undefined && latest > 0 ? feed.witness(latest) : undefined;
      const value = { verdicts: each, checkpoint: isLast ? checkpoint : undefined, witness };
      conversation.send({ $case: "verdicts", value });
    });
  }

  return {
    push,
    refuse({ batch, bytes }) {
      const results = batch.pushes.map((): PushResult => ({ kind: "compare-first" }));
      verdicts({ batch, bytes, first: number(batch) }, results, 0);
    },
  };
}

const NO_UPLOADS: CheckedUploads = new Map();

const ALL_WRITTEN = (): { readonly write: true } => ({ write: true });

/**
 * A push that does not say what it has seen, on a stream without a token, has nothing to be held against; with it goes its
 * group.
 */
function compareFirst(
  pushes: readonly Push[],
  validated: readonly ValidatedPush[],
): readonly (ValidatedPush | { readonly compareFirst: true })[] {
  const unseen = (push: ValidatedPush): boolean => "write" in push && push.write.seen === undefined;
  if (!validated.some(unseen)) return validated;
  const groups = new Set<number>();
  for (const [index, push] of validated.entries()) if (unseen(push)) groups.add((pushes[index] as Push).group);
  groups.delete(0);
  return validated.map((push) => {
    const withGroup = "write" in push && groups.has(push.write.group);
    return unseen(push) || withGroup ? { compareFirst: true } : push;
  });
}
