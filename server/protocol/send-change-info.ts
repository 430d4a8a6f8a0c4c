import { ErrorReason, type Fault } from "../../core/fault.js";
import { ITEM_OVERHEAD_BYTES } from "../../core/limits.js";
import { toPageChanges } from "../../core/page.js";
import { toRangeFingerprint } from "../../core/range-sum.js";
import type { Checkpoint } from "../../gen/tercet/v1/item.js";
import type { ExchangeResponse } from "../../gen/tercet/v1/sync.js";
import { columnsOf } from "../store/change-columns.js";
import type { ChangesRead } from "../store/change-reads.js";
import type { EpochState } from "../store/collection-state.js";
import type { StoredChange } from "../store/item-reads.js";
import type { BatchWritten } from "../store/write-batch.js";
import { type Conversation, deletedFault } from "./conversation.js";
import { toColumnsPage } from "./encode-changes.js";
import { createOwnRevisions, type OwnRevisions } from "./own-revisions.js";
import { encodeToken, tokenAt } from "./token.js";

const MAX_PAGE_CHANGES = 8192;

/** Step 1: sends the change feed, and the proof at its end. */
export interface ChangeFeed {
  /** Where the feed begins; in a first pull, the head when it began. After a recovery it begins again at another place. */
  begin(revision: number, pullHead: number): void;
  /** A Done came: a proof is due. */
  proofDue(): void;
  /** The client has stored the contents of the pages up to this revision. */
  taken(revision: number): void;
  /** Live: the collection has advanced, to this revision where that is known. */
  advanced(revision: number | undefined): void;
  /** Everything was sent, and the client has taken it: until something happens there is nothing to do for either side. */
  readonly quiet: boolean;
  /** Live: says where the reader stands, though there is nothing new. */
  heartbeat(): void;
  /** There is something to send, and the client has taken enough of what it has to fetch. */
  readonly wanted: boolean;
  /** Reads the next page and sends it. */
  readPage(): void;
  /** Takes note of own pushes; a checkpoint if the feed has thereby been passed to the head. */
  written(batch: BatchWritten): Checkpoint | undefined;
  /** A token for this revision, which may be beyond what the feed has sent. */
  witness(revision: number): Checkpoint;
  /** The feed of this stream has passed the change, and does not bring it any more. */
  passed(change: StoredChange): boolean;
}

/** The change feed of a conversation. */
export function createChangeFeed(conversation: Conversation): ChangeFeed {
  // Made when they are needed, as in exchange.ts.
  let own: OwnRevisions | undefined;
  let untaken: Untaken | undefined;
  /** The last checkpoint, and what else it was made of. */
  let last: { readonly made: Checkpoint; readonly of: readonly EpochState[]; readonly head: number } | undefined;
  let pullHead = 0;
  let began = 0;
  /** The feed has been sent up to this revision, but for own pushes. */
  let cursor = 0;
  let endSent = false;
  /** Dones whose proofs are due. */
  let proofsDue = 0;
  /** Others have written since the end was sent, and own pushes after them: without a page there is no checkpoint. */
  let behind = false;
  /** The collection is known to have come so far. */
  let advancedTo = 0;
  /** And no further, as far as is known. */
  let heardOfAll = true;

  function checkpointAt(revision: number): Checkpoint {
    const { uid, lineage } = conversation;
    // A verdict and the page behind it say the same.
    if (last?.made.revision === revision && last.of === lineage && last.head === pullHead) return last.made;
    const token = encodeToken(tokenAt(uid, lineage, revision, pullHead));
    last = { made: { token, revision }, of: lineage, head: pullHead };
    return last.made;
  }

  function passOwn(): void {
    if (own !== undefined) cursor = own.advance(cursor);
  }

  function noteSent(foreign: readonly StoredChange[]): void {
    if (untaken === undefined && !foreign.some(isToFetch)) return;
    untaken ??= createUntaken();
    untaken.sent(cursor, foreign);
  }

  /** The same for a page, without a token that the client opened with and need not hear again. */
  function pageCheckpoint(revision: number): Checkpoint {
    const checkpoint = checkpointAt(revision);
    return checkpoint.token.equals(conversation.token) ? { token: Buffer.alloc(0), revision } : checkpoint;
  }

  function sendPage(read: ChangesRead): void {
    conversation.lineage = read.lineage;
    // Columns stay as they are where nothing is to be left out of them.
    const mine = own?.isEmpty === false ? own : undefined;
    const columns = mine === undefined ? columnsOf(read) : undefined;
    const foreign = columns === undefined ? withoutOwn(read.changes, mine) : undefined;
    cursor = read.through;
    passOwn();
    const end = cursor >= read.revision;
    if (foreign?.length === 0 && !end) return;
    const isWhole = foreign === undefined || foreign.length === read.changes.length;
    const isAdvanced = cursor > began || conversation.token.length === 0;
    const isShared = isWhole && isAdvanced && cursor === read.through && pullHead <= cursor;
    const proof = end && proofsDue > 0 ? toRangeFingerprint(read.total) : undefined;
    if (end) {
      endSent = true;
      // It may have been read before what was heard of meanwhile.
      behind = advancedTo > read.revision;
      heardOfAll = true;
      proofsDue = Math.max(proofsDue - 1, 0);
    }
    if (foreign !== undefined) noteSent(foreign);
    const toPage = (): PageMessage => {
      const rest = { checkpoint: pageCheckpoint(cursor), end, proof };
      if (columns !== undefined) return { $case: "page", value: toColumnsPage(read, columns, rest) };
      return { $case: "page", value: { ...toPageChanges(foreign ?? []), ...rest } };
    };
    const isRead = foreign === undefined || foreign.length > 0;
    conversation.send(isShared && isRead && proof === undefined ? sharedPage(read, toPage) : toPage());
  }

  return {
    begin(revision, head) {
      began = revision;
      cursor = revision;
      pullHead = head;
      endSent = false;
      behind = false;
    },
    proofDue() {
      proofsDue += 1;
    },
    taken: (revision) => untaken?.taken(revision),
    advanced(revision) {
      passOwn();
      advancedTo = Math.max(advancedTo, revision ?? 0);
      if (revision === undefined) heardOfAll = false;
      if (endSent && cursor < (revision ?? Number.POSITIVE_INFINITY)) behind = true;
    },
    get quiet() {
      return endSent && !behind && proofsDue === 0 && (untaken?.bytes ?? 0) === 0;
    },
    heartbeat() {
      passOwn();
      const page = {
        changes: [],
        fingerprint: undefined,
        checkpoint: pageCheckpoint(cursor),
        end: true,
        proof: undefined,
      };
      conversation.send({ $case: "page", value: page });
    },
    get wanted() {
      return (!endSent || proofsDue > 0 || behind) && (untaken?.bytes ?? 0) <= conversation.limits.windowBytes;
    },
    readPage() {
      passOwn();
      const { uid, limits } = conversation;
      const query = {
        uid,
        after: cursor,
        // Beyond it, readers that began at different times read the same.
        tombstonesAfter: pullHead > cursor ? pullHead : 0,
        maxBytes: limits.messageBytes,
        maxChanges: MAX_PAGE_CHANGES,
        inlineBytes: limits.inlineBytes,
      };
      conversation.ask({ kind: "read-changes", query }, (result) => {
        if (result.kind !== "read-changes") return;
        if (result.read === undefined) return conversation.close(deletedFault(conversation.name));
        if (result.read.compactedRevision > Math.max(cursor, pullHead)) return conversation.close(compactedFault());
        sendPage(result.read);
      });
    },
    written(batch) {
      conversation.lineage = batch.lineage;
      const made = batch.revision > batch.revisionBefore;
      // Whoever commits has the revisions of the batch for itself: none of others is between them.
      if (made) {
        own ??= createOwnRevisions();
        own.add(batch.revisionBefore + 1, batch.revision);
      }
      const atHead = endSent && cursor === batch.revisionBefore;
      passOwn();
      if (made && cursor < batch.revision) behind = true;
      // All that was heard of meanwhile were these.
      else if (made && heardOfAll && cursor >= advancedTo) behind = false;
      return made && atHead && cursor === batch.revision ? checkpointAt(cursor) : undefined;
    },
    witness: checkpointAt,
    passed: (change) => change.revision <= cursor,
  };
}

type PageMessage = Extract<NonNullable<ExchangeResponse["message"]>, { $case: "page" }>;

/** Pages by what they were made of: one that goes to many live readers is made, and encoded, once. */
const pages = new WeakMap<ChangesRead, PageMessage>();

function sharedPage(read: ChangesRead, make: () => PageMessage): PageMessage {
  const made = pages.get(read) ?? make();
  pages.set(read, made);
  return made;
}

/** The tombstone horizon has overtaken this feed: deletions may be missing from it. */
export function compactedFault(): Fault {
  const message = "tombstones that this exchange had not read yet have been compacted; the next exchange recovers";
  return { reason: ErrorReason.ERROR_REASON_TOKEN_COMPACTED, message, retryAfterMs: 0 };
}

function withoutOwn(changes: readonly StoredChange[], own: OwnRevisions | undefined): readonly StoredChange[] {
  return own === undefined ? changes : changes.filter((change) => !own.has(change.revision));
}

/** The client has to fetch its content. */
function isToFetch({ content, fingerprint }: StoredChange): boolean {
  return content === undefined && fingerprint !== undefined;
}

/** Pages that the client has to fetch contents for, and those behind them: what it must hold until it has. */
interface Untaken {
  /** Bytes of those pages and of the contents to be fetched. */
  readonly bytes: number;
  sent(revision: number, changes: readonly StoredChange[]): void;
  taken(revision: number): void;
}

function createUntaken(): Untaken {
  let pages: { readonly revision: number; readonly bytes: number; readonly fetches: boolean }[] = [];
  let bytes = 0;
  return {
    get bytes() {
      return bytes;
    },
    sent(revision, changes) {
      const fetches = changes.some(isToFetch);
      if (!fetches && pages.length === 0) return;
      let size = 0;
      for (const change of changes) size += ITEM_OVERHEAD_BYTES + change.id.length + change.size;
      pages.push({ revision, bytes: size, fetches });
      bytes += size;
    },
    taken(revision) {
      // Pages behind the one that was taken, up to the next that has to be fetched for, are taken as they come.
      const left = pages.findIndex((page) => page.revision > revision && page.fetches);
      pages = left < 0 ? [] : pages.slice(left);
      bytes = pages.reduce((sum, page) => sum + page.bytes, 0);
    },
  };
}
