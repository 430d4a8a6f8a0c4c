import { type EntryBlock, entriesOf, toEntryBlock } from "../../core/entry-block.js";
import { FINGERPRINT_BYTES } from "../../core/fingerprint.js";
import { compareIds, separator } from "../../core/id.js";
import { isAscending, type ProvedColumns, idAt as takenId } from "../../core/item-columns.js";
import type { IdInterval, RangeEntry, RangePart } from "../../core/range.js";
import { changesOf, createRangeIndex, type NewEntries, type RangeChange } from "../../core/range-index.js";
import { createRangeSum, type RangeTotal, totalOf } from "../../core/range-sum.js";
import { beginsSegment, bytesBeginSegment, FULL_ENTRIES, LEAST_ENTRIES } from "../../core/segment-boundary.js";
import type { Segment } from "../../core/segment-table.js";
import type { Database } from "../../core/sqlite.js";
import { type JoinedTuple, joinedEntries, toBlock } from "../../core/sqlite-entries.js";
import type { Books } from "./books.js";
import { areOrdered, type CreationRun, fingerprintsOf, idAt, startOf } from "./outgoing-columns.js";
import { IS_CLEAN } from "./sqlite-made.js";
import { sized } from "./sqlite-sized.js";

/** The bases of a replica file by ranges of ids. */
export interface SqliteRanges {
  /** Notes what moved in this transaction, once items and pending changes are written. */
  note(moved: Pick<Books, "moves" | "added" | "taken">): void;
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

const READ_AT_ONCE = 1024;
/** So many moves in no order, onto few segments, are a first pull or push: the segments are left for later. */
const MANY_MOVES = 256;
const MOVES_A_SEGMENT = 16;

/**
 * The range sums of an open replica file. Ids that come in order add segments at the end. To keep the segments of ids that
 * come in no order, most of what is written would be read again, from all over the file; so they are made when they are
 * first asked for, which they seldom are.
 */
export function sqliteRanges(db: Database): SqliteRanges {
  const rows = segmentRows(db);
  const index = createRangeIndex({ ...rows, load });
  /** The segments were left for later; undefined where the file has to be asked. */
  let stale: boolean | undefined;
  const misplaced = db
    .prepare<[], number>(
      `SELECT EXISTS (SELECT 1 FROM items
      WHERE items.pending <> (items.creation IS NOT NULL) + EXISTS (SELECT 1 FROM pending WHERE pending.id = items.id))`,
    )
    .pluck();
  let touched = false;

  function isStale(): boolean {
    stale ??= rows.isMarked();
    return stale;
  }

  function load(): readonly Segment[] {
    if (!isStale()) return rows.load();
    const made = segmentsOf(rows.entries);
    // The next transaction stores them.
    for (const segment of made) rows.save(segment);
    stale = false;
    return made;
  }

  function isBulk(moves: readonly RangeChange[]): boolean {
    if (moves.length < MANY_MOVES) return false;
    const isOrdered = moves.every(({ id }, at) => at === 0 || compareIds((moves[at - 1] as RangeChange).id, id) < 0);
    return !isOrdered && rows.hasFewer(moves.length / MOVES_A_SEGMENT);
  }

  function noteMoves(moves: readonly RangeChange[]): void {
    if (moves.length === 0) return;
    if (isStale()) return index.forget();
    touched = true;
    if (!isBulk(moves)) return index.note(moves);
    index.reset();
    rows.mark();
    stale = true;
  }

  function noteNew(items: NewEntries, areInOrder: boolean): void {
    if (!areInOrder) return noteMoves(changesOf(items));
    if (isStale()) return index.forget();
    touched = true;
    index.noteNew(items);
  }

  return {
    note({ taken, moves, added }) {
      for (const items of taken) noteNew(entriesTaken(items), isAscending(items));
      noteMoves(moves);
      for (const run of added) noteNew(entriesAdded(run), areOrdered(run));
    },
    store() {
      if (!touched && !rows.hasUnwritten()) return;
      if (!isStale()) index.flush();
      rows.write();
      touched = false;
    },
    reset() {
      // Also what is written already, but not committed, is gone.
      index.reset();
      rows.clear();
      touched = false;
      stale = undefined;
    },
    forget: () => index.forget(),
    total: (interval) => index.total(interval),
    split: (interval, parts) => index.split(interval, parts),
    entries: (interval, limit) => index.entries(interval, limit),
    areRight() {
      if (misplaced.get() === 1) return false;
      if (rows.isMarked()) return true;
      const [first, ...others] = rows.load();
      const segments = first?.from === "" ? [first, ...others] : [];
      return segments.length === 0 ? rows.entries(WHOLE, 1).ids.length === 0 : segments.every(isRight);
    },
  };

  function isRight(segment: Segment, at: number, all: readonly Segment[]): boolean {
    const sum = createRangeSum();
    sum.addAll(rows.entries({ from: segment.from, to: all[at + 1]?.from }, Number.MAX_SAFE_INTEGER).prints);
    return sum.count === segment.count && sum.bytes().equals(segment.sum);
  }
}

function entriesTaken(items: ProvedColumns): NewEntries {
  const { count, bytes, starts, idEnds, fingerprints } = items;
  return {
    count,
    idAt: (at) => takenId(items, at),
    begins: (at) => bytesBeginSegment(bytes, starts[at] as number, idEnds[at] as number),
    fingerprints,
  };
}

function entriesAdded(run: CreationRun): NewEntries {
  const { columns, from, to } = run;
  const { bytes, idEnds } = columns;
  return {
    count: to - from,
    idAt: (at) => idAt(columns, from + at),
    begins: (at) => bytesBeginSegment(bytes, startOf(columns, from + at), idEnds[from + at] as number),
    fingerprints: fingerprintsOf(run),
  };
}

/** Cuts all bases into segments. */
function segmentsOf(read: (interval: IdInterval, limit: number) => EntryBlock): Segment[] {
  const segments: Segment[] = [];
  let sum = createRangeSum();
  let from = "";
  let last = "";
  for (let more = true; more; ) {
    // No id is between this one and itself with a control character behind it.
    const entries = entriesOf(read({ from: last === "" ? "" : `${last}\u0000`, to: undefined }, READ_AT_ONCE));
    for (const { id, fingerprint } of entries) {
      const begins = sum.count >= LEAST_ENTRIES && beginsSegment(id);
      if (begins || sum.count === FULL_ENTRIES) {
        segments.push({ from, ...totalOf(sum) });
        from = begins ? id : separator(last, id);
        sum = createRangeSum();
      }
      sum.add(fingerprint);
      last = id;
    }
    more = entries.length === READ_AT_ONCE;
  }
  segments.push({ from, ...totalOf(sum) });
  return segments;
}

/** In the place of the first segment: there are none, whatever bases there are. */
const MARK: Segment = { from: "", count: -1, sum: Buffer.alloc(FINGERPRINT_BYTES) };

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
  const isMarked = db
    .prepare<[], number>(`SELECT EXISTS (SELECT 1 FROM segments WHERE from_id = '' AND count = ${MARK.count})`)
    .pluck();
  const countUpTo = db.prepare<[number], number>("SELECT count(*) FROM (SELECT 1 FROM segments LIMIT ?)").pluck();
  const dropAll = db.prepare("DELETE FROM segments");
  let dropsAll = false;
  const drop = sized(db, "?", (values) => `DELETE FROM segments WHERE from_id IN (${values})`);
  /** Written together, as a transaction may change a segment for each of its items; undefined where it is removed. */
  const changed = new Map<string, Segment | undefined>();
  const clean = basesFrom(db, `SELECT id, fingerprint FROM items WHERE ${IS_CLEAN}`);
  const pending = basesFrom(
    db,
    "SELECT id, base_fingerprint AS fingerprint FROM pending WHERE base_fingerprint IS NOT NULL",
  );
  const anyPending = db
    .prepare<[], number>("SELECT EXISTS (SELECT 1 FROM pending WHERE base_fingerprint IS NOT NULL)")
    .pluck();
  const entries = (interval: IdInterval, limit: number): EntryBlock => {
    const some = clean(interval, limit);
    if (anyPending.get() === 0) return some;
    const others = pending(interval, limit);
    if (others.ids.length === 0) return some;
    const both = [...entriesOf(some), ...entriesOf(others)];
    return toEntryBlock(both.sort((a, b) => compareIds(a.id, b.id)).slice(0, limit));
  };
  return {
    load: (): Segment[] => load.all().map(([from, count, sum]) => ({ from, count, sum })),
    save: (segment: Segment) => void changed.set(segment.from, segment),
    remove: (from: string) => void changed.set(from, undefined),
    /** Whether the file says that there are no segments, whatever bases there are. */
    isMarked: (): boolean => isMarked.get() === 1,
    /** Says so from now on. */
    mark(): void {
      dropsAll = true;
      changed.clear();
      changed.set(MARK.from, MARK);
    },
    hasFewer: (count: number): boolean => (countUpTo.get(Math.ceil(count)) ?? 0) < count,
    hasUnwritten: (): boolean => changed.size > 0,
    /** Writes what was saved and removed. */
    write(): void {
      if (dropsAll) dropAll.run();
      dropsAll = false;
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
      dropsAll = false;
      changed.clear();
    },
    entries,
  };
}

/** Reads bases of one kind in the order of their ids. (Both kinds in one statement take half as long again.) */
function basesFrom(db: Database, select: string): (interval: IdInterval, limit: number) => EntryBlock {
  const toEnd = db
    .prepare<[string, number], JoinedTuple>(joinedEntries(`${select} AND id >= ? ORDER BY id LIMIT ?`))
    .raw();
  const within = db
    .prepare<[string, string, number], JoinedTuple>(
      joinedEntries(`${select} AND id >= ? AND id < ? ORDER BY id LIMIT ?`),
    )
    .raw();
  return ({ from, to }, limit) => toBlock(to === undefined ? toEnd.get(from, limit) : within.get(from, to, limit));
}
