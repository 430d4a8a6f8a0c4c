import { toPageChanges } from "../../core/page.js";
import { toRangeFingerprint } from "../../core/range-sum.js";
import type { Checkpoint } from "../../gen/tercet/v1/item.js";
import type { BatchWritten, ChangesRead, StoredChange } from "../store/store.js";
import { type Conversation, deletedFault } from "./conversation.js";
import { createOwnRevisions } from "./own-revisions.js";
import { encodeToken, tokenAt } from "./token.js";

const MAX_PAGE_CHANGES = 8192;

/** Step 1: sends the change feed, and the proof at its end. */
export interface ChangeFeed {
  /** Where the feed begins; in a first pull, the head when it began. */
  begin(revision: number, pullHead: number): void;
  /** A Done came: a proof is due. */
  proofDue(): void;
  /** There is something to send. */
  readonly wanted: boolean;
  /** Reads the next page and sends it. */
  readPage(): void;
  /** Takes note of own pushes; a checkpoint if the feed has thereby been passed to the head. */
  written(batch: BatchWritten): Checkpoint | undefined;
  /** The feed of this stream has passed the change, and does not bring it any more. */
  passed(change: StoredChange): boolean;
}

/** The change feed of a conversation. */
export function createChangeFeed(conversation: Conversation): ChangeFeed {
  const own = createOwnRevisions();
  let pullHead = 0;
  /** The feed has been sent up to this revision, but for own pushes. */
  let cursor = 0;
  let endSent = false;
  /** Dones whose proofs are due. */
  let proofsDue = 0;

  function checkpointAt(revision: number): Checkpoint {
    const { uid, lineage } = conversation;
    return { token: encodeToken(tokenAt(uid, lineage, revision, pullHead)), revision };
  }

  function sendPage(read: ChangesRead): void {
    conversation.lineage = read.lineage;
    const foreign = read.changes.filter((change) => !own.has(change.revision));
    cursor = own.advance(read.through);
    const end = cursor >= read.revision;
    if (foreign.length === 0 && !end) return;
    const proof = end && proofsDue > 0 ? toRangeFingerprint(read.total) : undefined;
    if (end) {
      endSent = true;
      proofsDue = Math.max(proofsDue - 1, 0);
    }
    const page = { ...toPageChanges(foreign), checkpoint: checkpointAt(cursor), end, proof };
    conversation.send({ $case: "page", value: page });
  }

  return {
    begin(revision, head) {
      cursor = revision;
      pullHead = head;
    },
    proofDue() {
      proofsDue += 1;
    },
    get wanted() {
      return !endSent || proofsDue > 0;
    },
    readPage() {
      cursor = own.advance(cursor);
      const { uid, limits } = conversation;
      const query = {
        uid,
        after: cursor,
        tombstonesAfter: pullHead,
        maxBytes: limits.messageBytes,
        maxChanges: MAX_PAGE_CHANGES,
        inlineBytes: limits.inlineBytes,
      };
      conversation.ask({ kind: "read-changes", query }, (result) => {
        if (result.kind !== "read-changes") return;
        if (result.read === undefined) return conversation.close(deletedFault(conversation.name));
        sendPage(result.read);
      });
    },
    written(batch) {
      conversation.lineage = batch.lineage;
      let made = false;
      for (const outcome of batch.outcomes) {
        if (outcome.kind !== "applied") continue;
        own.add(outcome.revision, outcome.revision);
        made = true;
      }
      const atHead = endSent && cursor === batch.revisionBefore;
      cursor = own.advance(cursor);
      return made && atHead && cursor === batch.revision ? checkpointAt(cursor) : undefined;
    },
    passed: (change) => change.revision <= cursor,
  };
}
