import { asBuffer } from "../../core/content.js";
import type { Fault } from "../../core/fault.js";
import { checkId } from "../../core/id.js";
import { ITEM_OVERHEAD_BYTES, WHOLE_BYTES } from "../../core/limits.js";
import type { ContentChunk } from "../../gen/tercet/v1/sync.js";
import type { UploadPiece, UploadRead } from "../store/uploads.js";
import { type Conversation, deletedFault } from "./conversation.js";
import { type KnownUpload, type KnownUploads, UNKNOWN_UPLOAD, UPLOAD_ID_BYTES } from "./known-uploads.js";
import { createUploadDigest, type UploadDigest } from "./upload-digest.js";
import { notNegative, tooLargeFault } from "./validate-push.js";
import { uploadFault } from "./verdict.js";

/** A chunk that was received, and what it counts in the window. */
export interface QueuedChunk {
  readonly chunk: ContentChunk;
  readonly bytes: number;
}

/**
 * Step 3 towards the server, for contents larger than a message: stores chunks, each of which goes on from the one before it,
 * in one transaction, and says how far the upload is where that is due. Holds no data but that of the operation under way.
 */
export type ChunkReceiver = (chunks: readonly QueuedChunk[]) => void;

const NOTHING = Buffer.alloc(0);

/** The receiver of a conversation. */
export function createChunkReceiver(conversation: Conversation, uploads: KnownUploads): ChunkReceiver {
  function tell(uploadId: Uint8Array, offset: number): void {
    conversation.send({ $case: "upload", value: { uploadId: asBuffer(uploadId), offset } });
  }

  /** The client is told that all is there: so it sends no more, and the push comes that gets the verdict. */
  function refuse(chunk: ContentChunk, refused: Fault, known: KnownUpload | undefined): void {
    const { uploadId, offset, data } = chunk;
    const again = known?.refused !== undefined;
    const size = again ? known.size : chunk.size;
    // Of many that are under way, the first is answered, and whoever begins once more.
    if (!again || offset === 0 || data.length === 0) tell(uploadId, size);
    if (uploadId.length === UPLOAD_ID_BYTES) uploads.set(uploadId, { ...UNKNOWN_UPLOAD, size, refused });
  }

  function store(chunk: ContentChunk, known: KnownUpload | undefined, settle: () => void): void {
    const { uid, nowUs } = conversation;
    const { uploadId, size, text, offset } = chunk;
    // Chunks behind the first need not name the item. Of an upload that this stream does not know yet, ask which it is.
    const id = chunk.id === "" ? (known?.id ?? "") : chunk.id;
    const data = id === "" ? NOTHING : chunk.data;
    const piece = { uid, uploadId, id, size, text, offset, data, nowUs };
    conversation.ask({ kind: "upload", piece }, (result) => {
      if (result.kind !== "upload") return;
      settle();
      if (result.read === undefined) unknown(piece, known);
      else if (data.length > 0 && differs(piece, result.read)) refuse(chunk, uploadFault(), known);
      else went(piece, result.read, known);
    });
  }

  /** The store knows of no such upload. */
  function unknown(piece: ContentPiece, known: KnownUpload | undefined): void {
    const { uploadId, data, offset } = piece;
    if (data.length > 0 && offset === 0) return conversation.close(deletedFault(conversation.name));
    if (data.length === 0 || known?.misplaced !== 0) tell(uploadId, 0);
    uploads.set(uploadId, { ...UNKNOWN_UPLOAD, misplaced: data.length === 0 ? undefined : 0 });
  }

  /** What is there now, whether the piece was added or not. */
  function went(piece: ContentPiece, read: UploadRead, known: KnownUpload | undefined): void {
    const { due, ...now } = progressOf(piece, read, known, conversation.limits.windowBytes);
    if (due) tell(piece.uploadId, read.offset);
    uploads.set(piece.uploadId, now);
  }

  return (queued) => {
    const [first] = queued;
    if (first === undefined) return;
    const chunk = { ...first.chunk, data: joined(queued) };
    const fault = notNegative(chunk.offset, "chunk.offset") ?? notNegative(chunk.size, "chunk.size");
    if (fault !== undefined) return conversation.close(fault);
    const settle = (): void => {
      for (const { bytes } of queued) conversation.unanswered.bytes -= bytes;
    };
    const known = uploads.get(chunk.uploadId);
    const refused = known?.refused ?? checkChunk(chunk, known, conversation.limits.itemBytes);
    if (refused === undefined) return store(chunk, known, settle);
    settle();
    refuse(chunk, refused, known);
  };
}

/** A chunk as it was given to the store. */
type ContentPiece = Omit<UploadPiece, "uid" | "nowUs">;

/** Why an upload is not taken, by a chunk of it. */
function checkChunk(chunk: ContentChunk, known: KnownUpload | undefined, itemBytes: number): Fault | undefined {
  const { uploadId, id, offset, size, data } = chunk;
  if (uploadId.length !== UPLOAD_ID_BYTES) return uploadFault();
  if (data.length === 0) return undefined;
  if (size > itemBytes) return tooLargeFault(size, itemBytes);
  if (size <= WHOLE_BYTES || offset + data.length > size) return uploadFault();
  if (id !== "") return checkId(id);
  return offset === 0 && (known?.id ?? "") === "" ? uploadFault() : undefined;
}

/** A chunk is of another item or content than the upload that it names. */
function differs(piece: ContentPiece, read: UploadRead): boolean {
  return piece.id !== read.id || piece.size !== read.size || piece.text !== read.text;
}

/** What is known of an upload now, and whether the client is due to be told how far it is. */
function progressOf(
  piece: ContentPiece,
  read: UploadRead,
  known: KnownUpload | undefined,
  windowBytes: number,
): KnownUpload & { readonly due: boolean } {
  const { serial, id, size, text, offset: stored, added } = read;
  const same = known?.serial === serial ? known : undefined;
  const asks = piece.data.length === 0;
  const whole = stored === size;
  const digest = digestWith(piece, read, same);
  const told = same?.told ?? Math.min(piece.offset, stored);
  const due = asks || (added ? whole || stored - told >= windowBytes / 2 : known?.misplaced !== stored);
  return {
    ...{ serial, id, size, text, stored, due, refused: undefined },
    digest: whole ? undefined : digest,
    end: same?.end ?? (whole ? digest?.end() : undefined),
    told: due ? stored : told,
    misplaced: asks || added ? undefined : stored,
  };
}

/** The digest of all that is stored, if this stream has stored it all. */
function digestWith(piece: ContentPiece, read: UploadRead, same: KnownUpload | undefined): UploadDigest | undefined {
  const { id, text, offset, data } = piece;
  const digest = read.added && offset === 0 ? createUploadDigest(id, text) : same?.digest;
  // Where others store pieces of the upload, too, it is read back in the end.
  if (read.added && digest?.bytes === offset) digest.add(data);
  return digest?.bytes === read.offset ? digest : undefined;
}

/** Whether a chunk goes on from another: the two can be stored as one. */
export function goesOn({ chunk: last }: QueuedChunk, { chunk: next }: QueuedChunk): boolean {
  const follows = last.data.length > 0 && next.data.length > 0 && next.offset === last.offset + last.data.length;
  const agrees = next.size === last.size && next.text === last.text && (next.id === "" || next.id === last.id);
  return follows && agrees && asBuffer(next.uploadId).equals(last.uploadId);
}

function joined(queued: readonly QueuedChunk[]): Buffer {
  const [first, ...more] = queued;
  if (first !== undefined && more.length === 0) return first.chunk.data;
  return Buffer.concat(queued.map(({ chunk }) => chunk.data));
}

/** Bytes that a chunk counts in the window. */
export function chunkBytes({ uploadId, id, data }: ContentChunk): number {
  return ITEM_OVERHEAD_BYTES + uploadId.length + id.length + data.length;
}
