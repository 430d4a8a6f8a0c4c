import { type ChangeInfo, ChangeKind } from "../gen/tercet/v1/item.js";
import type { ChangePage } from "../gen/tercet/v1/sync.js";
import { type Content, fromContentField, toContentField } from "./content.js";
import { checkFingerprint, fingerprintOf, sameFingerprint, toFingerprint } from "./fingerprint.js";
import { createRangeSum, sameTotal, toRangeFingerprint, totalOf } from "./range-sum.js";

/** A change as both sides think of it, without the fields that a page leaves out. */
export interface Change {
  readonly id: string;
  readonly revision: number;
  /** Undefined for a deletion. */
  readonly fingerprint: Uint8Array | undefined;
  readonly size: number;
  readonly modifyTimeUs: number;
  readonly group: number;
  /** Where it came inline. */
  readonly content: Content | undefined;
}

/** The message for one change, with all fields set. */
export function toChangeInfo(change: Change): ChangeInfo {
  const deleted = change.fingerprint === undefined;
  return {
    id: change.id,
    kind: deleted ? ChangeKind.CHANGE_KIND_DELETED : ChangeKind.CHANGE_KIND_UPSERTED,
    revision: change.revision,
    fingerprint: change.fingerprint === undefined ? undefined : toFingerprint(change.fingerprint),
    size: change.size,
    modifyTimeUs: change.modifyTimeUs,
    group: change.group,
    content: change.content === undefined ? undefined : toContentField(change.content),
  };
}

/** The changes of a page, each without what its reader can tell: see the fields of ChangeInfo. */
export function toPageChanges(changes: readonly Change[]): Pick<ChangePage, "changes" | "fingerprint"> {
  if (changes.length === 0) return { changes: [], fingerprint: undefined };
  const sum = createRangeSum();
  let revision = Number.NaN;
  let modifyTimeUs = Number.NaN;
  const infos = changes.map((change) => {
    const info = toChangeInfo(change);
    if (change.content !== undefined && change.fingerprint !== undefined) {
      sum.add(change.fingerprint);
      info.fingerprint = undefined;
      info.size = 0;
    }
    if (change.revision === revision + 1) info.revision = 0;
    if (change.modifyTimeUs === modifyTimeUs) info.modifyTimeUs = 0;
    revision = change.revision;
    modifyTimeUs = change.modifyTimeUs;
    return info;
  });
  return { changes: infos, fingerprint: sum.count === 0 ? undefined : toRangeFingerprint(totalOf(sum)) };
}

/** What a reader makes of the changes of a page. */
export interface PageRead {
  /** Changes that agree with what proves them. */
  readonly changes: readonly Change[];
  /** Changes whose content does not agree with its own or the page's fingerprint: to be fetched once more (R4). */
  readonly doubtful: readonly Change[];
  /** Why a change can't be read at all (an unknown kind or algorithm). */
  readonly unknown: readonly { readonly id: string; readonly problem: string }[];
}

/** Fills in what a page leaves out, and checks every inline content against its own fingerprint, or the page's. */
export function fromPageChanges(page: Pick<ChangePage, "changes" | "fingerprint">): PageRead {
  const sum = createRangeSum();
  const changes: Change[] = [];
  const covered: Change[] = [];
  const doubtful: Change[] = [];
  const unknown: { id: string; problem: string }[] = [];
  let revision = 0;
  let modifyTimeUs = 0;
  for (const info of page.changes) {
    revision = info.revision === 0 ? revision + 1 : info.revision;
    modifyTimeUs = info.modifyTimeUs === 0 ? modifyTimeUs : info.modifyTimeUs;
    const { id, group, size } = info;
    const content = fromContentField(info.content);
    const problem = problemOf(info);
    if (problem !== undefined) unknown.push({ id, problem });
    else if (info.kind === ChangeKind.CHANGE_KIND_DELETED) {
      changes.push({ id, revision, modifyTimeUs, group, size: 0, content: undefined, fingerprint: undefined });
    } else if (content === undefined) {
      changes.push({ id, revision, modifyTimeUs, group, size, content, fingerprint: info.fingerprint?.value });
    } else {
      const fingerprint = fingerprintOf(id, content);
      const change = { id, revision, modifyTimeUs, group, size, content, fingerprint };
      if (info.fingerprint === undefined) {
        sum.add(fingerprint);
        covered.push(change);
        changes.push(change);
      } else (sameFingerprint(fingerprint, info.fingerprint.value) ? changes : doubtful).push(change);
    }
  }
  if (sameTotal(page.fingerprint, totalOf(sum))) return { changes, doubtful, unknown };
  const suspects = new Set(covered.map((change) => change.id));
  return {
    changes: changes.filter((change) => !suspects.has(change.id)),
    doubtful: [...doubtful, ...covered],
    unknown,
  };
}

function problemOf(info: ChangeInfo): string | undefined {
  if (info.kind === ChangeKind.CHANGE_KIND_DELETED) return undefined;
  if (info.kind !== ChangeKind.CHANGE_KIND_UPSERTED) return `change of unknown kind ${info.kind}`;
  if (checkFingerprint(info.fingerprint, "fingerprint") !== undefined) {
    return `fingerprint of unknown algorithm ${info.fingerprint?.algorithm}`;
  }
  const told = info.fingerprint !== undefined || info.content !== undefined;
  return told ? undefined : "change without fingerprint and content";
}
