import type { Database } from "../../core/sqlite.js";
import type { Action } from "./action.js";
import type { ItemRow, PendingRow } from "./rows.js";
import { type Column, keyIn } from "./sqlite-large.js";
import { IS_CLEAN, MADE_THROUGH, REVISION } from "./sqlite-made.js";
import { CREATION_COLUMNS, PENDING_COLUMNS, type PendingTuple, type SentMark, toPendingRow } from "./sqlite-rows.js";
import { type Sized, sized } from "./sqlite-sized.js";

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

/** Looks up many rows at once. */
export interface BulkFinders {
  items(ids: readonly string[]): Map<string, ItemRow>;
  /** Without those that have a pending change: half the look-ups. */
  clean(ids: readonly string[]): Map<string, ItemRow>;
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
  const itemsWhere = (pending: string) =>
    sized(
      db,
      "?",
      (ids) => `SELECT id, fingerprint, ${REVISION}, modify_time_us, ${keyIn("content")}
        FROM items WHERE ${pending} AND id IN (${ids})`,
    );
  const items = itemsWhere("true");
  const clean = itemsWhere(IS_CLEAN);
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
  return {
    items: (ids: readonly string[]) => readItems(items, ids),
    clean: (ids: readonly string[]) => readItems(clean, ids),
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
      for (const statement of [creations, pending]) {
        for (const tuple of statement.all(ids))
          found.set(tuple[1] as string, toPendingRow(tuple as PendingTuple, mark));
      }
      return found;
    },
  };
}

function readItems(statement: Sized, ids: readonly string[]): Map<string, ItemRow> {
  const found = new Map<string, ItemRow>();
  for (const row of statement.all(ids)) {
    const [id, fingerprint, revision, modifyTimeUs, key] = row as [string, Buffer, number, number, number | null];
    found.set(id, { fingerprint, revision, modifyTimeUs, large: key ?? undefined });
  }
  return found;
}
