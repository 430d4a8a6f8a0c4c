import type { Content } from "../../core/content.js";
import { contentSize } from "../../core/content.js";
import { fingerprintOf } from "../../core/fingerprint.js";
import type { StoredChange } from "../../server/store/item-reads.js";
import type { Store } from "../../server/store/store.js";
import type { UploadPiece } from "../../server/store/uploads.js";
import type { Write, WriteBatch, WriteOutcome } from "../../server/store/write-batch.js";

/** Bytes that are the same in every run. */
export function bytesOf(length: number, seed: number): Buffer {
  return Buffer.alloc(length, Buffer.from([seed, seed >> 8, length]));
}

export const EPOCH = bytesOf(8, 1);
export const UID = bytesOf(16, 7);
export const NOW = 1_700_000_000_000_000;

const DEFAULTS = {
  modifyTimeUs: NOW,
  expected: "any",
  seen: undefined,
  fence: false,
  overrides: undefined,
  group: 0,
} as const satisfies Partial<Write>;

/** An unconditional upsert, unless said otherwise. */
export function put(id: string, content: Content, more: Partial<Write> = {}): Write {
  const upsert = { content, fingerprint: fingerprintOf(id, content), size: contentSize(content) };
  return { ...DEFAULTS, id, upsert, ...more };
}

/** An unconditional deletion, unless said otherwise. */
export function remove(id: string, more: Partial<Write> = {}): Write {
  return { ...DEFAULTS, id, upsert: undefined, ...more };
}

/** A batch for the collection that `createCollection` makes. */
export function batchOf(writes: readonly Write[], more: Partial<WriteBatch> = {}): WriteBatch {
  return { uid: UID, writes, nowUs: NOW, ...more };
}

/** Creates the collection `c` with UID. */
export async function createCollection(store: Store, name = "c", uid = UID): Promise<void> {
  await store.createCollection({ name, uid, standard: 0, nowUs: NOW });
}

/** Writes one batch and answers its outcomes. */
export async function writeOne(store: Store, ...writes: Write[]): Promise<readonly WriteOutcome[]> {
  const [written] = await store.write([batchOf(writes)]);
  if (written === undefined) throw new Error("the collection is not there");
  return written.outcomes;
}

/** Asks for every change with its content. */
export const ALL = { uid: UID, after: 0, tombstonesAfter: 0, maxBytes: 1e9, maxChanges: 1e6, inlineBytes: 1e9 };

/** Asks for every item without content. */
export const LIST = { uid: UID, prefix: "", after: "", limit: 1e6, maxBytes: 1e9, inlineBytes: -1 };

/** The ids of changes that were read. */
export function ids(changes: readonly StoredChange[] | undefined): string[] | undefined {
  return changes?.map((change) => change.id);
}

/** An upload as tests describe it. */
export interface TestUpload {
  readonly id: string;
  readonly bytes: Buffer;
  readonly text?: boolean;
  readonly uploadId?: Uint8Array;
  readonly uid?: Uint8Array;
  /** Bytes of each piece; default: all at once. */
  readonly pieceBytes?: number;
  readonly nowUs?: number;
}

export const UPLOAD_ID = bytesOf(16, 77);

/** One piece of an upload; without data: asks. */
export function pieceOf(upload: TestUpload, offset: number, length: number): UploadPiece {
  const { id, bytes, text = false, uploadId = UPLOAD_ID, uid = UID, nowUs = NOW } = upload;
  return { uid, uploadId, id, size: bytes.length, text, offset, data: bytes.subarray(offset, offset + length), nowUs };
}

/** Uploads a content whole, and answers a write that takes it over. */
export async function uploaded(store: Store, upload: TestUpload, more: Partial<Write> = {}): Promise<Write> {
  const { id, bytes, uploadId = UPLOAD_ID, pieceBytes = bytes.length } = upload;
  let serial = 0;
  for (let offset = 0; offset < bytes.length; offset += pieceBytes) {
    serial = (await store.upload(pieceOf(upload, offset, pieceBytes)))?.serial ?? 0;
  }
  const fingerprint = fingerprintOf(id, bytes);
  return {
    ...put(id, ""),
    upsert: { content: undefined, upload: { uploadId, serial }, fingerprint, size: bytes.length },
    ...more,
  };
}
