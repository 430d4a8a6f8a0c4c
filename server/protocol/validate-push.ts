import { type Content, contentSize, fromContentField } from "../../core/content.js";
import { ErrorReason, type Fault, fieldFault } from "../../core/fault.js";
import { checkFingerprint, fingerprintOf, sameFingerprint } from "../../core/fingerprint.js";
import { checkId } from "../../core/id.js";
import { WHOLE_BYTES } from "../../core/limits.js";
import { createRangeSum, type RangeSum, sameTotal, totalOf } from "../../core/range-sum.js";
import { ChangeKind, ChangeStandard, type RangeFingerprint } from "../../gen/tercet/v1/item.js";
import type { Push } from "../../gen/tercet/v1/sync.js";
import type { Write } from "../store/write-batch.js";
import type { CheckedUploads } from "./check-uploads.js";
import { UPLOAD_ID_BYTES } from "./known-uploads.js";
import { rejectGroupsWhole } from "./validate-groups.js";
import { uploadFault } from "./verdict.js";

/** What pushes are held against. */
export interface PushRules {
  /** Largest content, in bytes. */
  readonly itemBytes: number;
  /** Most changes of an atomic group, and most bytes: ids, contents and 64 bytes each. */
  readonly groupItems: number;
  readonly groupBytes: number;
  /** Revision that the client has seen, for pushes that do not say; undefined where only expected states count. */
  readonly seen: number | undefined;
  /** Now, in microseconds since 1970. */
  readonly nowUs: number;
  /** How far ahead of now a modify time may be, in microseconds; it is clamped to that. */
  readonly skewUs: number;
  /** The contents of the pushes that name uploads; undefined where none may. */
  readonly uploads?: CheckedUploads | undefined;
}

/** A push as a write, or why it is not acceptable. */
export type ValidatedPush = { readonly write: Write } | { readonly fault: Fault };

/** Microseconds by which a client's clock may be ahead, by default: one minute. */
export const DEFAULT_SKEW_US = 60_000_000;

/**
 * Checks the pushes of a batch, each by itself (R4: also each content against its fingerprint, or all of those without
 * one against the batch's). The order is kept. `batch` is "computed" where a content needs no fingerprint: in unary calls,
 * which compute it for people and small services.
 */
export function validatePushes(
  pushes: readonly Push[],
  batch: RangeFingerprint | "computed" | undefined,
  rules: PushRules,
): ValidatedPush[] {
  const seenIds = timesOf(pushes);
  let sum: RangeSum | undefined;
  const covered: number[] = [];
  let modifyTimeUs = 0;
  const validated = pushes.map((push, index): ValidatedPush => {
    if (push.modifyTimeUs > 0) modifyTimeUs = push.modifyTimeUs;
    const content = fromContentField(push.content);
    const upsert = content === undefined ? undefined : upsertOf(push.id, content);
    if (upsert !== undefined && push.fingerprint === undefined) {
      // Whatever else may be wrong with it, the sender counted it in.
      sum ??= createRangeSum();
      sum.add(upsert.fingerprint);
      covered.push(index);
    }
    const fault = checkShape(push, seenIds, rules);
    if (fault !== undefined) return { fault };
    if (push.uploadId.length > 0) {
      const uploaded = rules.uploads?.get(push) ?? uploadFault();
      return "reason" in uploaded ? { fault: uploaded } : { write: toWrite(push, uploaded, modifyTimeUs, rules) };
    }
    const claimed = push.fingerprint?.value;
    if (upsert !== undefined && claimed !== undefined && !sameFingerprint(claimed, upsert.fingerprint)) {
      return { fault: mismatch("fingerprint", "does not agree with id and content") };
    }
    return { write: toWrite(push, upsert, modifyTimeUs, rules) };
  });
  if (batch !== "computed" && sum !== undefined && !sameTotal(batch, totalOf(sum))) {
    const description =
      batch === undefined
        ? "needs a fingerprint, its own or the batch's"
        : "the batch's range fingerprint does not agree with its contents";
    const fault = mismatch("fingerprint", description);
    for (const index of covered) {
      if ("write" in (validated[index] as ValidatedPush)) validated[index] = { fault };
    }
  }
  return rejectGroupsWhole(pushes, validated, rules);
}

/** How often each id is there; undefined where there is but one push. */
function timesOf(pushes: readonly Push[]): ReadonlyMap<string, number> | undefined {
  if (pushes.length < 2) return undefined;
  const times = new Map<string, number>();
  for (const { id } of pushes) times.set(id, (times.get(id) ?? 0) + 1);
  return times;
}

function checkShape(push: Push, seenIds: ReadonlyMap<string, number> | undefined, rules: PushRules): Fault | undefined {
  const deletes = push.kind === ChangeKind.CHANGE_KIND_DELETED;
  if (push.kind !== ChangeKind.CHANGE_KIND_UPSERTED && !deletes) {
    return fieldFault(ErrorReason.ERROR_REASON_UNKNOWN_KIND, "kind", `unknown kind ${push.kind}`);
  }
  if (!(push.overrides in STANDARDS)) {
    const description = `unknown change standard ${push.overrides}`;
    return fieldFault(ErrorReason.ERROR_REASON_UNKNOWN_STANDARD, "overrides", description);
  }
  const idFault = checkId(push.id);
  if (idFault !== undefined) return idFault;
  if ((seenIds?.get(push.id) ?? 0) > 1) {
    return fieldFault(ErrorReason.ERROR_REASON_DUPLICATE_ID, "id", `"${push.id}" stands twice in this batch`);
  }
  return (
    checkNumbers(push) ??
    checkFingerprint(push.fingerprint, "fingerprint") ??
    checkFingerprint(push.expected, "expected") ??
    (push.uploadId.length > 0 ? checkUpload(push, rules) : checkContent(push, deletes, rules.itemBytes))
  );
}

/** Whether a push names an upload as it should, so that it is worth looking at. */
export function namesUpload(push: Push): boolean {
  return push.uploadId.length > 0 && checkNaming(push) === undefined;
}

function checkUpload(push: Push, rules: PushRules): Fault | undefined {
  if (rules.uploads !== undefined) return checkNaming(push);
  const description = "no contents in chunks are taken here; CAPABILITY_CHUNKS is not in force";
  return fieldFault(ErrorReason.ERROR_REASON_UNSUPPORTED, "upload_id", description);
}

function checkNaming(push: Push): Fault | undefined {
  if (push.uploadId.length !== UPLOAD_ID_BYTES) return uploadFault();
  if (push.kind === ChangeKind.CHANGE_KIND_DELETED || push.content !== undefined) {
    const description = "only an upsert that has no content with it names an upload";
    return fieldFault(ErrorReason.ERROR_REASON_INVALID_FIELD, "upload_id", description);
  }
  if (push.fingerprint === undefined) return mismatch("fingerprint", "is needed of a content that was uploaded");
  if (push.group === 0) return undefined;
  const description = `a content of over ${WHOLE_BYTES} bytes is larger than a group may be`;
  return fieldFault(ErrorReason.ERROR_REASON_GROUP_INVALID, "group", description);
}

function checkNumbers(push: Push): Fault | undefined {
  return (
    notNegative(push.group, "group") ??
    notNegative(push.modifyTimeUs, "modify_time_us") ??
    notNegative(push.revisionSeen, "revision_seen")
  );
}

const STANDARDS: Readonly<Record<number, true>> = {
  [ChangeStandard.CHANGE_STANDARD_UNSPECIFIED]: true,
  [ChangeStandard.CHANGE_STANDARD_SERVER]: true,
  [ChangeStandard.CHANGE_STANDARD_CLIENT]: true,
  [ChangeStandard.CHANGE_STANDARD_NEWEST]: true,
  [ChangeStandard.CHANGE_STANDARD_MANUAL]: true,
};

function checkContent(push: Push, deletes: boolean, itemBytes: number): Fault | undefined {
  const content = fromContentField(push.content);
  if ((content === undefined) !== deletes) {
    const description = deletes ? "a deletion has no content" : "an upsert needs a content, which may be empty";
    return fieldFault(ErrorReason.ERROR_REASON_CONTENT_MISSING, "content", description);
  }
  return content === undefined ? undefined : checkContentValue(content, itemBytes);
}

/** What is wrong with a content in `field`: too large, or a text that was not UTF-8. */
export function checkContentValue(content: Content, itemBytes: number, field = "content"): Fault | undefined {
  const size = contentSize(content);
  if (size > itemBytes) return tooLargeFault(size, itemBytes, field);
  if (size > WHOLE_BYTES) {
    const description = `is ${size} bytes; contents of over ${WHOLE_BYTES} come in chunks, by an exchange`;
    return fieldFault(ErrorReason.ERROR_REASON_ITEM_TOO_LARGE, field, description);
  }
  if (typeof content === "string" && !content.isWellFormed()) {
    return fieldFault(ErrorReason.ERROR_REASON_INVALID_FIELD, `${field}.text`, "must be valid UTF-8; send it as bytes");
  }
  return undefined;
}

/** A content has more bytes than this server takes. */
export function tooLargeFault(size: number, itemBytes: number, field = "content"): Fault {
  const description = `is ${size} bytes; this server takes items of up to ${itemBytes}`;
  return fieldFault(ErrorReason.ERROR_REASON_ITEM_TOO_LARGE, field, description);
}

/** A content with its fingerprint and size. */
export function upsertOf(id: string, content: Content): NonNullable<Write["upsert"]> {
  return { content, fingerprint: fingerprintOf(id, content), size: contentSize(content) };
}

function toWrite(push: Push, upsert: Write["upsert"], modifyTimeUs: number, rules: PushRules): Write {
  return {
    id: push.id,
    upsert,
    modifyTimeUs: clampTime(modifyTimeUs, rules),
    expected: push.expected?.value,
    seen: push.revisionSeen ?? rules.seen,
    fence: push.fence,
    overrides: push.overrides === ChangeStandard.CHANGE_STANDARD_UNSPECIFIED ? undefined : push.overrides,
    group: push.group,
  };
}

/** A modify time that is not further ahead than the allowed skew; 0 is now. */
export function clampTime(modifyTimeUs: number, rules: Pick<PushRules, "nowUs" | "skewUs">): number {
  return modifyTimeUs <= 0 ? rules.nowUs : Math.min(modifyTimeUs, rules.nowUs + rules.skewUs);
}

/** What is wrong with a number that must not be negative; undefined: nothing, or it is not set. */
export function notNegative(value: number | undefined, field: string): Fault | undefined {
  if (value === undefined || value >= 0) return undefined;
  return fieldFault(ErrorReason.ERROR_REASON_INVALID_FIELD, field, "must not be negative");
}

function mismatch(field: string, description: string): Fault {
  return fieldFault(ErrorReason.ERROR_REASON_FINGERPRINT_MISMATCH, field, description);
}
