import type { ExchangeRequest } from "../../gen/tercet/v1/sync.js";
import type { Conversation } from "./conversation.js";
import { pushBatchBytes, pushCount } from "./push-columns.js";
import { chunkBytes, goesOn, type QueuedChunk } from "./receive-chunks.js";
import { COMMIT_BYTES, type QueuedBatch } from "./receive-content.js";
import { comparedRanges } from "./reconcile.js";

/** What a client says. */
export type ClientMessage = NonNullable<ExchangeRequest["message"]>;

/** A message that lies unread, and what it counts in the window. */
export interface Queued {
  readonly message: ClientMessage;
  readonly bytes: number;
}

/** Messages that lie unread, in the order they came. */
export interface Inbox {
  /** Puts a message in and counts it; false where this is more than a client may send without an answer. */
  add(message: ClientMessage): boolean;
  next(): Queued | undefined;
  /** A batch that was taken out, and those right behind it. */
  withNextPushes(first: QueuedBatch): readonly QueuedBatch[];
  /** A chunk that was taken out, and those right behind it that go on from it. */
  withNextChunks(first: QueuedChunk): readonly QueuedChunk[];
  clear(): void;
}

/** Messages that may lie unread; pushes, chunks and fetches are bounded by the window besides. */
const MAX_QUEUED = 4096;
/** A client that has not heard of this server's limits yet is given this much, whatever they are. */
const WINDOW_GRACE_BYTES = 4 * 1024 * 1024;
const WINDOW_GRACE_ITEMS = 65_536;

/** Chunks are stored together up to this many bytes: they are long, and written fast. */
const CHUNKS_BYTES = 1024 * 1024;
/** Batches that are committed together at most, however small. */
const COMMIT_BATCHES = 256;

/** The inbox of a conversation. */
export function createInbox(conversation: Pick<Conversation, "limits" | "unanswered">): Inbox {
  const queue: Queued[] = [];

  function count({ message, bytes }: Queued): void {
    const { unanswered } = conversation;
    unanswered.bytes += bytes;
    if (message.$case === "push") unanswered.items += pushCount(message.value);
    else if (message.$case === "fetch") unanswered.items += message.value.items.length;
    else if (message.$case === "ranges") unanswered.items += comparedRanges(message.value);
  }

  return {
    add(message) {
      const queued = { message, bytes: bytesOf(message) };
      queue.push(queued);
      count(queued);
      const { unanswered, limits } = conversation;
      return (
        unanswered.bytes <= 2 * limits.windowBytes + WINDOW_GRACE_BYTES &&
        unanswered.items <= 2 * limits.windowItems + WINDOW_GRACE_ITEMS &&
        queue.length <= MAX_QUEUED
      );
    },
    next: () => queue.shift(),
    withNextPushes(first) {
      const batches = [first];
      let total = first.bytes;
      for (let next = queue[0]; next?.message.$case === "push" && total < COMMIT_BYTES; next = queue[0]) {
        if (batches.length === COMMIT_BATCHES) break;
        batches.push({ batch: next.message.value, bytes: next.bytes });
        total += next.bytes;
        queue.shift();
      }
      return batches;
    },
    withNextChunks(first) {
      const chunks = [first];
      let last = first;
      let total = first.bytes;
      for (let next = queue[0]; next?.message.$case === "chunk" && total < CHUNKS_BYTES; next = queue[0]) {
        const chunk = { chunk: next.message.value, bytes: next.bytes };
        if (!goesOn(last, chunk)) break;
        chunks.push(chunk);
        last = chunk;
        total += chunk.bytes;
        queue.shift();
      }
      return chunks;
    },
    clear() {
      queue.length = 0;
    },
  };
}

/** What a message counts in the window. */
function bytesOf(message: ClientMessage): number {
  if (message.$case === "push") return pushBatchBytes(message.value);
  return message.$case === "chunk" ? chunkBytes(message.value) : 0;
}
