import { ErrorReason, type Fault, fieldFault } from "../../core/fault.js";
import { sameFingerprint } from "../../core/fingerprint.js";
import type { Push } from "../../gen/tercet/v1/sync.js";
import type { UploadRead } from "../store/uploads.js";
import type { Upsert } from "../store/write-batch.js";
import type { Conversation } from "./conversation.js";
import { type KnownUpload, type KnownUploads, UNKNOWN_UPLOAD } from "./known-uploads.js";
import { createUploadDigest, type DigestEnd, type UploadDigest } from "./upload-digest.js";
import { namesUpload, tooLargeFault } from "./validate-push.js";

/** The contents that pushes name by their uploads: what to write, or why not. */
export type CheckedUploads = ReadonlyMap<Push, Upsert | Fault>;

/** Checks the contents of all pushes that name uploads (R4). What is not known of one yet is read back, in slices. */
export type UploadChecker = (pushes: readonly Push[], then: (checked: CheckedUploads) => void) => void;

/** Bytes that are read back in one storage operation: others have their turns between them. */
const SLICE_BYTES = 128 * 1024;

/** The checker of a conversation. */
export function createUploadChecker(conversation: Conversation, uploads: KnownUploads): UploadChecker {
  /** Checks one push; false where `then` will be called later. */
  function check(push: Push, set: (result: Upsert | Fault) => void, then: () => void): boolean {
    const known = uploads.get(push.uploadId);
    if (known?.refused !== undefined) set(known.refused);
    else if (known?.end === undefined) {
      readBack(push, (result) => {
        set(result);
        then();
      });
      return false;
    } else {
      const fault = judge(push, known, known.end);
      if (fault !== undefined) {
        forget(push, () => {
          set(fault);
          then();
        });
        return false;
      }
      set(upsertOf(push, known));
    }
    return true;
  }

  /** Asks the store for an upload that this stream has not seen all of. */
  function readBack(push: Push, then: (result: Upsert | Fault) => void): void {
    const { uid, nowUs, limits } = conversation;
    const { uploadId, id } = push;
    const piece = { uid, uploadId, id, size: 0, text: false, offset: 0, data: Buffer.alloc(0), nowUs };
    conversation.ask({ kind: "upload", piece }, (result) => {
      if (result.kind !== "upload") return;
      const { read } = result;
      // Whether the push is one of a change that was made already is for the store to say.
      if (read === undefined || read.id !== id || read.offset !== read.size)
        return then(upsertOf(push, UNKNOWN_UPLOAD));
      if (read.size > limits.itemBytes) return then(tooLargeFault(read.size, limits.itemBytes));
      readOn(push, read, createUploadDigest(id, read.text), then);
    });
  }

  function readOn(push: Push, read: UploadRead, digest: UploadDigest, then: (result: Upsert | Fault) => void): void {
    const { uploadId } = push;
    const operation = { kind: "read-upload" as const, uid: conversation.uid, uploadId, offset: digest.bytes };
    conversation.ask({ ...operation, length: SLICE_BYTES }, (result) => {
      if (result.kind !== "read-upload") return;
      const { data } = result;
      if (data === undefined || data.length === 0) return then(upsertOf(push, UNKNOWN_UPLOAD));
      digest.add(data);
      if (digest.bytes < read.size) return readOn(push, read, digest, then);
      const end = digest.end();
      const { serial, id, size, text, offset: stored } = read;
      const known = { ...UNKNOWN_UPLOAD, serial, id, size, text, stored, told: stored, end };
      uploads.set(uploadId, known);
      const fault = judge(push, known, end);
      if (fault === undefined) then(upsertOf(push, known));
      else forget(push, () => then(fault));
    });
  }

  function forget({ uploadId }: Push, then: () => void): void {
    uploads.forget(uploadId);
    conversation.ask({ kind: "drop-upload", uid: conversation.uid, uploadId }, then);
  }

  return (pushes, then) => checkAll(pushes.filter(namesUpload), check, then);
}

/** Checks one push after the other, also where some are answered at once and some later. */
function checkAll(
  pushes: readonly Push[],
  check: (push: Push, set: (result: Upsert | Fault) => void, then: () => void) => boolean,
  then: (checked: CheckedUploads) => void,
): void {
  const checked = new Map<Push, Upsert | Fault>();
  let at = 0;
  const next = (): void => {
    for (let push = pushes[at++]; push !== undefined; push = pushes[at++]) {
      const of = push;
      if (!check(of, (result) => checked.set(of, result), next)) return;
    }
    then(checked);
  };
  next();
}

/** What is wrong with a content that is there whole. */
function judge({ id, fingerprint }: Push, known: KnownUpload, end: DigestEnd): Fault | undefined {
  // Of another item: the store refuses it.
  if (known.id !== id) return undefined;
  if (!sameFingerprint(fingerprint?.value, end.fingerprint)) {
    const description = "does not agree with id and content, which is to be uploaded anew";
    return fieldFault(ErrorReason.ERROR_REASON_FINGERPRINT_MISMATCH, "fingerprint", description);
  }
  if (end.isText || !known.text) return undefined;
  const description = "must be valid UTF-8; send it as bytes";
  return fieldFault(ErrorReason.ERROR_REASON_INVALID_FIELD, "content.text", description);
}

/** The push's claim, with an upload that agrees with it, or is none: then nothing is written by it. */
function upsertOf({ uploadId, fingerprint }: Push, { serial, size }: KnownUpload): Upsert {
  const upload = { uploadId, serial };
  return { content: undefined, upload, fingerprint: fingerprint?.value ?? Buffer.alloc(0), size };
}
