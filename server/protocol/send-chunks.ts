import { asBuffer } from "../../core/content.js";
import { toFingerprint } from "../../core/fingerprint.js";
import type { ContentWanted } from "../../gen/tercet/v1/sync.js";
import type { StoredChange } from "../store/item-reads.js";
import type { Conversation } from "./conversation.js";

/** What becomes of a large content that is sent. */
export interface ChunksEnd {
  /** All of it was sent. */
  sent(): void;
  /** The item is not what it was any more: whatever it is now is to be sent from its beginning. */
  changed(): void;
}

/**
 * Step 3 towards the client, for contents larger than a message: sends the content of an item that was read a moment ago, in
 * pieces from where the client wants it. A piece is read once the one before it was handed to the transport, so that never
 * more than one is held.
 */
export function sendChunks(
  conversation: Conversation,
  item: StoredChange,
  want: ContentWanted,
  { sent, changed }: ChunksEnd,
): void {
  const { id, revision, size } = item;
  const begin = want.revision === revision && want.offset <= size ? want.offset : 0;

  function readOn(offset: number): void {
    const query = { uid: conversation.uid, id, offset, length: conversation.limits.messageBytes };
    conversation.ask({ kind: "read-part", query }, (result) => {
      if (result.kind !== "read-part") return;
      const { read } = result;
      if (read?.change.revision !== revision) return changed();
      const { change, data, text } = read;
      const end = offset + data.length;
      // A store that gives nothing within a content must not be asked for ever.
      const isLast = end >= size || data.length === 0;
      const fingerprint = isLast && change.fingerprint !== undefined ? toFingerprint(change.fingerprint) : undefined;
      const modifyTimeUs = offset === begin ? change.modifyTimeUs : 0;
      const piece = { id, revision, offset, data: asBuffer(data), size, text, fingerprint, modifyTimeUs };
      conversation.send({ $case: "chunk", value: { uploadId: Buffer.alloc(0), ...piece } });
      if (isLast) sent();
      else readOn(end);
    });
  }
  readOn(begin);
}
