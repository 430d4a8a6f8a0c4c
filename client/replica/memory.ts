import { randomBytes } from "node:crypto";
import { compareIds } from "../../core/id.js";
import { cutEntries, type IdInterval, type RangeEntry } from "../../core/range-index.js";
import { createRangeSum, type RangeTotal, totalOf } from "../../core/range-sum.js";
import { type AuditRow, auditRows } from "./auditor.js";
import { type Books, bind, closeBooks, emptyLedger, keepProgress, type Ledger, openBooks, stateOf } from "./books.js";
import { resolveItem } from "./held-rules.js";
import { restore, writeAll } from "./local-rules.js";
import {
  type ConflictRows,
  conflictRows,
  type Entry,
  entryRows,
  pendingRows,
  sendingKey,
  UNKNOWN,
} from "./memory-rows.js";
import { outgoingChange, takeWithin, unsettledCreation } from "./outgoing.js";
import type { PendingRow, Rows } from "./rows.js";
import { applyActions } from "./rules.js";
import type { ApplyResult, LocalConflict, LocalItem, LocalState, OutgoingQuery, ReplicaStore } from "./store.js";
import { cleanState, heldItem, pendingChange, pendingState } from "./views.js";

/** A replica in memory, for tests and simulation. */
export interface MemoryReplica extends ReplicaStore {
  /** A replica in the same state, which from now on goes its own way: a copied or restored replica file. */
  clone(): MemoryReplica;
}

/** A replica as plain data. */
interface MemoryState {
  ledger: Ledger;
  readonly entries: Map<string, Entry>;
  readonly conflicts: Map<number, LocalConflict>;
}

/** An empty replica in memory. It lasts as long as the object does; `replicaId` is 16 bytes, random by default. */
export function createMemoryReplica(options: {
  readonly collection: string;
  readonly replicaId?: Uint8Array;
}): MemoryReplica {
  const ledger = emptyLedger(options.collection, options.replicaId ?? randomBytes(16));
  return memoryReplica({ ledger, entries: new Map(), conflicts: new Map() });
}

function memoryReplica(state: MemoryState): MemoryReplica {
  let sorted: readonly string[] | undefined;

  /** All or nothing: on an exception every entry and record is as it was. */
  function transaction<T>(work: (rows: Rows, books: Books, conflicts: ConflictRows) => T): T {
    const undo: (() => void)[] = [];
    const books = openBooks(state.ledger);
    try {
      const conflicts = conflictRows(state.conflicts, undo);
      const result = work(entryRows(state.entries, undo, conflicts), books, conflicts);
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
    write: (changes, nowUs, group) =>
      transaction((rows, books) => ({ sequences: writeAll(rows, books, changes, nowUs, group) })),
    listPending(after, limit) {
      const rows = pendingRows(state.entries).filter((row) => row.sequence > after);
      return rows.slice(0, limit).map(pendingChange);
    },
    listConflicts(before, limit) {
      const numbers = [...state.conflicts.keys()].filter((number) => number < before).sort((a, b) => b - a);
      return numbers.slice(0, limit).map((number) => ({ ...conflictOf(state, number), content: undefined }));
    },
    getConflict(number) {
      return state.conflicts.get(number);
    },
    getBaseContent: (id) => state.entries.get(id)?.baseContent,
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
    resolveHeld: (id, how, nowUs) => transaction((rows, books) => resolveItem(rows, books, id, how, nowUs)),
    state: () => stateOf(state.ledger),
    lookup: (ids) => ids.map((id) => localState(state.entries, id)),
    listUnsettledCreations(after, limit) {
      const rows = pendingRows(state.entries).filter((row) => row.sequence > after && unsettledCreation(row));
      return rows.slice(0, limit).map((row) => localState(state.entries, row.id));
    },
    sumRanges: (intervals) => intervals.map((interval) => sumOf(bases(interval))),
    splitRange: (interval, parts) => cutEntries([...bases(interval)], interval, parts),
    listBases: (interval, limit) => [...bases(interval)].slice(0, limit),
    takeOutgoing(query) {
      return transaction((rows) => {
        const { taken, more, skipped } = takeWithin(selectRows(state, query), query, rows.group);
        const changes = taken.map((row) => outgoingChange(row, state.entries.get(row.id)?.item?.content));
        for (const row of taken) rows.updatePending(row, { ...row, sent: true });
        return { changes, more, skipped };
      });
    },
    apply(batch): ApplyResult {
      const { actions, nowUs, opened } = batch;
      return transaction((rows, books) => {
        if (opened !== undefined) bind(books, opened);
        const done = applyActions(rows, books, actions, nowUs);
        sorted = undefined;
        keepProgress(books, batch, done.stale.length > 0, (revision) => {
          rows.clampRevisions(revision);
          return sumOf(bases({ from: "", to: undefined }));
        });
        return { ...done, total: totalOf(books.sum) };
      });
    },
    flush() {},
    audit: () => auditRows(auditedRows(state.entries), state.ledger.total, true),
    close() {},
    clone() {
      const { ledger, entries, conflicts } = state;
      return memoryReplica({ ledger, entries: new Map(entries), conflicts: new Map(conflicts) });
    },
  };
}

function localItem(id: string, { item, pending }: Entry): LocalItem | undefined {
  if (item === undefined) return undefined;
  const { content, fingerprint, modifyTimeUs } = item;
  return { id, content, fingerprint, modifyTimeUs, pending: pending !== undefined };
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

function conflictOf(state: MemoryState, number: number): LocalConflict {
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
    yield { id, item, pending: pending && { fingerprint: pending.fingerprint, base: pending.base?.fingerprint } };
  }
}
