import { randomBytes } from "node:crypto";
import type { Content } from "../../core/content.js";
import { asBuffer } from "../../core/content.js";
import { compareIds } from "../../core/id.js";
import { totalOf } from "../../core/range-sum.js";
import { type AuditRow, auditRows } from "./auditor.js";
import {
  type Books,
  bind,
  closeBooks,
  emptyLedger,
  keepProgress,
  type Ledger,
  nextTime,
  openBooks,
  stateOf,
} from "./books.js";
import { outgoingChange, takeWithin, unsettled } from "./outgoing.js";
import { applyAction, type ItemRow, type PendingRow, type Rows, restore, writeChange } from "./rules.js";
import type {
  ApplyResult,
  LocalConflict,
  LocalItem,
  LocalState,
  LocalWrite,
  OutgoingQuery,
  PendingChange,
  ReplicaStore,
} from "./store.js";

/** A replica in memory, for tests and simulation. */
export interface MemoryReplica extends ReplicaStore {
  /** A replica in the same state, which from now on goes its own way: a copied or restored replica file. */
  clone(): MemoryReplica;
}

/** A version that was sent and overwritten. */
interface Sending {
  readonly fingerprint: Uint8Array | undefined;
  readonly sequence: number;
}

/** All that is known of an id. Never changed, only replaced, so that copies of the state can share it. */
interface Entry {
  readonly item: (ItemRow & { readonly content: Content }) | undefined;
  readonly pending: PendingRow | undefined;
  readonly baseContent: Content | undefined;
  readonly sendings: readonly Sending[];
}

/** A replica as plain data. */
interface MemoryState {
  ledger: Ledger;
  readonly entries: Map<string, Entry>;
  readonly conflicts: Map<number, LocalConflict>;
}

const UNKNOWN: Entry = { item: undefined, pending: undefined, baseContent: undefined, sendings: [] };

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

  function pendingRows(): PendingRow[] {
    const rows: PendingRow[] = [];
    for (const { pending } of state.entries.values()) if (pending !== undefined) rows.push(pending);
    return rows.sort((a, b) => a.sequence - b.sequence);
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
    write(changes, nowUs) {
      transaction((rows, books) => writeAll(rows, books, changes, nowUs));
    },
    listPending(after, limit) {
      const rows = pendingRows().filter((row) => row.sequence > after);
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
    state: () => stateOf(state.ledger),
    lookup: (ids) => ids.map((id) => localState(id, state.entries.get(id) ?? UNKNOWN)),
    takeOutgoing(query) {
      return transaction((rows) => {
        const selected = selectRows(state, query, pendingRows);
        const fit = query.eager ? selected.filter((row) => !unsettled(row)) : selected;
        const { taken, more } = takeWithin(fit, query);
        const changes = taken.map((row) => outgoingChange(row, state.entries.get(row.id)?.item?.content));
        for (const row of taken) rows.updatePending(row, { ...row, sent: true });
        return { changes, more, skipped: !more && fit.length < selected.length };
      });
    },
    apply(batch): ApplyResult {
      const { actions, nowUs, opened } = batch;
      return transaction((rows, books) => {
        if (opened !== undefined) bind(books, opened);
        const stale: string[] = [];
        const conflicts: number[] = [];
        for (const action of actions) {
          const outcome = applyAction(rows, books, action, nowUs);
          if (outcome.stale) stale.push(action.id);
          if (outcome.conflict !== undefined) conflicts.push(outcome.conflict);
        }
        keepProgress(books, batch, stale.length > 0);
        return { stale, conflicts, total: totalOf(books.sum) };
      });
    },
    flush() {},
    audit: () => auditRows(auditedRows(state.entries), state.ledger.total),
    close() {},
    clone() {
      const { ledger, entries, conflicts } = state;
      return memoryReplica({ ledger, entries: new Map(entries), conflicts: new Map(conflicts) });
    },
  };
}

function writeAll(rows: Rows, books: Books, changes: readonly LocalWrite[], nowUs: number): void {
  const timeUs = nextTime(books, nowUs);
  for (const change of changes) writeChange(rows, books, change, timeUs);
}

interface ConflictRows {
  add(record: LocalConflict): void;
  delete(number: number): void;
}

function conflictRows(conflicts: Map<number, LocalConflict>, undo: (() => void)[]): ConflictRows {
  return {
    add(record) {
      undo.push(() => conflicts.delete(record.number));
      conflicts.set(record.number, record);
    },
    delete(number) {
      const record = conflicts.get(number);
      if (record !== undefined) undo.push(() => conflicts.set(number, record));
      conflicts.delete(number);
    },
  };
}

function entryRows(entries: Map<string, Entry>, undo: (() => void)[], conflicts: ConflictRows): Rows {
  function change(id: string, part: Partial<Entry>): void {
    const before = entries.get(id);
    undo.push(() => (before === undefined ? entries.delete(id) : entries.set(id, before)));
    const after = { ...(before ?? UNKNOWN), ...part };
    if (after.item === undefined && after.pending === undefined) entries.delete(id);
    else entries.set(id, after);
  }
  function itemOf(id: string): NonNullable<Entry["item"]> {
    const item = entries.get(id)?.item;
    if (item === undefined) throw new Error(`there is no item ${JSON.stringify(id)}`);
    return item;
  }
  return {
    item: (id) => entries.get(id)?.item,
    content: (id) => itemOf(id).content,
    putItem: (id, row, content) => change(id, { item: { ...row, content } }),
    setRevision: (id, revision) => change(id, { item: { ...itemOf(id), revision } }),
    deleteItem: (id) => change(id, { item: undefined }),
    pending: (id) => entries.get(id)?.pending,
    insertPending: (row, content) => change(row.id, { pending: row, baseContent: content }),
    updatePending: (_before, row) => change(row.id, { pending: row }),
    setBaseContent: (row, content) => change(row.id, { baseContent: content }),
    deletePending: (row) => change(row.id, { pending: undefined, baseContent: undefined }),
    addSending(id, fingerprint, sequence) {
      const key = sendingKey(fingerprint);
      const others = (entries.get(id) ?? UNKNOWN).sendings.filter((sending) => sendingKey(sending.fingerprint) !== key);
      change(id, { sendings: [...others, { fingerprint, sequence }] });
    },
    settleSendings(id, through) {
      const sendings = (entries.get(id) ?? UNKNOWN).sendings.filter((sending) => sending.sequence > through);
      change(id, { sendings });
      return sendings.length > 0;
    },
    addConflict: (record) => conflicts.add(record),
  };
}

/** Fingerprints in the order of their bytes, a deletion first: as SQLite keeps them. */
function sendingKey(fingerprint: Uint8Array | undefined): string {
  return fingerprint === undefined ? "" : asBuffer(fingerprint).toString("hex");
}

function localItem(id: string, { item, pending }: Entry): LocalItem | undefined {
  if (item === undefined) return undefined;
  const { content, fingerprint, modifyTimeUs } = item;
  return { id, content, fingerprint, modifyTimeUs, pending: pending !== undefined };
}

function pendingChange({ id, sequence, fingerprint, size, modifyTimeUs, rejected }: PendingRow): PendingChange {
  return { id, sequence, kind: fingerprint === undefined ? "deleted" : "upserted", size, modifyTimeUs, rejected };
}

function localState(id: string, { item, pending, sendings }: Entry): LocalState {
  if (pending === undefined) {
    const base = item && { fingerprint: item.fingerprint, revision: item.revision };
    return { id, sequence: 0, pending: undefined, base, sendings: [] };
  }
  const { sequence, fingerprint, modifyTimeUs, base } = pending;
  const sent = new Map(sendings.map((sending) => [sendingKey(sending.fingerprint), sending.fingerprint]));
  const known = [...sent.keys()].sort().map((key) => sent.get(key));
  if (pending.sent && !sent.has(sendingKey(fingerprint))) known.push(fingerprint);
  return { id, sequence, pending: { fingerprint, modifyTimeUs }, base, sendings: known };
}

function selectRows(state: MemoryState, { select }: OutgoingQuery, pending: () => PendingRow[]): PendingRow[] {
  if ("ids" in select) return [...new Set(select.ids)].flatMap((id) => state.entries.get(id)?.pending ?? []);
  return pending().filter((row) => row.sequence > select.after && row.sequence <= select.through);
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
