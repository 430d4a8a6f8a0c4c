import { asBuffer } from "../../core/content.js";
import type { Fault } from "../../core/fault.js";
import type { DigestEnd, UploadDigest } from "./upload-digest.js";

/** What a stream knows of an upload. */
export interface KnownUpload {
  /** 0: the store does not know it. */
  readonly serial: number;
  readonly id: string;
  readonly size: number;
  readonly text: boolean;
  /** Bytes that are stored. */
  readonly stored: number;
  /** Runs along while this stream stores the upload, from its beginning. */
  readonly digest: UploadDigest | undefined;
  /** Once it is whole and all of it was seen. */
  readonly end: DigestEnd | undefined;
  /** How far it is by what the client was last told. */
  readonly told: number;
  /** How far it was when the client was last told that a chunk is out of its place; undefined: never. */
  readonly misplaced: number | undefined;
  /** Why it is not taken: the verdict of its push. */
  readonly refused: Fault | undefined;
}

/** The uploads that a stream had to do with last. One that was forgotten is read back from the store for its push. */
export interface KnownUploads {
  get(uploadId: Uint8Array): KnownUpload | undefined;
  set(uploadId: Uint8Array, known: KnownUpload): void;
  forget(uploadId: Uint8Array): void;
}

/** Bytes of an upload's id. */
export const UPLOAD_ID_BYTES = 16;

/** An upload of which nothing is known. */
export const UNKNOWN_UPLOAD: KnownUpload = {
  serial: 0,
  id: "",
  size: 0,
  text: false,
  stored: 0,
  digest: undefined,
  end: undefined,
  told: 0,
  misplaced: undefined,
  refused: undefined,
};

const MAX_KNOWN = 64;

/** None yet. */
export function createKnownUploads(): KnownUploads {
  const uploads = new Map<string, KnownUpload>();
  const keyOf = (uploadId: Uint8Array): string => asBuffer(uploadId).toString("latin1");
  return {
    get: (uploadId) => uploads.get(keyOf(uploadId)),
    set(uploadId, known) {
      const key = keyOf(uploadId);
      uploads.delete(key);
      uploads.set(key, known);
      const [oldest] = uploads.keys();
      if (uploads.size > MAX_KNOWN && oldest !== undefined) uploads.delete(oldest);
    },
    forget: (uploadId) => void uploads.delete(keyOf(uploadId)),
  };
}
