import type { Books } from "./books.js";
import { type GroupLimits, GroupTooLarge } from "./local-items.js";
import { renewPending, replacePending } from "./row-rules.js";
import type { PendingRow, Rows, RowWrite } from "./rows.js";

/*
 * Atomic groups of pending changes.
 *
 *   - The sequence numbers of a group follow one another with no other change between, so that reading by sequence number
 *     finds a group whole.
 *   - A change of a member, be it by a write or by a merge, therefore gives all members new sequence numbers, at the end.
 *     What was sent of them counts as overwritten: the group that comes now is another one.
 *   - Where one transaction changes a group several times, numbers that it gave out itself stay.
 *   - A write that ended the pending change of a member (it returned to its base) still ties its group to what else was
 *     written with it.
 *   - A member leaves its group when it is not pending any more, alone. A group of one is a group, until it becomes too
 *     large for one: then it is a change by itself.
 */

/** Bytes that a member is reckoned at beside its id and content. */
const MEMBER_BYTES = 64;

/** A local change that was made: undefined where it changed nothing. */
export type Written =
  | {
      /** 0 where it ended the pending change. */
      readonly sequence: number;
      /** Key of the group that the item was in before; 0 for none. */
      readonly group: number;
    }
  | undefined;

/**
 * Keeps the groups of one local write, which was made; answers the sequence number of every change.
 *
 * @throws GroupTooLarge by `limits`, with which all that was written becomes one group.
 */
export function groupWrites(
  rows: Rows,
  books: Books,
  changes: readonly RowWrite[],
  written: readonly Written[],
  limits: GroupLimits | undefined,
): number[] {
  const keys = new Set<number>();
  for (const each of written) if (each !== undefined && each.group !== 0) keys.add(each.group);
  const renewed = new Map<string, number>();
  const note = (members: readonly PendingRow[]) => {
    for (const row of members) renewed.set(row.id, row.sequence);
  };
  if (limits === undefined) for (const key of keys) note(regroup(rows, books, rows.group(key)));
  else {
    const members = membersOf(rows, changes, written, keys);
    const [first] = members;
    if (members.length === 1 && first !== undefined && !isWithin(members, limits)) {
      if (first.group !== 0) replacePending(rows, books, first, { ...first, group: 0 });
    } else if (members.length > 1 || (members.length === 1 && keys.size > 0)) {
      checkLimits(members, limits);
      note(regroup(rows, books, members));
    }
  }
  return written.map((each, index) => {
    if (each === undefined || each.sequence === 0) return 0;
    return renewed.get((changes[index] as RowWrite).id) ?? each.sequence;
  });
}

function membersOf(
  rows: Rows,
  changes: readonly RowWrite[],
  written: readonly Written[],
  keys: ReadonlySet<number>,
): PendingRow[] {
  const members = new Map<string, PendingRow>();
  for (const key of keys) for (const row of rows.group(key)) members.set(row.id, row);
  for (const [index, each] of written.entries()) {
    if (each === undefined || each.sequence === 0 || each.group !== 0) continue;
    const row = rows.pending((changes[index] as RowWrite).id);
    if (row !== undefined) members.set(row.id, row);
  }
  return [...members.values()].sort((a, b) => a.sequence - b.sequence);
}

function bytesOf(members: readonly PendingRow[]): number {
  return members.reduce((bytes, { id, size }) => bytes + Buffer.byteLength(id) + size + MEMBER_BYTES, 0);
}

function isWithin(members: readonly PendingRow[], limits: GroupLimits): boolean {
  return members.length <= limits.items && bytesOf(members) <= limits.bytes;
}

/** @throws GroupTooLarge where these members are too many or too large. */
export function checkLimits(members: readonly PendingRow[], limits: GroupLimits): void {
  if (isWithin(members, limits)) return;
  const bytes = bytesOf(members);
  throw new GroupTooLarge(
    `the atomic group would have ${members.length} items and ${bytes} bytes, at most ${limits.items} and ${limits.bytes} go`,
  );
}

/** Makes these pending changes, in sequence order, one group at the end of all; answers them as they are then. */
export function regroup(rows: Rows, books: Books, members: readonly PendingRow[]): readonly PendingRow[] {
  const first = members[0];
  if (first === undefined) return members;
  const isNew = first.sequence > books.sequenceBefore;
  if (isNew && members.every((row, index) => row.sequence === first.sequence + index)) {
    const group = first.sequence + members.length - 1;
    return members.map((row) => {
      const after = { ...row, group };
      if (row.group !== group) replacePending(rows, books, row, after);
      return after;
    });
  }
  const group = books.lastSequence + members.length;
  return members.map((row) => renewPending(rows, books, row, { group }));
}
