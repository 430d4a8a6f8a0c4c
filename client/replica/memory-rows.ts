import { asBuffer } from "../../core/content.js";
import type { Stored } from "./large.js";
import type { StagedRows } from "./memory-large.js";
import type { ConflictRow, ItemRow, PendingRow, Rows } from "./rows.js";

/** A version that was sent and overwritten. */
interface Sending {
  readonly fingerprint: Uint8Array | undefined;
  readonly sequence: number;
  readonly modifyTimeUs: number;
}

/** All that is known of an id. Never changed, only replaced, so that copies of the state can share it. */
export interface Entry {
  readonly item: (ItemRow & { readonly content: Stored }) | undefined;
  readonly pending: PendingRow | undefined;
  readonly baseContent: Stored | undefined;
  readonly sendings: readonly Sending[];
}

/** Of an id that is not known. */
export const UNKNOWN: Entry = { item: undefined, pending: undefined, baseContent: undefined, sendings: [] };

/** The conflict records within a transaction. */
export interface ConflictRows {
  add(record: ConflictRow): void;
  delete(number: number): void;
}

/** Access to conflict records; what it changes can be undone in reverse order. */
export function conflictRows(conflicts: Map<number, ConflictRow>, undo: (() => void)[]): ConflictRows {
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

/** Row by row access for the rules; what it changes can be undone in reverse order. */
export function entryRows(
  entries: Map<string, Entry>,
  undo: (() => void)[],
  conflicts: ConflictRows,
  keep: StagedRows["keep"],
): Rows {
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
  const sendingsOf = (id: string) => (entries.get(id) ?? UNKNOWN).sendings;
  return {
    item: (id) => entries.get(id)?.item,
    content: (id) => itemOf(id).content,
    keep,
    putItem: (id, row, content) => change(id, { item: { ...row, content } }),
    setRevision: (id, revision) => change(id, { item: { ...itemOf(id), revision } }),
    deleteItem: (id) => change(id, { item: undefined }),
    pending: (id) => entries.get(id)?.pending,
    group: (key) => pendingRows(entries).filter((row) => row.group === key),
    insertPending: (row, content) => change(row.id, { pending: row, baseContent: content }),
    updatePending: (_before, row) => change(row.id, { pending: row }),
    setBaseContent(row, content) {
      change(row.id, { baseContent: content });
      return row;
    },
    baseContent: (id) => entries.get(id)?.baseContent,
    deletePending: (row) => change(row.id, { pending: undefined, baseContent: undefined }),
    addSending({ id, fingerprint, sequence, modifyTimeUs }) {
      const key = sendingKey(fingerprint);
      const others = sendingsOf(id).filter((sending) => sendingKey(sending.fingerprint) !== key);
      change(id, { sendings: [...others, { fingerprint, sequence, modifyTimeUs }] });
    },
    sentTime: (id, sequence) => sendingsOf(id).find((sending) => sending.sequence === sequence)?.modifyTimeUs ?? 0,
    settleSendings(id, through) {
      const sendings = sendingsOf(id).filter((sending) => sending.sequence > through);
      change(id, { sendings });
      return sendings.length > 0;
    },
    addConflict: (record) => conflicts.add(record),
    clampRevisions(beyond, revision) {
      let count = 0;
      for (const [id, { item, pending }] of [...entries]) {
        if (item !== undefined && item.revision > beyond) {
          change(id, { item: { ...item, revision } });
          count += 1;
        }
        const base = pending?.base;
        if (pending === undefined || base === undefined || base.revision <= beyond) continue;
        change(id, { pending: { ...pending, base: { ...base, revision } } });
        count += 1;
      }
      return count;
    },
  };
}

/** Fingerprints in the order of their bytes, a deletion first: as SQLite keeps them. */
export function sendingKey(fingerprint: Uint8Array | undefined): string {
  return fingerprint === undefined ? "" : asBuffer(fingerprint).toString("hex");
}

/** All pending changes by sequence number. */
export function pendingRows(entries: ReadonlyMap<string, Entry>): PendingRow[] {
  const rows: PendingRow[] = [];
  for (const { pending } of entries.values()) if (pending !== undefined) rows.push(pending);
  return rows.sort((a, b) => a.sequence - b.sequence);
}
