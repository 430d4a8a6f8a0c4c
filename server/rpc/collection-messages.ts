import { toContentField } from "../../core/content.js";
import { toFingerprint } from "../../core/fingerprint.js";
import { toRangeFingerprint } from "../../core/range-sum.js";
import type { RecordedConflict } from "../../core/recorded-conflict.js";
import type { Collection, ConflictRecord } from "../../gen/tercet/v1/collection.js";
import { ChangeKind } from "../../gen/tercet/v1/item.js";
import type { CollectionState } from "../store/collection-state.js";

/** The message for a collection. */
export function toCollection(state: CollectionState): Collection {
  return {
    name: state.name,
    uid: Buffer.from(state.uid),
    standard: state.standard,
    revision: state.revision,
    fingerprint: toRangeFingerprint(state.total),
    createTimeUs: state.createTimeUs,
    compactedRevision: state.compactedRevision,
    conflicts: state.conflicts,
  };
}

/** The message for a conflict record; with its content where it was read. */
export function toConflictRecord(conflict: RecordedConflict): ConflictRecord {
  const { fingerprint, prevailed, content } = conflict;
  return {
    number: conflict.number,
    id: conflict.id,
    kind: fingerprint === undefined ? ChangeKind.CHANGE_KIND_DELETED : ChangeKind.CHANGE_KIND_UPSERTED,
    fingerprint: fingerprint === undefined ? undefined : toFingerprint(fingerprint),
    prevailed: prevailed === undefined ? undefined : toFingerprint(prevailed),
    standard: conflict.standard,
    recordTimeUs: conflict.recordTimeUs,
    modifyTimeUs: conflict.modifyTimeUs,
    size: conflict.size,
    content: content === undefined ? undefined : toContentField(content),
  };
}
