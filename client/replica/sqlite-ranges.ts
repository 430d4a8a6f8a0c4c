import { FINGERPRINT_BYTES } from "../../core/fingerprint.js";
import { compareIds } from "../../core/id.js";
import {
  createRangeIndex,
  type IdInterval,
  type RangeChange,
  type RangeEntry,
  type RangePart,
  type Segment,
} from "../../core/range-index.js";
import { createRangeSum, type RangeTotal } from "../../core/range-sum.js";
import type { Database } from "../../core/sqlite.js";
import { StorageError } from "../../core/storage-error.js";
import { createEntryWindows } from "./entry-windows.js";
import { sized } from "./sqlite-sized.js";

/** The bases of a replica file by ranges of ids. */
export interface SqliteRanges {
  /** Notes what moved in this transaction, once items and pending changes are written. */
  note(moves: readonly RangeChange[]): void;
  /** Stores what was noted: before the transaction is committed. */
  store(): void;
  /** The transaction was rolled back. */
  reset(): void;
  /** Forgets what was read for a recovery. */
  forget(): void;
  total(interval: IdInterval): RangeTotal;
  split(interval: IdInterval, parts: number): readonly RangePart[];
  entries(interval: IdInterval, limit: number): readonly RangeEntry[];
  /** Whether `segments` and `items.pending` are what items and pending changes say. Reads everything. */
  areRight(): boolean;
}

/** The range sums of an open replica file. */
export function sqliteRanges(db: Database): SqliteRanges {
  const rows = segmentRows(db);
  const index = createRangeIndex(rows);
  const misplaced = db
    .prepare<[], number>(
      `SELECT EXISTS (SELECT 1 FROM items
      WHERE items.pending <> EXISTS (SELECT 1 FROM pending WHERE pending.id = items.id))`,
    )
    .pluck();
  let touched = false;

  return {
    note(moves) {
      if (moves.length === 0) return;
      touched = true;
      rows.moved(moves);
      index.note(moves);
    },
    store() {
      if (!touched) return;
      index.flush();
      rows.write();
      touched = false;
    },
    reset() {
      // Also what is written already, but not committed, is gone.
      index.reset();
      rows.clear();
      touched = false;
    },
    forget: rows.forget,
    total: (interval) => index.total(interval),
    split: (interval, parts) => index.split(interval, parts),
    entries: rows.entries,
    areRight() {
      if (misplaced.get() === 1) return false;
      const [first, ...others] = rows.load();
      const segments = first?.from === "" ? [first, ...others] : [];
      return segments.length === 0 ? rows.read(WHOLE, 1).length === 0 : segments.every(isRight);
    },
  };

  function isRight(segment: Segment, at: number, all: readonly Segment[]): boolean {
    const sum = createRangeSum();
    for (const { fingerprint } of rows.read({ from: segment.from, to: all[at + 1]?.from }, Number.MAX_SAFE_INTEGER)) {
      sum.add(fingerprint);
    }
    return sum.count === segment.count && sum.bytes().equals(segment.sum);
  }
}

const WHOLE: IdInterval = { from: "", to: undefined };

function segmentRows(db: Database) {
  const load = db
    .prepare<[], [string, number, Buffer]>("SELECT from_id, count, sum FROM segments ORDER BY from_id")
    .raw();
  const put = sized(
    db,
    "(?, ?, ?)",
    (values) => `INSERT INTO segments (from_id, count, sum) VALUES ${values}
      ON CONFLICT (from_id) DO UPDATE SET count = excluded.count, sum = excluded.sum`,
  );
  const drop = sized(db, "?", (values) => `DELETE FROM segments WHERE from_id IN (${values})`);
  /** Written together, as a transaction may change a segment for each of its items; undefined where it is removed. */
  const changed = new Map<string, Segment | undefined>();
  const clean = basesFrom(db, "SELECT id, fingerprint FROM items WHERE pending = 0");
  const pending = basesFrom(
    db,
    "SELECT id, base_fingerprint AS fingerprint FROM pending WHERE base_fingerprint IS NOT NULL",
  );
  const read = (interval: IdInterval, limit: number): readonly RangeEntry[] => {
    const some = clean(interval, limit);
    const others = pending(interval, limit);
    if (others.length === 0) return some;
    return [...some, ...others].sort((a, b) => compareIds(a.id, b.id)).slice(0, limit);
  };
  const windows = createEntryWindows(read);
  return {
    load: (): Segment[] => load.all().map(([from, count, sum]) => ({ from, count, sum })),
    save: (segment: Segment) => void changed.set(segment.from, segment),
    remove: (from: string) => void changed.set(from, undefined),
    /** Writes what was saved and removed. */
    write(): void {
      const saved: unknown[] = [];
      const removed: string[] = [];
      for (const [from, segment] of changed) {
        if (segment === undefined) removed.push(from);
        else saved.push(from, segment.count, segment.sum);
      }
      changed.clear();
      put.run(saved, 3);
      drop.run(removed, 1);
    },
    /** Forgets it. */
    clear(): void {
      changed.clear();
      windows.clear();
    },
    forget: windows.clear,
    moved: windows.changed,
    entries: windows.entries,
    /** The same from the file, whatever was read before. */
    read,
  };
}

/**
 * Reads bases of one kind in the order of their ids. (Both kinds in one statement take half as long again.) All in one row:
 * to make a buffer for each fingerprint takes longer than to find it. No id has a NUL.
 */
function basesFrom(db: Database, select: string): (interval: IdInterval, limit: number) => RangeEntry[] {
  const joined = (where: string) =>
    `SELECT group_concat(id, char(0)), unhex(group_concat(hex(fingerprint), ''))
      FROM (${select} AND ${where} ORDER BY id LIMIT ?)`;
  const toEnd = db.prepare<[string, number], JoinedTuple>(joined("id >= ?")).raw();
  const within = db.prepare<[string, string, number], JoinedTuple>(joined("id >= ? AND id < ?")).raw();
  return ({ from, to }, limit) => {
    const found = to === undefined ? toEnd.get(from, limit) : within.get(from, to, limit);
    const [joinedIds, prints] = found ?? [null, null];
    if (joinedIds === null || prints === null) return [];
    const ids = joinedIds.split("\0");
    if (prints.length !== ids.length * FINGERPRINT_BYTES)
      throw new StorageError("damaged", "a fingerprint has another size");
    return ids.map((id, at) => {
      return { id, fingerprint: prints.subarray(at * FINGERPRINT_BYTES, (at + 1) * FINGERPRINT_BYTES) };
    });
  };
}

type JoinedTuple = [ids: string | null, prints: Buffer | null];
