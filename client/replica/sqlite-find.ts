import type { Database } from "../../core/sqlite.js";
import type { Action } from "./action.js";
import type { ItemRow, PendingRow } from "./rows.js";
import { type Column, keyIn } from "./sqlite-large.js";
import { CREATION, IS_CLEAN, MADE_THROUGH, PENDING, REVISION } from "./sqlite-made.js";
import {
  CREATION_COLUMNS,
  creationTuple,
  PENDING_COLUMNS,
  type PendingTuple,
  type SentMark,
  toPendingRow,
} from "./sqlite-rows.js";
import { sized } from "./sqlite-sized.js";

/** A verdict: that it was made. */
export type Settle = Extract<Action, { kind: "settle" }>;
/** A pending change that still is what was sent, of which there is a verdict. */
export type SentTuple = [
  sequence: number,
  id: string,
  baseRevision: number | null,
  baseFingerprint: Buffer | null,
  rejected: number,
  resent: number,
  held: number,
  baseLarge: number | null,
];

type StateTuple = [
  id: string,
  fingerprint: Buffer,
  revision: number,
  modifyTimeUs: number,
  key: number | null,
  pending: number,
  creation: number | null,
  size: number | null,
];

/** What there is of some ids. */
export interface FoundStates {
  readonly items: Map<string, ItemRow>;
  readonly pending: Map<string, PendingRow>;
}

/** Looks up many rows at once. */
export interface BulkFinders {
  /** Items and pending changes. Of a table that has `counts` of no row nothing is looked up. */
  states(ids: readonly string[], counts?: { readonly items: number; readonly pending: number }): FoundStates;
  /** Those that were there before the row `first` was: new rows come behind all others. */
  before(takes: readonly { readonly id: string }[], first: number): Set<string>;
  /** How many creations are pending, with these sequence numbers, that were never anything else. */
  countCreations(first: number, last: number): number;
  /** What is pending just as it was sent, by sequence number. */
  sent(actions: readonly Settle[]): Map<number, SentTuple>;
  /** The contents of those that have a pending change. */
  contents(ids: readonly string[]): Map<string, Column>;
  pending(ids: readonly string[]): Map<string, PendingRow>;
}

/** The look-ups of many rows in an open replica file. */
export function bulkFinders(db: Database, mark: SentMark): BulkFinders {
  // An item says whether a change of it is pending, so that most need no other look-up.
  const items = sized(
    db,
    "?",
    (ids) => `SELECT id, fingerprint, ${REVISION}, modify_time_us, ${keyIn("content")}, ${PENDING}, ${CREATION},
      CASE WHEN creation IS NOT NULL THEN octet_length(content) END
      FROM items WHERE id IN (${ids})`,
  );
  const contents = sized(db, "?", (ids) => `SELECT id, content FROM items WHERE pending = 1 AND id IN (${ids})`);
  // By sequence number, and without reading the fingerprint: half the time of reading whole rows by id.
  const sent = sized(
    db,
    "(?, ?)",
    (values) => `WITH verdict (sequence, fingerprint) AS (VALUES ${values})
      SELECT pending.sequence, id, base_revision, base_fingerprint, rejected_reason IS NOT NULL, resent, held,
        ${keyIn("base_content")}
      FROM verdict CROSS JOIN pending
      ON pending.sequence = verdict.sequence AND pending.fingerprint IS verdict.fingerprint`,
  );
  const sentCreations = sized(
    db,
    "(?, ?)",
    (values) => `WITH verdict (sequence, fingerprint) AS (VALUES ${values})
      SELECT creation, id, NULL, NULL, 0, 0, 0, NULL FROM verdict CROSS JOIN items
      ON items.creation = verdict.sequence AND items.fingerprint IS verdict.fingerprint
      AND items.creation > ${MADE_THROUGH}`,
  );
  const countCreations = db
    .prepare<[number, number], number>(
      `SELECT count(*) FROM items WHERE creation BETWEEN max(?, ${MADE_THROUGH} + 1) AND ?`,
    )
    .pluck();
  const pending = sized(db, "?", (ids) => `SELECT ${PENDING_COLUMNS} FROM pending WHERE id IN (${ids})`);
  // Not by their index, which has all of them.
  const creations = sized(
    db,
    "?",
    (ids) => `SELECT ${CREATION_COLUMNS} FROM items WHERE +creation > ${MADE_THROUGH} AND id IN (${ids})`,
  );
  const numbers = sized(db, "?", (ids) => `SELECT id, rowid FROM items WHERE ${IS_CLEAN} AND id IN (${ids})`);
  const pendingRowsOf = (ids: readonly string[], found: Map<string, PendingRow>): void => {
    for (const tuple of pending.all(ids)) found.set(tuple[1] as string, toPendingRow(tuple as PendingTuple, mark));
  };
  return {
    states(ids, counts = { items: 1, pending: 1 }) {
      const found: FoundStates = { items: new Map(), pending: new Map() };
      const rest: string[] = [];
      for (const tuple of counts.items === 0 ? [] : items.all(ids)) {
        const [id, fingerprint, revision, modifyTimeUs, key, isPending, creation, size] = tuple as StateTuple;
        found.items.set(id, { fingerprint, revision, modifyTimeUs, large: key ?? undefined });
        if (creation !== null) {
          const row = creationTuple(creation, id, fingerprint, size ?? 0, modifyTimeUs);
          found.pending.set(id, toPendingRow(row, mark));
        } else if (isPending === 1) rest.push(id);
      }
      if (counts.pending === 0) return found;
      // Of a deletion that is pending there is no item.
      for (const id of ids) if (!found.items.has(id)) rest.push(id);
      pendingRowsOf(rest, found.pending);
      return found;
    },
    before(takes: readonly { readonly id: string }[], first: number): Set<string> {
      const found = new Set<string>();
      for (const [id, row] of numbers.all(takes.map((action) => action.id))) {
        if ((row as number) < first) found.add(id as string);
      }
      return found;
    },
    countCreations: (first: number, last: number) => countCreations.get(first, last) ?? 0,
    sent(actions: readonly Settle[]): Map<number, SentTuple> {
      const found = new Map<number, SentTuple>();
      const values = actions.flatMap((action) => [action.sequence, action.fingerprint ?? null]);
      for (const statement of [sentCreations, sent]) {
        for (const row of statement.all(values, 2)) found.set(row[0] as number, row as SentTuple);
      }
      return found;
    },
    contents: (ids: readonly string[]) => new Map(contents.all(ids) as Iterable<[string, Column]>),
    pending(ids: readonly string[]): Map<string, PendingRow> {
      const found = new Map<string, PendingRow>();
      for (const tuple of creations.all(ids)) found.set(tuple[1] as string, toPendingRow(tuple as PendingTuple, mark));
      pendingRowsOf(ids, found);
      return found;
    },
  };
}
