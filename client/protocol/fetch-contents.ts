import { ErrorReason, type Fault } from "../../core/fault.js";
import type { Change } from "../../core/page.js";
import type { Checkpoint } from "../../gen/tercet/v1/item.js";
import type { ContentChunk, ContentRefused, Contents, ContentWanted } from "../../gen/tercet/v1/sync.js";
import type { KnownChange } from "./compare-changes.js";
import type { Conversation } from "./conversation.js";
import { outOfOrder } from "./faults.js";
import { createChunkReceiver, wanted } from "./receive-chunks.js";
import { readContents } from "./receive-content.js";

/** What fetching needs beside the conversation. */
export interface FetchWorld {
  /** The replica has something of a fetch that was cut in an earlier exchange. */
  readonly downloads: boolean;
  /** Contents may be later than any checkpoint so far: of this revision. */
  witnessed(witness: Checkpoint | undefined): void;
}

/** Step 3 towards the client: asks for contents, and takes them as they come. */
export interface ContentFetcher {
  /** A job begins, in which these contents were found wrong once already. */
  begin(doubtful: readonly Change[]): void;
  /** Fetches the contents of these changes; a large one goes on where it was cut. */
  fetch(changes: readonly Change[], then: () => void): void;
  /** Contents that were fetched. */
  receive(contents: Contents): void;
  /** A piece of a content that was fetched. */
  receiveChunk(chunk: ContentChunk): void;
  /** What has come of an item, and was not let go. */
  get(id: string): KnownChange | undefined;
  /** Lets go of what has come. */
  clear(): void;
  /** These items have been stored. */
  forget(ids: Iterable<string>): void;
  /** Something was asked for, and has not come whole. */
  readonly waits: boolean;
  /** The replica may hold something that was fetched and not taken. */
  readonly hasLeftovers: boolean;
  /** The latest revision of a content that was fetched: it may be later than any checkpoint so far. */
  readonly latestRevision: number;
}

/** A fetcher that has asked for nothing. */
export function createContentFetcher(
  { ask, send, close, trips }: Conversation,
  { downloads, witnessed }: FetchWorld,
): ContentFetcher {
  const chunks = createChunkReceiver(ask, downloads);
  let waiting = new Set<string>();
  let fetched = new Map<string, KnownChange>();
  let retried = new Set<string>();
  let latestRevision = 0;
  let whenFetched: (() => void) | undefined;

  function sendFetch(items: readonly ContentWanted[]): void {
    send({ $case: "fetch", value: { items: [...items] } }, trips.fetch());
  }

  function took(change: KnownChange): void {
    fetched.set(change.id, change);
    latestRevision = Math.max(latestRevision, change.revision);
  }

  /** These contents are not what they should be: they are fetched once more. Answers whether that can be. */
  function fetchAgain(ids: readonly string[]): boolean {
    for (const id of ids) {
      const fault = waiting.has(id) ? (retried.has(id) ? unverified(id) : undefined) : unasked(id);
      if (fault !== undefined) {
        close(fault);
        return false;
      }
      retried.add(id);
    }
    if (ids.length > 0) sendFetch(ids.map(wanted));
    return true;
  }

  function end(): void {
    if (waiting.size > 0) return;
    trips.fetched();
    const then = whenFetched;
    whenFetched = undefined;
    then?.();
  }

  return {
    begin(doubtful) {
      retried = new Set(doubtful.map(({ id }) => id));
    },
    fetch(changes, then) {
      chunks.prepare(changes, (items, here) => {
        waiting = new Set(items.map(({ id }) => id));
        for (const change of here) took(change);
        if (items.length === 0) return then();
        whenFetched = then;
        sendFetch(items);
      });
    },
    receive(contents) {
      const read = readContents(contents);
      for (const change of read.changes) {
        if (!waiting.delete(change.id)) return close(unasked(change.id));
        took(change);
      }
      chunks.forget(read.changes.map(({ id }) => id));
      for (const refusal of contents.refused) return close(refused(refusal));
      witnessed(contents.witness);
      if (fetchAgain(read.wrong)) end();
    },
    receiveChunk(chunk) {
      if (waiting.size === 0) return close(unasked(chunk.id));
      chunks.receive(chunk, (outcome) => {
        if (outcome.kind === "more") return;
        if (outcome.kind === "wrong") return void fetchAgain([outcome.id]);
        if (outcome.kind === "misplaced") return close(misplaced(outcome.id));
        if (!waiting.delete(outcome.change.id)) return close(unasked(outcome.change.id));
        took(outcome.change);
        end();
      });
    },
    get: (id) => fetched.get(id),
    clear() {
      fetched = new Map();
    },
    forget: chunks.forget,
    get waits() {
      return whenFetched !== undefined;
    },
    get hasLeftovers() {
      return chunks.used || downloads;
    },
    get latestRevision() {
      return latestRevision;
    },
  };
}

function refused({ id, reason, message }: ContentRefused): Fault {
  return { reason, message: `the server can't send the content of "${id}": ${message}`, metadata: { id } };
}

function unasked(id: string): Fault {
  return outOfOrder(`the server sent a content that was not asked for: "${id}"`);
}

function misplaced(id: string): Fault {
  return outOfOrder(`the server sent a piece of "${id}" that does not go on from the one before it`);
}

function unverified(id: string): Fault {
  const message = `the content of "${id}" does not agree with its fingerprint, twice`;
  return { reason: ErrorReason.ERROR_REASON_UNVERIFIED, message, metadata: { id } };
}
