import { FINGERPRINT_BYTES } from "../../core/fingerprint.js";
import type { ChangesRead } from "./change-reads.js";
import type { StoredChange } from "./item-reads.js";

/**
 * The changes of a page as a store reads them fastest, several times faster than one by one: each field of all of them, one
 * behind the other. All are items of no group with their contents, which are all text or all bytes, and each has a revision
 * of its own, in ascending order.
 */
export interface ChangeColumns {
  readonly count: number;
  /** Ids in UTF-8, each followed by a byte that no id has; where each one ends. */
  readonly ids: Buffer;
  readonly idEnds: Uint32Array;
  readonly contents: Buffer;
  readonly contentEnds: Uint32Array;
  readonly isText: boolean;
  /** 32 bytes each. */
  readonly fingerprints: Buffer;
  readonly revisions: Float64Array;
  readonly timesUs: Float64Array;
}

/** By the read itself: one that was made of another, with other changes, has none. */
const columnsByRead = new WeakMap<ChangesRead, ChangeColumns>();

/** The changes of a page as columns, where its store has read them so. They are the same as its `changes`. */
export function columnsOf(read: ChangesRead): ChangeColumns | undefined {
  return columnsByRead.get(read);
}

/** A page of these changes, which are made one by one only for who asks for them. */
export function readOf(columns: ChangeColumns, state: Omit<ChangesRead, "changes">): ChangesRead {
  let changes: readonly StoredChange[] | undefined;
  const read: ChangesRead = {
    get changes() {
      changes ??= Array.from({ length: columns.count }, (_, index) => changeAt(columns, index));
      return changes;
    },
    ...state,
  };
  columnsByRead.set(read, columns);
  return read;
}

function changeAt(columns: ChangeColumns, index: number): StoredChange {
  const { ids, idEnds, contents, contentEnds, isText, fingerprints, revisions, timesUs } = columns;
  const idStart = index === 0 ? 0 : (idEnds[index - 1] as number) + 1;
  const start = index === 0 ? 0 : (contentEnds[index - 1] as number);
  const end = contentEnds[index] as number;
  return {
    id: ids.toString("utf8", idStart, idEnds[index]),
    revision: revisions[index] as number,
    fingerprint: fingerprints.subarray(index * FINGERPRINT_BYTES, (index + 1) * FINGERPRINT_BYTES),
    size: end - start,
    modifyTimeUs: timesUs[index] as number,
    group: 0,
    content: isText ? contents.toString("utf8", start, end) : contents.subarray(start, end),
  };
}
