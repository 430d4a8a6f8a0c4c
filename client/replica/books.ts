import { sameFingerprint } from "../../core/fingerprint.js";
import type { ProvedColumns } from "../../core/item-columns.js";
import type { RangeChange } from "../../core/range-index.js";
import type { RangeSum, RangeTotal } from "../../core/range-sum.js";
import { createRangeSum, totalOf } from "../../core/range-sum.js";
import { StorageError } from "../../core/storage-error.js";
import { type ApplyBatch, LOST_REVISION } from "./apply-batch.js";
import { type CreationRun, fingerprintsOf } from "./outgoing-columns.js";
import type { ReplicaState } from "./replica-state.js";

/** What a replica keeps of itself beside its items: plain data, a few hundred bytes. Changed within transactions only. */
export interface Ledger {
  readonly collection: string;
  readonly replicaId: Uint8Array;
  collectionUid: Uint8Array;
  token: Uint8Array;
  revision: number;
  witness: Uint8Array;
  witnessRevision: number;
  lineage: ReplicaState["lineage"];
  recovering: ReplicaState["recovering"];
  settings: Uint8Array;
  items: number;
  pending: number;
  rejected: number;
  held: number;
  conflicts: number;
  /** Greatest sequence number given out. */
  lastSequence: number;
  /** Greatest number of a conflict record given out; numbers are never used again. */
  lastConflict: number;
  /** The hybrid logical clock: the latest modify time given out or heard of, in microseconds. */
  lastTimeUs: number;
  total: RangeTotal;
  /** Bases may have LOST_REVISION; false: it is known that none has. Not kept in the file. */
  mayHaveLost: boolean;
}

/** A ledger that is open for changes, with its sum in a form that can be added to. */
export interface Books extends Omit<Ledger, "total"> {
  sum: RangeSum;
  /** `lastSequence` when the transaction began: what has a greater one was not seen by anybody yet. */
  readonly sequenceBefore: number;
  /** Every move of a base in this transaction, in their order. */
  readonly moves: RangeChange[];
  /** And items in a row that became bases. */
  readonly added: CreationRun[];
  /** And items that were taken in columns, and are bases of which there was nothing. */
  readonly taken: ProvedColumns[];
}

const NOTHING = new Uint8Array(0);
const NOWHERE = { token: NOTHING, revision: 0, witness: NOTHING, witnessRevision: 0 };
/** How far ahead of this side's clock an item's modify time may drag the hybrid logical clock. */
const MAX_AHEAD_US = 60_000_000;

/** The ledger of a replica that has seen nothing yet. */
export function emptyLedger(collection: string, replicaId: Uint8Array): Ledger {
  return {
    collection,
    replicaId,
    collectionUid: NOTHING,
    ...NOWHERE,
    lineage: [],
    recovering: undefined,
    settings: NOTHING,
    items: 0,
    pending: 0,
    rejected: 0,
    held: 0,
    conflicts: 0,
    lastSequence: 0,
    lastConflict: 0,
    lastTimeUs: 0,
    total: { count: 0, sum: new Uint8Array(32) },
    mayHaveLost: false,
  };
}

/** Opens a copy of the ledger for changes: nothing of it counts before `closeBooks`. */
export function openBooks(ledger: Ledger): Books {
  const { total, ...rest } = ledger;
  return {
    ...rest,
    sum: createRangeSum(total.count, total.sum),
    sequenceBefore: rest.lastSequence,
    moves: [],
    added: [],
    taken: [],
  };
}

/** The ledger after the changes. */
export function closeBooks(books: Books): Ledger {
  const { sum, sequenceBefore: _before, moves: _moves, added: _added, taken: _taken, ...rest } = books;
  return { ...rest, total: totalOf(sum) };
}

/** What the application and the exchange may know of the ledger. */
export function stateOf(ledger: Ledger): ReplicaState {
  const { lastConflict: _number, lastTimeUs: _time, mayHaveLost: _lost, ...state } = ledger;
  return state;
}

/** One modify time for all changes of a transaction: later than every time given out or heard of, else the clock's. */
export function nextTime(books: Books, nowUs: number): number {
  return Math.max(nowUs, books.lastTimeUs + 1);
}

/** Hears of a modify time of the other side. A clock far ahead of ours must not carry ours away. */
export function hearTime(books: Books, modifyTimeUs: number, nowUs: number): void {
  const heard = Math.min(modifyTimeUs, nowUs + MAX_AHEAD_US);
  if (heard > books.lastTimeUs) books.lastTimeUs = heard;
}

/**
 * A base moves, from one fingerprint to another (undefined: no item). Every move goes through here: the sum over all bases
 * changes at once, the sums of ranges once for all moves of the transaction.
 */
export function moveBase(
  books: Books,
  id: string,
  before: Uint8Array | undefined,
  after: Uint8Array | undefined,
): void {
  if (sameFingerprint(before, after)) return;
  books.moves.push({ id, before, after });
  if (before !== undefined) books.sum.subtract(before);
  if (after !== undefined) books.sum.add(after);
}

/** Creations become bases, in a row. */
export function addBases(books: Books, run: CreationRun): void {
  books.added.push(run);
  books.sum.addAll(fingerprintsOf(run));
}

/**
 * Keeps what the server's first message said, and binds the replica to its collection.
 *
 * @throws StorageError `foreign` where it is bound to another collection, and is not to be bound anew: nothing may be written then.
 */
export function bind(books: Books, opened: NonNullable<ApplyBatch["opened"]>): void {
  const bound = Buffer.from(books.collectionUid);
  if (bound.length > 0 && !bound.equals(opened.collectionUid) && opened.rebind !== true) {
    const other = Buffer.from(opened.collectionUid).toString("hex");
    throw new StorageError(
      "foreign",
      `this replica belongs to collection ${books.collection} with uid ${bound.toString("hex")}, not to the one with ${other}`,
    );
  }
  if (bound.length > 0 && !bound.equals(opened.collectionUid)) {
    // What it stood at was another collection's.
    Object.assign(books, { ...NOWHERE, recovering: undefined });
  }
  books.collectionUid = opened.collectionUid;
  books.lineage = opened.lineage;
  books.settings = opened.settings;
}

/** A recovery begins to be stored. `clamp` brings revisions of bases beyond one to another, and answers how many. */
export function part(
  books: Books,
  { fork, lostAfter, why }: NonNullable<ApplyBatch["parted"]>,
  clamp: (beyond: number, revision: number) => number,
): void {
  Object.assign(books, { ...NOWHERE, recovering: { lostAfter, why } });
  books.mayHaveLost = clamp(fork, LOST_REVISION) > 0;
}

/**
 * Keeps how far the exchange has come: stands at the checkpoint from now on, unless it must come again (`stale`). Where a
 * recovery is complete, `clamp` brings revisions of bases beyond one to another, and `sum` says what the bases come to.
 */
export function keepProgress(
  books: Books,
  { checkpoint, witness, recovered }: ApplyBatch,
  stale: boolean,
  clamp: (beyond: number, revision: number) => number,
  sum: () => RangeTotal,
): void {
  const reached = stale ? undefined : (recovered ?? checkpoint);
  if (reached !== undefined) {
    books.token = reached.token;
    books.revision = reached.revision;
  }
  if (recovered !== undefined && !stale) {
    books.lineage = recovered.lineage;
    books.recovering = undefined;
    // It may speak of another history.
    books.witness = NOTHING;
    books.witnessRevision = 0;
    const { revision, fork } = recovered;
    if (fork !== undefined) clamp(Math.min(fork, revision), revision);
    else if (books.mayHaveLost) clamp(LOST_REVISION - 1, revision);
    books.mayHaveLost = false;
    const total = sum();
    books.sum = createRangeSum(total.count, total.sum);
  }
  // What could be done of the actions speaks of a checkpoint that is still to come.
  for (const heard of [witness, stale ? checkpoint : undefined]) {
    if (heard === undefined || heard.revision <= books.witnessRevision) continue;
    books.witness = heard.token;
    books.witnessRevision = heard.revision;
  }
  // The checkpoint says as much then.
  if (books.witnessRevision <= books.revision) {
    books.witness = NOTHING;
    books.witnessRevision = 0;
  }
}
