import type { Database } from "../../core/sqlite.js";
import { StorageError } from "../../core/storage-error.js";
import type { Ledger } from "./books.js";
import type { SentMark } from "./sqlite-rows.js";

/** The ledger of a replica file, which nobody else can change while it is open: read once, written when it changed. */
export interface LedgerFile {
  /** @throws StorageError `damaged` where the file has none. */
  load(): { readonly ledger: Ledger; readonly mark: SentMark };
  /** Writes what differs; without a difference nothing, so that the transaction need not wait for the disk. */
  save(before: Ledger, after: Ledger, markBefore: number, markAfter: number): void;
}

type ProgressTuple = [
  token: Buffer,
  revision: number,
  items: number,
  pending: number,
  rejected: number,
  conflicts: number,
  lastSequence: number,
  lastConflict: number,
  lastTimeUs: number,
  baseCount: number,
  baseSum: Buffer,
  sentThrough: number,
  witness: Buffer,
  witnessRevision: number,
  held: number,
  lostAfter: number | null,
  why: "history" | "asked" | null,
];

/** The ledger in `db`; `path` is for messages. */
export function ledgerFile(db: Database, path: string): LedgerFile {
  const saveProgress = db.prepare(`UPDATE progress SET token = ?, revision = ?, items = ?, pending = ?, rejected = ?,
    conflicts = ?, last_sequence = ?, last_conflict = ?, last_time_us = ?, base_count = ?, base_sum = ?, sent_through = ?,
    witness = ?, witness_revision = ?, held = ?, lost_after = ?,
    recovery_reason = ?`);
  const saveOpened = db.prepare("UPDATE replica SET collection_uid = ?, settings = ?");
  const clearLineage = db.prepare("DELETE FROM lineage");
  const addEpoch = db.prepare("INSERT INTO lineage (ordinal, id, first_revision) VALUES (?, ?, ?)");

  return {
    load() {
      const identity = db
        .prepare<[], [string, Buffer, Buffer, Buffer]>(
          "SELECT collection, replica_id, collection_uid, settings FROM replica",
        )
        .raw()
        .get();
      const progress = db
        .prepare<[], ProgressTuple>(
          `SELECT token, revision, items, pending, rejected, conflicts, last_sequence, last_conflict, last_time_us,
          base_count, base_sum, sent_through, witness, witness_revision, held, lost_after,
          recovery_reason FROM progress`,
        )
        .raw()
        .get();
      if (identity === undefined || progress === undefined) {
        throw new StorageError("damaged", `${path}: what a replica says of itself is missing`);
      }
      const lineage = db
        .prepare<[], { id: Buffer; firstRevision: number }>(
          "SELECT id, first_revision AS firstRevision FROM lineage ORDER BY ordinal",
        )
        .all();
      return { ledger: toLedger(identity, progress, lineage), mark: { through: progress[11] } };
    },
    save(before, after, markBefore, markAfter) {
      const old = fromLedger(before, markBefore);
      const values = fromLedger(after, markAfter);
      if (!values.every((value, index) => same(value, old[index]))) saveProgress.run(...values);
      if (!same(before.collectionUid, after.collectionUid) || !same(before.settings, after.settings)) {
        saveOpened.run(after.collectionUid, after.settings);
      }
      if (!sameLineage(before.lineage, after.lineage)) {
        clearLineage.run();
        for (const [ordinal, epoch] of after.lineage.entries()) addEpoch.run(ordinal, epoch.id, epoch.firstRevision);
      }
    },
  };
}

function toLedger(
  [collection, replicaId, collectionUid, settings]: [string, Buffer, Buffer, Buffer],
  progress: ProgressTuple,
  lineage: Ledger["lineage"],
): Ledger {
  const [token, revision, items, pending, rejected, conflicts] = progress;
  return {
    collection,
    replicaId,
    collectionUid,
    token,
    revision,
    witness: progress[12],
    witnessRevision: progress[13],
    lineage,
    recovering: progress[15] === null ? undefined : { lostAfter: progress[15], why: progress[16] ?? "history" },
    settings,
    items,
    pending,
    rejected,
    held: progress[14],
    conflicts,
    lastSequence: progress[6],
    lastConflict: progress[7],
    lastTimeUs: progress[8],
    total: { count: progress[9], sum: progress[10] },
    mayHaveLost: progress[15] !== null,
  };
}

function fromLedger(ledger: Ledger, sentThrough: number): (Uint8Array | number | string | null)[] {
  const { token, revision, items, pending, rejected, conflicts, lastSequence, lastConflict, lastTimeUs } = ledger;
  const { count, sum } = ledger.total;
  const counts = [items, pending, rejected, conflicts, lastSequence, lastConflict, lastTimeUs, count];
  const { witness, witnessRevision, held, recovering } = ledger;
  const begun = [recovering?.lostAfter ?? null, recovering?.why ?? null];
  return [token, revision, ...counts, sum, sentThrough, witness, witnessRevision, held, ...begun];
}

function same(
  a: Uint8Array | number | string | null | undefined,
  b: Uint8Array | number | string | null | undefined,
): boolean {
  if (!(a instanceof Uint8Array && b instanceof Uint8Array)) return a === b;
  return a === b || Buffer.compare(a, b) === 0;
}

function sameLineage(a: Ledger["lineage"], b: Ledger["lineage"]): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  return a.every(
    ({ id, firstRevision }, index) => same(firstRevision, b[index]?.firstRevision) && same(id, b[index]?.id),
  );
}
