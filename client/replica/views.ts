import { type Content, contentSize } from "../../core/content.js";
import { sameFingerprint } from "../../core/fingerprint.js";
import { knownRevision } from "./apply-batch.js";
import { isLarge, type Large, type Stored } from "./large.js";
import type { HeldItem, LocalConflict } from "./local-conflicts.js";
import type { LocalItem, PendingChange } from "./local-items.js";
import { baseOf } from "./local-rules.js";
import type { LocalState } from "./local-state.js";
import type { ConflictRow, ItemRow, PendingRow } from "./rows.js";

/*
 * What rows look like from outside.
 */

/** A pending change, for people. */
export function pendingChange(row: PendingRow): PendingChange {
  const { id, sequence, fingerprint, size, modifyTimeUs, rejected, held, group } = row;
  const kind = fingerprint === undefined ? "deleted" : "upserted";
  return { id, sequence, kind, size, modifyTimeUs, rejected, held, group };
}

/** An item held in conflict. */
export function heldItem({
  id,
  sequence,
  fingerprint,
  modifyTimeUs,
  base,
  group,
}: Pick<PendingRow, "id" | "sequence" | "fingerprint" | "modifyTimeUs" | "base" | "group">): HeldItem {
  return {
    id,
    sequence,
    mine: fingerprint,
    mineTimeUs: modifyTimeUs,
    theirs: base?.fingerprint,
    theirsRevision: knownRevision(base?.revision),
    theirsTimeUs: base?.modifyTimeUs ?? 0,
    group,
  };
}

/** What is known of an id that has no pending change. */
export function cleanState(id: string, item: ItemRow | undefined): LocalState {
  const base = baseOf(item);
  return { id, sequence: 0, pending: undefined, modifyTimeUs: base?.modifyTimeUs ?? 0, base, sendings: [] };
}

/** What is known of a pending change; `sendings` are the versions sent before the present one, `members` its group. */
export function pendingState(
  row: PendingRow,
  sendings: readonly (Uint8Array | undefined)[],
  members: readonly PendingRow[],
): LocalState {
  const { id, sequence, fingerprint, modifyTimeUs, base, held, group } = row;
  const sent = [...sendings];
  if (row.sent && !sent.some((each) => sameFingerprint(each, fingerprint))) sent.push(fingerprint);
  const pending = { fingerprint, modifyTimeUs, held, group: groupState(group, members) };
  return { id, sequence, pending, modifyTimeUs: 0, base, sendings: sent };
}

function groupState(key: number, members: readonly PendingRow[]): NonNullable<LocalState["pending"]>["group"] {
  if (key === 0) return undefined;
  const latestUs = members.reduce((latest, member) => Math.max(latest, member.modifyTimeUs), 0);
  return { key, ids: members.map((member) => member.id), latestUs };
}

/** An item as the application sees it; a large content is read when it is asked for. */
export function itemView(
  id: string,
  { fingerprint, modifyTimeUs }: Pick<ItemRow, "fingerprint" | "modifyTimeUs">,
  stored: Stored,
  pending: boolean,
  read: (large: Large) => Content,
): LocalItem {
  if (!isLarge(stored)) {
    const size = contentSize(stored);
    return { id, content: stored, size, text: typeof stored === "string", fingerprint, modifyTimeUs, pending };
  }
  const { size, text } = stored;
  return {
    id,
    get content() {
      return read(stored);
    },
    size,
    text,
    fingerprint,
    modifyTimeUs,
    pending,
  };
}

/** A conflict record, without its content where `read` is left out; a large one is read when it is asked for. */
export function conflictView(record: ConflictRow, read: ((large: Large) => Content) | undefined): LocalConflict {
  const { content: stored, ...rest } = record;
  const text = stored !== undefined && (isLarge(stored) ? stored.text : typeof stored === "string");
  if (stored === undefined || read === undefined) return { ...rest, text, content: undefined };
  if (!isLarge(stored)) return { ...rest, text, content: stored };
  return {
    ...rest,
    text,
    get content() {
      return read(stored);
    },
  };
}
