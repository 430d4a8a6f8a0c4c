import { randomBytes } from "node:crypto";
import { cutEntries } from "../../core/cut-entries.js";
import { sameFingerprint } from "../../core/fingerprint.js";
import { compareIds } from "../../core/id.js";
import { WHOLE_BYTES } from "../../core/limits.js";
import type { IdInterval, RangeEntry } from "../../core/range.js";
import { createRangeSum, type RangeTotal, totalOf } from "../../core/range-sum.js";
import type { ApplyResult } from "./apply-batch.js";
import { type AuditRow, auditRows } from "./auditor.js";
import {
  type Books,
  bind,
  closeBooks,
  emptyLedger,
  keepProgress,
  type Ledger,
  openBooks,
  part,
  stateOf,
} from "./books.js";
import { createEarlySendings, takeEarly } from "./early-sendings.js";
import { resolveItem } from "./held-rules.js";
import type { ContentOf } from "./kept-content.js";
import { isLarge, keptContent, type Stored } from "./large.js";
import type { LocalItem } from "./local-items.js";
import { restore, writeAll } from "./local-rules.js";
import type { LocalState } from "./local-state.js";
import {
  downloadsOf,
  type MemoryLarge,
  partOfStored,
  type StagedRows,
  type StagedState,
  stagedRows,
  wholeOf,
} from "./memory-large.js";
import {
  type ConflictRows,
  conflictRows,
  type Entry,
  entryRows,
  pendingRows,
  sendingKey,
  UNKNOWN,
} from "./memory-rows.js";
import { oneByOne } from "./one-by-one.js";
import { outgoingChange, takeWithin, unsettledCreation } from "./outgoing.js";
import type { OutgoingBatch, OutgoingQuery } from "./outgoing-batch.js";
import type { ConflictRow, PendingRow, Rows } from "./rows.js";
import { applyActions } from "./rules.js";
import type { ReplicaStore } from "./store.js";
import { cleanState, conflictView, heldItem, itemView, pendingChange, pendingState } from "./views.js";

/** A replica in memory, for tests and simulation. */
export interface MemoryReplica extends ReplicaStore {
  /** A replica in the same state, which from now on goes its own way: a copied or restored replica file. */
  clone(): MemoryReplica;
}

/** A replica as plain data. */
interface MemoryState {
  ledger: Ledger;
  readonly entries: Map<string, Entry>;
  readonly conflicts: Map<number, ConflictRow>;
  readonly making: StagedState;
}

/**
 * An empty replica in memory. It lasts as long as the object does; `replicaId` is 16 bytes, random by default. For tests,
 * contents may be large from another size on.
 */
export function createMemoryReplica(options: {
  readonly collection: string;
  readonly replicaId?: Uint8Array;
  readonly wholeBytes?: number;
}): MemoryReplica {
  const ledger = emptyLedger(options.collection, options.replicaId ?? randomBytes(16));
  const making: StagedState = { staged: new Map(), uploads: new Map(), lastKey: 0 };
  return memoryReplica({ ledger, entries: new Map(), conflicts: new Map(), making }, options.wholeBytes ?? WHOLE_BYTES);
}

function memoryReplica(state: MemoryState, wholeBytes: number): MemoryReplica {
  let sorted: readonly string[] | undefined;
  const early = createEarlySendings();

  /** All or nothing: on an exception every entry and record is as it was. */
  function transaction<T>(work: (rows: Rows, books: Books, conflicts: ConflictRows, staged: StagedRows) => T): T {
    const undo: (() => void)[] = [];
    const books = openBooks(state.ledger);
    try {
      const conflicts = conflictRows(state.conflicts, undo);
      const staged = stagedRows(state.making, wholeBytes, undo);
      const result = work(entryRows(state.entries, undo, conflicts, staged.keep), books, conflicts, staged);
      state.ledger = closeBooks(books);
      return result;
    } catch (error) {
      for (const step of undo.reverse()) step();
      throw error;
    } finally {
      sorted = undefined;
    }
  }

  function sortedIds(): readonly string[] {
    sorted ??= [...state.entries.keys()].sort(compareIds);
    return sorted;
  }

  function* bases({ from, to }: IdInterval): Generator<RangeEntry> {
    for (const id of sortedIds()) {
      const fingerprint = baseFingerprint(state.entries.get(id) ?? UNKNOWN);
      if (fingerprint === undefined || compareIds(id, from) < 0) continue;
      if (to === undefined || compareIds(id, to) < 0) yield { id, fingerprint };
    }
  }

  function takeRows(query: OutgoingQuery, rows: Rows, staged: StagedRows): OutgoingBatch {
    const { taken, more, skipped } = takeWithin(selectRows(state, query), query, rows.group);
    const changes = taken.map((row) => {
      const content = row.fingerprint === undefined ? undefined : rows.content(row.id);
      const large = content !== undefined && isLarge(content) ? staged.upload(content) : undefined;
      return outgoingChange(row, content, large);
    });
    for (const row of taken) rows.updatePending(row, { ...row, sent: true });
    return { changes, more, skipped };
  }

  return {
    get(id) {
      const entry = state.entries.get(id);
      return entry && localItem(id, entry);
    },
    list({ prefix, after, limit }) {
      const items: LocalItem[] = [];
      const ids = sortedIds();
      for (let at = firstAfter(ids, after); at < ids.length && items.length < limit; at++) {
        const id = ids[at] as string;
        const item = id.startsWith(prefix) ? localItem(id, state.entries.get(id) ?? UNKNOWN) : undefined;
        if (item !== undefined) items.push(item);
      }
      return items;
    },
    write(changes, nowUs, group, sending = false) {
      const { sequences, sent } = transaction((rows, books, _conflicts, staged) => {
        const sequences = writeAll(rows, books, changes, nowUs, group);
        const take = (query: OutgoingQuery): OutgoingBatch => takeRows(query, rows, staged);
        return { sequences, sent: sending ? takeEarly(changes, sequences, wholeBytes, take) : undefined };
      });
      if (sent !== undefined) early.add(sent);
      return { sequences };
    },
    listPending(after, limit) {
      const rows = pendingRows(state.entries).filter((row) => row.sequence > after);
      return rows.slice(0, limit).map(pendingChange);
    },
    listConflicts(before, limit) {
      const numbers = [...state.conflicts.keys()].filter((number) => number < before).sort((a, b) => b - a);
      return numbers.slice(0, limit).map((number) => conflictView(conflictOf(state, number), undefined));
    },
    getConflict(number) {
      const record = state.conflicts.get(number);
      return record && conflictView(record, wholeOf);
    },
    getBaseContent(id) {
      const content = state.entries.get(id)?.baseContent;
      return content === undefined ? undefined : wholeOf(content);
    },
    getBase(id) {
      const content = state.entries.get(id)?.baseContent;
      return content === undefined ? undefined : keptContent(content, wholeOf);
    },
    readContent(of, offset, length) {
      const content = storedOf(state, of);
      return content === undefined ? undefined : partOfStored(content, offset, length);
    },
    stage: (to, piece) => transaction((_rows, _books, _conflicts, staged) => staged.stage(to, piece)),
    unstage: (which) => transaction((_rows, _books, _conflicts, staged) => staged.unstage(which)),
    listDownloads: (ids) => downloadsOf(state.making, ids),
    settleConflict(number, bringBack, nowUs) {
      const record = state.conflicts.get(number);
      if (record === undefined) return false;
      transaction((rows, books, conflicts) => {
        conflicts.delete(number);
        books.conflicts -= 1;
        if (bringBack) restore(rows, books, record, nowUs);
      });
      return true;
    },
    pruneConflicts: (beforeUs) =>
      transaction((_rows, books, conflicts) => {
        const old = [...state.conflicts.values()].filter((record) => record.recordTimeUs < beforeUs);
        for (const { number } of old) conflicts.delete(number);
        books.conflicts -= old.length;
        return old.length;
      }),
    listHeld(after, limit) {
      const held = pendingRows(state.entries).filter((row) => row.held && compareIds(row.id, after) > 0);
      const sorted = held.sort((a, b) => compareIds(a.id, b.id));
      return sorted.slice(0, limit).map(heldItem);
    },
    resolveHeld: (id, how, nowUs, group) =>
      transaction((rows, books) => resolveItem(rows, books, id, how, nowUs, group)),
    state: () => stateOf(state.ledger),
    begin: early.forget,
    lookup: (ids) => ids.map((id) => localState(state.entries, id)),
    listUnsettledCreations(after, limit) {
      const rows = pendingRows(state.entries).filter((row) => row.sequence > after && unsettledCreation(row));
      return rows.slice(0, limit).map((row) => localState(state.entries, row.id));
    },
    sumRanges: (intervals) => intervals.map((interval) => sumOf(bases(interval))),
    splitRange: (interval, parts) => cutEntries([...bases(interval)], interval, parts),
    listBases: (interval, limit) => [...bases(interval)].slice(0, limit),
    takeOutgoing: (query) =>
      early.taken(transaction((rows, _books, _conflicts, staged) => takeRows(query, rows, staged))),
    settlesWhole: () => false,
    apply(batch): ApplyResult {
      const { actions, nowUs, opened, parted } = oneByOne(batch);
      return transaction((rows, books) => {
        if (opened !== undefined) bind(books, opened);
        if (parted !== undefined) part(books, parted, rows.clampRevisions);
        const done = applyActions(rows, books, actions, nowUs);
        sorted = undefined;
        const all = { from: "", to: undefined };
        keepProgress(books, batch, done.stale.length > 0, rows.clampRevisions, () => sumOf(bases(all)));
        return { ...done, total: totalOf(books.sum) };
      });
    },
    flush() {},
    audit: () => auditRows(auditedRows(state.entries), state.ledger.total, true),
    close() {},
    clone() {
      const { ledger, entries, conflicts, making } = state;
      const { staged, uploads, lastKey } = making;
      const copy = { staged: new Map(staged), uploads: new Map(uploads), lastKey };
      const rest = { entries: new Map(entries), conflicts: new Map(conflicts), making: copy };
      return memoryReplica({ ledger, ...rest }, wholeBytes);
    },
  };
}

function localItem(id: string, { item, pending }: Entry): LocalItem | undefined {
  if (item === undefined) return undefined;
  return itemView(id, item, item.content, pending !== undefined, wholeOf);
}

function storedOf({ entries, conflicts, making }: MemoryState, of: ContentOf): Stored | undefined {
  if ("base" in of) return entries.get(of.base)?.baseContent;
  if ("conflict" in of) return conflicts.get(of.conflict)?.content;
  if ("staged" in of) return making.staged.get(of.staged)?.large;
  const entry = entries.get("item" in of ? of.item : of.pending);
  if ("pending" in of) return entry?.pending?.sequence === of.sequence ? entry.item?.content : undefined;
  const other = of.fingerprint !== undefined && !sameFingerprint(of.fingerprint, entry?.item?.fingerprint);
  return other ? undefined : entry?.item?.content;
}

function localState(entries: ReadonlyMap<string, Entry>, id: string): LocalState {
  const { item, pending, sendings } = entries.get(id) ?? UNKNOWN;
  if (pending === undefined) return cleanState(id, item);
  const sent = new Map(sendings.map((sending) => [sendingKey(sending.fingerprint), sending.fingerprint]));
  const known = [...sent.keys()].sort().map((key) => sent.get(key));
  const { group } = pending;
  return pendingState(pending, known, group === 0 ? [] : pendingRows(entries).filter((row) => row.group === group));
}

/** The rows that a query names, held ones included. */
function selectRows({ entries }: MemoryState, { select }: OutgoingQuery): PendingRow[] {
  if ("ids" in select) return [...new Set(select.ids)].flatMap((id) => entries.get(id)?.pending ?? []);
  return pendingRows(entries).filter((row) => row.sequence > select.after && row.sequence <= select.through);
}

function baseFingerprint({ item, pending }: Entry): Uint8Array | undefined {
  return pending === undefined ? item?.fingerprint : pending.base?.fingerprint;
}

function sumOf(entries: Iterable<RangeEntry>): RangeTotal {
  const sum = createRangeSum();
  for (const { fingerprint } of entries) sum.add(fingerprint);
  return totalOf(sum);
}

function conflictOf(state: MemoryState, number: number): ConflictRow {
  const record = state.conflicts.get(number);
  if (record === undefined) throw new Error(`there is no conflict record ${number}`);
  return record;
}

function firstAfter(ids: readonly string[], after: string): number {
  let low = 0;
  let high = ids.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compareIds(ids[middle] as string, after) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

function* auditedRows(entries: ReadonlyMap<string, Entry>): Generator<AuditRow> {
  for (const [id, { item, pending }] of entries) {
    yield {
      id,
      item: item && auditedItem(item),
      pending: pending && { fingerprint: pending.fingerprint, base: pending.base?.fingerprint },
    };
  }
}

function auditedItem({ content, fingerprint }: NonNullable<Entry["item"]>): AuditRow["item"] {
  if (!isLarge(content)) return { content, fingerprint };
  return { content: undefined, pieces: (content as MemoryLarge).pieces, fingerprint };
}
