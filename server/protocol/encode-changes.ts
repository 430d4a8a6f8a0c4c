import { FINGERPRINT_BYTES } from "../../core/fingerprint.js";
import { toPageChanges } from "../../core/page.js";
import { createRangeSum, toRangeFingerprint, totalOf } from "../../core/range-sum.js";
import { ChangeKind } from "../../gen/tercet/v1/item.js";
import { ChangePage } from "../../gen/tercet/v1/sync.js";
import type { ChangeColumns } from "../store/change-columns.js";
import type { ChangesRead } from "../store/change-reads.js";

/** Tags of ChangePage.changes and of the fields of ChangeInfo (item.proto). */
const CHANGE = 10;
const ID = 10;
const KIND = 16;
const REVISION = 24;
const MODIFY_TIME = 48;
const DATA = 66;
const TEXT = 74;
/** Most bytes of all that is not id and content: tags, lengths, kind, two numbers of 64 bits. */
const MOST_BESIDE = 48;

/** The changes of pages that were made of columns, as they are on the wire. */
const encodedChanges = new WeakMap<ChangePage, Buffer>();

/** The page of all changes that were read as columns: as `toPageChanges` makes it, but made only for who looks at them. */
export function toColumnsPage(read: ChangesRead, columns: ChangeColumns, rest: PageRest): ChangePage {
  const sum = createRangeSum();
  sum.addAll(columns.fingerprints.subarray(0, columns.count * FINGERPRINT_BYTES));
  let changes: ChangePage["changes"] | undefined;
  const page: ChangePage = {
    get changes() {
      changes ??= toPageChanges(read.changes).changes;
      return changes;
    },
    fingerprint: toRangeFingerprint(totalOf(sum)),
    ...rest,
  };
  encodedChanges.set(page, encodeChanges(columns));
  return page;
}

/** What a page has besides its changes. */
export type PageRest = Pick<ChangePage, "checkpoint" | "end" | "proof">;

/** A page as it is on the wire, in two parts, where its changes are encoded already. */
export function encodedPage(page: ChangePage): readonly [Uint8Array, Uint8Array] | undefined {
  const changes = encodedChanges.get(page);
  if (changes === undefined) return undefined;
  const { fingerprint, checkpoint, end, proof } = page;
  return [changes, ChangePage.encode({ changes: [], fingerprint, checkpoint, end, proof }).finish()];
}

/** ChangePage.changes of these, each without what its reader can tell. */
function encodeChanges(columns: ChangeColumns): Buffer {
  const { count, ids, idEnds, contents, contentEnds, isText, revisions, timesUs } = columns;
  const out = Buffer.allocUnsafe(
    (idEnds[count - 1] as number) + (contentEnds[count - 1] as number) + count * MOST_BESIDE,
  );
  let at = 0;
  let idStart = 0;
  let start = 0;
  let revision = Number.NaN;
  let timeUs = Number.NaN;
  for (let index = 0; index < count; index++) {
    const idEnd = idEnds[index] as number;
    const end = contentEnds[index] as number;
    const ownRevision = revisions[index] as number;
    const ownTimeUs = timesUs[index] as number;
    const told = ownRevision === revision + 1 ? 0 : ownRevision;
    const toldTime = ownTimeUs === timeUs ? 0 : ownTimeUs;
    const size = field(idEnd - idStart) + 2 + number(told) + number(toldTime) + field(end - start);
    out[at++] = CHANGE;
    at = putVarint(out, at, size);
    out[at++] = ID;
    at = putVarint(out, at, idEnd - idStart);
    for (let from = idStart; from < idEnd; from++) out[at++] = ids[from] as number;
    out[at++] = KIND;
    out[at++] = ChangeKind.CHANGE_KIND_UPSERTED;
    if (told !== 0) at = putVarint(out, putVarint(out, at, REVISION), told);
    if (toldTime !== 0) at = putVarint(out, putVarint(out, at, MODIFY_TIME), toldTime);
    out[at++] = isText ? TEXT : DATA;
    at = putVarint(out, at, end - start);
    at += contents.copy(out, at, start, end);
    idStart = idEnd + 1;
    start = end;
    revision = ownRevision;
    timeUs = ownTimeUs;
  }
  return out.subarray(0, at);
}

/** Bytes of a field of so many bytes, with its tag and length. */
function field(bytes: number): number {
  return 1 + varintBytes(bytes) + bytes;
}

/** Bytes of a field with a number, with its tag; 0 is left out. */
function number(value: number): number {
  return value === 0 ? 0 : 1 + varintBytes(value);
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let left = value; left >= 128; left = Math.floor(left / 128)) bytes += 1;
  return bytes;
}

/** Answers where it ends. */
function putVarint(out: Buffer, from: number, value: number): number {
  let at = from;
  let left = value;
  while (left >= 128) {
    out[at++] = (left % 128) + 128;
    left = Math.floor(left / 128);
  }
  out[at++] = left;
  return at;
}
