import { ErrorReason } from "../../../gen/tercet/v1/error.js";
import { ChangeStandard, type Checkpoint, type Epoch } from "../../../gen/tercet/v1/item.js";
import type { Limits } from "../../../gen/tercet/v1/sync.js";
import { fingerprintOf, isId, minus, NOTHING, plus, type RangeSum, same, sumOf } from "./fingerprint.js";

/*
 * A replica in memory. In a database each exported function is one transaction: so is what it writes together.
 *
 * Versions, states and records are never changed once they are made; entries and the replica are.
 */

/** A content of an item. */
export interface Version {
  readonly fingerprint: Uint8Array;
  readonly bytes: Uint8Array;
  /** It came as text, and goes as text. */
  readonly text: boolean;
}

/** A state that an item has, or had, at the server. */
export interface State {
  readonly id: string;
  /** Undefined: deleted, or there is no such item. */
  readonly fingerprint: Uint8Array | undefined;
  readonly revision: number;
  readonly timeUs: number;
  /** Bytes of its content. */
  readonly size: number;
  /** Its content, where it is at hand. */
  readonly version: Version | undefined;
}

/** A change of this side that the server does not have yet. What the item is now, the entry says. */
export interface Pending {
  /** Grows with every local change. A verdict on another number speaks of an earlier change. */
  sequence: number;
  /** Fingerprints of what was sent and has no verdict (undefined: a deletion): it may arrive yet, or have arrived. */
  sendings: readonly (Uint8Array | undefined)[];
  /** Set where it prevails over a change of the server, the base: by which standard. */
  overrides: ChangeStandard;
  /** In conflict with the base, until somebody resolves it. Not sent. */
  held: boolean;
  /** Changes with the same number go together, or not at all; 0 for none. */
  group: number;
  /** Why the server did not accept it. */
  rejected: ErrorReason;
  /** Of a content over a message: under which id its chunks were begun to be sent. */
  upload: Uint8Array | undefined;
}

/** All that is known of an item. */
export interface Entry {
  readonly id: string;
  /** What the application sees; undefined: no item. */
  mine: Version | undefined;
  timeUs: number;
  /** What was last agreed on with the server: of a clean item, the same as mine; of a held one, theirs. */
  base: State | undefined;
  /** Undefined: the item is clean. */
  pending: Pending | undefined;
}

/** A version of this side that gave way. */
export interface ConflictRecord {
  readonly id: string;
  /** Undefined: a deletion gave way. */
  readonly version: Version | undefined;
  readonly timeUs: number;
  readonly prevailed: Uint8Array | undefined;
  readonly standard: ChangeStandard;
}

/** A content of which some chunks have come. */
export interface Download {
  readonly revision: number;
  readonly size: number;
  readonly timeUs: number;
  readonly text: boolean;
  readonly pieces: readonly Uint8Array[];
  readonly length: number;
}

export interface Replica {
  readonly collection: string;
  /** Empty before the first exchange. */
  uid: Uint8Array;
  /** How far the server's changes were taken; an empty token before the first page. */
  checkpoint: Checkpoint;
  /** The latest revision that was heard of beyond the checkpoint; an empty token where there is none. */
  witness: Checkpoint;
  lineage: readonly Epoch[];
  /** As last heard from the server. */
  limits: Limits;
  /** Count and sum over the fingerprints of all bases. */
  total: RangeSum;
  entries: Map<string, Entry>;
  conflicts: readonly ConflictRecord[];
  downloads: Map<string, Download>;
  lastSequence: number;
  /** The latest modify time that was given out or heard of: a hybrid logical clock. */
  lastTimeUs: number;
  /** The end of the exchange that was begun last: there is one at a time. */
  exchange: Promise<unknown>;
}

/** What this side refuses by itself, with a reason of error.proto (without its prefix). */
export class ClientError extends Error {
  readonly reason: string;

  constructor(reason: string, message: string) {
    super(message);
    this.reason = reason;
  }
}

export const NO_CHECKPOINT: Checkpoint = { token: Buffer.alloc(0), revision: 0 };
/** Fingerprint of a state whose content did not agree with what it was told with: it has to be fetched. */
export const UNPROVED = new Uint8Array(0);
const NO_STANDARD = ChangeStandard.CHANGE_STANDARD_UNSPECIFIED;
const NO_REASON = ErrorReason.ERROR_REASON_UNSPECIFIED;
const NOT_PENDING: Pending = {
  sequence: 0,
  sendings: [],
  overrides: NO_STANDARD,
  held: false,
  group: 0,
  rejected: NO_REASON,
  upload: undefined,
};
const MOST_AHEAD_US = 60_000_000;
/** Larger contents travel in chunks. */
export const WHOLE_BYTES = 1024 * 1024;
/** The limits of a server that has not said anything else. */
export const DEFAULT_LIMITS: Limits = {
  inlineBytes: 16 * 1024,
  eagerBytes: 512 * 1024,
  messageBytes: 128 * 1024,
  itemBytes: 64 * 1024 * 1024,
  windowBytes: 4 * 1024 * 1024,
  windowItems: 16_384,
  groupItems: 1000,
  groupBytes: 1024 * 1024,
};

/** A new, empty replica of a collection. */
export function createReplica(collection: string): Replica {
  const isName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(collection);
  if (!isName)
    throw new ClientError("INVALID_COLLECTION_NAME", `${JSON.stringify(collection)} is no name of a collection`);
  return {
    collection,
    uid: Buffer.alloc(0),
    checkpoint: NO_CHECKPOINT,
    witness: NO_CHECKPOINT,
    lineage: [],
    limits: DEFAULT_LIMITS,
    total: NOTHING,
    entries: new Map(),
    conflicts: [],
    downloads: new Map(),
    lastSequence: 0,
    lastTimeUs: 0,
    exchange: Promise.resolve(),
  };
}

// ---- for the application

/** A content with its fingerprint. */
export function versionOf(id: string, bytes: Uint8Array, text: boolean): Version {
  return { fingerprint: fingerprintOf(id, bytes), bytes, text };
}

/** A change that the application makes: a new version, or undefined, which deletes the item. */
export interface Write {
  readonly id: string;
  readonly version: Version | undefined;
}

/** Makes changes, all or none; with `atomic` they are a group, with all that is pending in a group with one of them. */
export function write(replica: Replica, writes: readonly Write[], nowUs: number, atomic = false): void {
  for (const { id, version } of writes) check(replica, id, version);
  const entries = new Map(writes.map(({ id }) => [id, entryOf(replica, id)]));
  if (atomic && entries.size < writes.length)
    throw new ClientError("DUPLICATE_ID", "an id stands twice in one transaction");
  const changes = writes.filter(({ id, version }) => !same(entries.get(id)?.mine?.fingerprint, version?.fingerprint));
  const changed = changes.flatMap(({ id }) => entries.get(id) ?? []);
  // A change by itself stays in the group that it is pending in.
  const together = atomic || writes.length === 1;
  const group = together ? [...new Set(changed.flatMap((entry) => [entry, ...groupOf(replica, entry)]))] : [];
  const versions = new Map(changes.map(({ id, version }) => [id, version]));
  checkGroup(replica, group, versions);
  const timeUs = Math.max(nowUs, replica.lastTimeUs + 1);
  for (const entry of changed) writeOne(replica, entry, versions.get(entry.id), timeUs);
  // A number that no other group has, also where the changes undid what was pending. What is left alone is in none.
  replica.lastSequence += 1;
  const left = group.flatMap(({ pending }) => pending ?? []);
  for (const pending of left) pending.group = left.length > 1 ? replica.lastSequence : 0;
}

/** Refuses what would make a group too large: its members, with these versions in place of theirs. */
function checkGroup(
  { limits: { groupItems, groupBytes } }: Replica,
  members: readonly Entry[],
  versions: ReadonlyMap<string, Version | undefined>,
): void {
  const bytes = members.reduce((sum, { id, mine }) => sum + sizeOf(id, versions.has(id) ? versions.get(id) : mine), 0);
  // Whatever the server says: a content in chunks is no member of a group.
  if (members.length > 1 && (members.length > groupItems || bytes > Math.min(groupBytes, WHOLE_BYTES)))
    throw new ClientError("GROUP_INVALID", "the atomic group is too large");
}

function check({ limits: { itemBytes } }: Replica, id: string, version: Version | undefined): void {
  if (!isId(id)) throw new ClientError("INVALID_ID", `${JSON.stringify(id)} is no id`);
  if ((version?.bytes.length ?? 0) > itemBytes)
    throw new ClientError("ITEM_TOO_LARGE", `a content may have ${itemBytes} bytes`);
}

/** What a change counts in the window, and in an atomic group. */
export function sizeOf(id: string, version: Version | undefined): number {
  return Buffer.byteLength(id) + (version?.bytes.length ?? 0) + 64;
}

function writeOne(replica: Replica, entry: Entry, mine: Version | undefined, timeUs: number): void {
  const { pending, base } = entry;
  replica.lastTimeUs = timeUs;
  entry.mine = mine;
  entry.timeUs = timeUs;
  // Back to what the server has: nothing is left to send. But what was sent, or overrides another change, goes on.
  const isBack = pending !== undefined && same(base?.fingerprint, mine?.fingerprint);
  if (isBack && pending.sendings.length === 0 && pending.overrides === NO_STANDARD) {
    entry.pending = undefined;
    entry.timeUs = base?.timeUs ?? timeUs;
  } else entry.pending = newPending(replica, pending ?? NOT_PENDING);
  keep(replica, entry);
}

/** A pending change with a number of its own; it goes on from the one before it. */
function newPending(replica: Replica, before: Pending): Pending {
  replica.lastSequence += 1;
  return { ...before, sequence: replica.lastSequence, rejected: NO_REASON, upload: undefined };
}

/** Ends a conflict that is held, with all of its group: mine prevails, or theirs does, or both give way to a version. */
export function resolve(replica: Replica, id: string, how: "mine" | "theirs" | Write, nowUs: number): void {
  const held = entryOf(replica, id);
  if (!held.pending?.held) throw new ClientError("ITEM_HELD", "the item is not held");
  const group = groupOf(replica, held);
  if (typeof how === "object") {
    check(replica, id, how.version);
    checkGroup(replica, group, new Map([[id, how.version]]));
  }
  const manual = ChangeStandard.CHANGE_STANDARD_MANUAL;
  for (const entry of group) {
    if (how === "theirs") takeTheirs(replica, entry, entry.base ?? stateOf(entry.id), manual, nowUs);
    else if (entry.pending) entry.pending = { ...newPending(replica, entry.pending), held: false, overrides: manual };
  }
  if (typeof how === "string" || same(how.version?.fingerprint, held.mine?.fingerprint)) return;
  if (held.base !== undefined && same(how.version?.fingerprint, held.base.fingerprint)) {
    takeTheirs(replica, held, { ...held.base, version: how.version }, manual, nowUs);
  } else {
    keepRecord(replica, held, how.version?.fingerprint, manual);
    writeOne(replica, held, how.version, Math.max(nowUs, replica.lastTimeUs + 1));
  }
}

/** Pending changes in the order in which they were made. */
export function listPending(replica: Replica): Entry[] {
  const entries = [...replica.entries.values()].filter(({ pending }) => pending !== undefined);
  return entries.sort((a, b) => (a.pending?.sequence ?? 0) - (b.pending?.sequence ?? 0));
}

// ---- for the exchange

/** The entry of an item; one that nothing is known of has an empty one. */
export function entryOf(replica: Replica, id: string): Entry {
  return replica.entries.get(id) ?? { id, mine: undefined, timeUs: 0, base: undefined, pending: undefined };
}

/** All members of a pending change's atomic group; without a group, the change alone. */
export function groupOf(replica: Replica, entry: Entry): Entry[] {
  const group = entry.pending?.group ?? 0;
  return group === 0 ? [entry] : listPending(replica).filter(({ pending }) => pending?.group === group);
}

/** A state with its content at hand; without one, the item is deleted or was never there. */
export function stateOf(id: string, version?: Version, revision = 0, timeUs = 0): State {
  return { id, fingerprint: version?.fingerprint, revision, timeUs, size: version?.bytes.length ?? 0, version };
}

/** The item becomes what the server has. With a standard, mine gave way by it, and is kept in a record. */
export function takeTheirs(
  replica: Replica,
  entry: Entry,
  theirs: State,
  standard: ChangeStandard | undefined,
  nowUs: number,
): void {
  if (theirs.fingerprint !== undefined && theirs.version === undefined) throw new Error("its content is not at hand");
  const differs = !same(entry.mine?.fingerprint, theirs.fingerprint);
  if (standard !== undefined && differs) keepRecord(replica, entry, theirs.fingerprint, standard);
  entry.mine = theirs.version;
  entry.timeUs = theirs.timeUs;
  entry.pending = undefined;
  // A clock far ahead of ours must not carry ours away.
  replica.lastTimeUs = Math.max(replica.lastTimeUs, Math.min(theirs.timeUs, nowUs + MOST_AHEAD_US));
  moveBase(replica, entry, theirs);
}

/** The pending change stays, on what the server has now: whatever was sent of it before is settled. */
export function standOn(replica: Replica, entry: Entry, theirs: State, overrides: ChangeStandard, held: boolean): void {
  if (entry.pending === undefined) return;
  entry.pending = { ...entry.pending, sendings: [], overrides, held };
  moveBase(replica, entry, theirs);
}

/** The server has what mine is, as of this revision: nothing is left to send. */
export function agree(replica: Replica, entry: Entry, revision: number): void {
  entry.pending = undefined;
  moveBase(replica, entry, stateOf(entry.id, entry.mine, revision, entry.timeUs));
}

/** A clean item is pending again: the server, which was restored to an earlier time, lost it. */
export function offer(replica: Replica, entry: Entry, theirs: State, overrides: ChangeStandard, held: boolean): void {
  if (entry.mine === undefined) return;
  entry.pending = { ...newPending(replica, NOT_PENDING), overrides, held };
  // Where nothing is known of it at the server, not even of a deletion, it is a creation.
  moveBase(replica, entry, theirs.revision === 0 ? undefined : theirs);
}

/** The only place where a base changes: the sum over all bases changes with it. */
export function moveBase(replica: Replica, entry: Entry, base: State | undefined): void {
  replica.total = plus(minus(replica.total, sumOf(entry.base?.fingerprint)), sumOf(base?.fingerprint));
  entry.base = base;
  keep(replica, entry);
}

/** Stores an entry; of an item that is gone on both sides nothing is kept. */
function keep(replica: Replica, entry: Entry): void {
  if (entry.mine === undefined && entry.pending === undefined) replica.entries.delete(entry.id);
  else replica.entries.set(entry.id, entry);
}

function keepRecord(
  replica: Replica,
  { id, mine, timeUs }: Entry,
  prevailed: Uint8Array | undefined,
  standard: ChangeStandard,
): void {
  replica.conflicts = [...replica.conflicts, { id, version: mine, timeUs, prevailed, standard }];
}

/** A revision that the server spoke of: a server that does not know it any more was restored to before it. */
export function hear(replica: Replica, witness: Checkpoint): void {
  if (witness.revision > replica.checkpoint.revision) replica.witness = later(replica.witness, witness);
}

/** The later of two checkpoints. */
export function later(one: Checkpoint, other: Checkpoint | undefined): Checkpoint {
  return other !== undefined && other.revision > one.revision ? other : one;
}

/** All changes up to a checkpoint have been taken. Stored together with the last of them. */
export function stand(replica: Replica, checkpoint: Checkpoint): void {
  replica.checkpoint = checkpoint;
  if (replica.witness.revision <= checkpoint.revision) replica.witness = NO_CHECKPOINT;
}
