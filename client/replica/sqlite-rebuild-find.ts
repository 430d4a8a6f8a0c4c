import { type Content, contentSize } from "../../core/content.js";
import { fingerprintOf, sameFingerprint } from "../../core/fingerprint.js";
import { checkCollectionName, checkId } from "../../core/id.js";
import type { Database } from "../../core/sqlite.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import { Opened } from "../../gen/tercet/v1/sync.js";
import type { Ledger } from "./books.js";
import type { LocalConflict } from "./local-conflicts.js";
import { newPending } from "./local-rules.js";
import type { BaseState } from "./local-state.js";
import type { PendingRow } from "./rows.js";
import { MADE_THROUGH } from "./sqlite-made.js";
import { attempt, type KeyedRow, readTable } from "./sqlite-rebuild-read.js";
import { CREATION_COLUMNS, PENDING_COLUMNS, type PendingTuple, toPendingRow } from "./sqlite-rows.js";

/*
 * What of a damaged replica can be believed. A flipped bit may leave a row that reads well:
 *
 *   - A content is believed where it has the fingerprint that the item or the change keeps of it, which covers the id, too.
 *   - A deletion is believed where its base's content has the base's fingerprint, or where the index of the ids says the
 *     same as the row.
 *   - A base is believed unless its revision is beyond everything that the replica has heard of. A wrong one is in
 *     conflict with the server's state: it can't make anything prevail unseen.
 *   - An item is held where the row or the index says so: what is not decided is not sent.
 *   - Where it is not known whether a change was sent, it counts as sent.
 */

/** A pending change that was found. */
export interface FoundChange {
  readonly row: PendingRow;
  /** Reads the content again; undefined for a deletion, and for a base whose content is not known. */
  readonly content: () => Content | undefined;
  readonly baseContent: () => Content | undefined;
  readonly sendings: readonly (Uint8Array | undefined)[];
  /** Only the item was found. */
  readonly baseless: boolean;
  /** Others of its atomic group may be missing. */
  readonly broken: boolean;
}

/** A conflict record that was found, without its content. */
export interface FoundRecord extends Omit<LocalConflict, "content" | "text"> {
  readonly content: () => Content | undefined;
}

/** What was found of a replica. */
export interface Found extends Pick<Ledger, "collectionUid" | "settings" | "lineage" | "lastTimeUs" | "lastConflict"> {
  readonly collection: string | undefined;
  readonly replicaId: Uint8Array | undefined;
  readonly changes: readonly FoundChange[];
  readonly conflicts: readonly FoundRecord[];
  readonly lost: readonly string[];
  /** What the file counts. */
  readonly counted: { readonly pending: number | undefined; readonly conflicts: number | undefined };
}

const NOTHING = new Uint8Array(0);
/** How far ahead of the clock a time may be. */
const MAX_AHEAD_US = 60_000_000;
/** Keys are looked for up to here where the file does not tell. */
const FAR = 2 ** 40;

interface Progress {
  readonly pending: number | undefined;
  readonly conflicts: number | undefined;
  readonly heard: number | undefined;
  readonly lastConflict: number;
  readonly lastTimeUs: number;
  readonly sentThrough: number;
}

/** Reads all that a rebuilt replica keeps. */
export function readReplica(db: Database, nowUs: number): Found {
  const progress = readProgress(db, nowUs);
  const found = readChanges(db, progress, nowUs);
  return {
    ...readIdentity(db),
    ...found,
    lineage: readLineage(db),
    conflicts: readConflicts(db, nowUs),
    lastConflict: progress.lastConflict,
    lastTimeUs: progress.lastTimeUs,
    counted: { pending: progress.pending, conflicts: progress.conflicts },
  };
}

function readIdentity(db: Database): Pick<Found, "collection" | "replicaId" | "collectionUid" | "settings"> {
  const row =
    attempt(() =>
      db.prepare<[], unknown[]>("SELECT collection, replica_id, collection_uid, settings FROM replica").raw().get(),
    ) ?? [];
  const [collection, replicaId, uid, settings] = row;
  const named = typeof collection === "string" && checkCollectionName(collection) === undefined;
  return {
    collection: named ? collection : undefined,
    replicaId: isBytes(replicaId, 16) ? replicaId : undefined,
    collectionUid: isBytes(uid, 16) ? uid : NOTHING,
    settings: believableSettings(settings),
  };
}

/** Without the tag, by which they would never be told again though a bit of them may have flipped. */
function believableSettings(value: unknown): Uint8Array {
  if (!(value instanceof Uint8Array) || value.length === 0) return NOTHING;
  const opened = attempt(() => Opened.decode(value));
  const limits = Object.values(opened?.limits ?? {});
  if (opened === undefined || limits.length === 0) return NOTHING;
  if (!isWhole(opened.skewUs) || !limits.every((limit) => isWhole(limit) && limit > 0)) return NOTHING;
  return Buffer.from(Opened.encode({ ...opened, tag: Buffer.alloc(0) }).finish());
}

function readLineage(db: Database): Ledger["lineage"] {
  const rows =
    attempt(() => db.prepare<[], unknown[]>("SELECT id, first_revision FROM lineage ORDER BY ordinal").raw().all()) ??
    [];
  const epochs = rows.map(([id, firstRevision]) => ({ id, firstRevision }));
  const right = epochs.every(({ id, firstRevision }) => id instanceof Uint8Array && isWhole(firstRevision));
  return right ? (epochs as Ledger["lineage"]) : [];
}

function readProgress(db: Database, nowUs: number): Progress {
  const row =
    attempt(() =>
      db
        .prepare<[], unknown[]>(
          `SELECT pending, conflicts, revision, witness_revision, last_conflict, last_time_us, sent_through FROM progress`,
        )
        .raw()
        .get(),
    ) ?? [];
  const [pending, conflicts, revision, witness, lastConflict, lastTimeUs, sentThrough] = row;
  const heard = Math.max(isWhole(revision) ? revision : 0, isWhole(witness) ? witness : 0);
  return {
    pending: isWhole(pending) ? pending : undefined,
    conflicts: isWhole(conflicts) ? conflicts : undefined,
    heard: row.length === 0 ? undefined : heard,
    lastConflict: isWhole(lastConflict) && lastConflict < FAR ? lastConflict : 0,
    lastTimeUs: isWhole(lastTimeUs) && lastTimeUs <= nowUs + MAX_AHEAD_US ? lastTimeUs : 0,
    sentThrough: isWhole(sentThrough) ? sentThrough : Number.MAX_SAFE_INTEGER,
  };
}

function readChanges(db: Database, progress: Progress, nowUs: number): Pick<Found, "changes" | "lost"> {
  const table = { table: "pending", key: "pending.sequence", columns: PENDING_COLUMNS };
  const { rows, gaps } = readTable(db, table, lastKey(db, "pending", "sequence"));
  const { items, creations } = readPendingItems(db);
  const reader = changeReader(db, items, nowUs);
  const changes = new Map<string, FoundChange>();
  const lost = new Set<string>();
  for (const [, ...tuple] of [...rows, ...creations].sort((a, b) => Number(a[1]) - Number(b[1]))) {
    const row = toRow(tuple, progress, nowUs);
    if (row === undefined || changes.has(row.id)) continue;
    const change = reader.change(row);
    if (change === undefined) lost.add(row.id);
    else changes.set(row.id, change);
  }
  for (const id of items.keys()) {
    if (changes.has(id)) continue;
    const change = reader.item(id);
    if (change !== undefined) changes.set(id, change);
    else if (!reader.isClean(id)) lost.add(id);
  }
  for (const id of changes.keys()) lost.delete(id);
  const believed = believeBases([...changes.values()], progress.heard);
  return { changes: breakGroups(believed, lostGroups(rows, lost), gaps), lost: [...lost] };
}

/** Ids of items that have a pending change, and where they are in the table; of creations without a row, what that would be. */
function readPendingItems(db: Database): { readonly items: Map<string, number>; readonly creations: KeyedRow[] } {
  // Where it is not known what was made, it counts as pending: the server says then that it has it.
  const made = attempt(() => db.prepare<[], unknown>(`SELECT ${MADE_THROUGH}`).pluck().get());
  const where = `pending = 1 AND (creation IS NULL OR creation > ${isWhole(made) ? made : 0})`;
  const query = { table: "items", key: "items.rowid", columns: CREATION_COLUMNS, where };
  const items = new Map<string, number>();
  const creations: KeyedRow[] = [];
  for (const row of readTable(db, query, lastKey(db, "items", "rowid")).rows) {
    const [rowid, sequence, id] = row;
    if (typeof id !== "string" || checkId(id) !== undefined) continue;
    items.set(id, rowid);
    if (isWhole(sequence)) creations.push(row);
  }
  return { items, creations };
}

function lastKey(db: Database, table: string, key: string): number {
  const last = attempt(() => db.prepare<[], unknown>(`SELECT max(${key}) FROM ${table} NOT INDEXED`).pluck().get());
  if (last === null) return 0;
  return isWhole(last) && last < FAR ? last : FAR;
}

/** A row that has the form of one. */
function toRow(tuple: readonly unknown[], { sentThrough }: Progress, nowUs: number): PendingRow | undefined {
  const [sequence, id, fingerprint, , timeUs, revision, baseFingerprint, overrides, , , sent, , baseTimeUs] = tuple;
  const well =
    isWhole(sequence) &&
    typeof id === "string" &&
    checkId(id) === undefined &&
    (fingerprint === null || isBytes(fingerprint, 32));
  if (!well) return undefined;
  const hasBase = isWhole(revision) && (baseFingerprint === null || isBytes(baseFingerprint, 32));
  const row = toPendingRow(tuple as unknown as PendingTuple, { through: sentThrough });
  const base: BaseState | undefined = hasBase
    ? { fingerprint: row.base?.fingerprint, revision, modifyTimeUs: timeOf(baseTimeUs, nowUs) }
    : undefined;
  return {
    ...row,
    base,
    modifyTimeUs: timeOf(timeUs, nowUs),
    overrides: isStandard(overrides) ? overrides : undefined,
    rejected: undefined,
    baseLarge: undefined,
    sent: row.sent || ![0, 1, 2].includes(sent as number),
    group: isWhole(row.group) ? row.group : 0,
  };
}

interface ChangeReader {
  /** The change of a row, undefined where it can't be believed. */
  change(row: PendingRow): FoundChange | undefined;
  /** The change of an item without a row. */
  item(id: string): FoundChange | undefined;
  /** The indices say that nothing is pending of it. */
  isClean(id: string): boolean;
}

function changeReader(db: Database, items: ReadonlyMap<string, number>, nowUs: number): ChangeReader {
  const columns = "SELECT content, fingerprint, modify_time_us FROM items";
  const large = contentReader(db);
  const byId = db.prepare<[string], unknown[]>(`${columns} WHERE id = ?`).raw();
  const byRow = db.prepare<[number], unknown[]>(`${columns} NOT INDEXED WHERE rowid = ?`).raw();
  const baseContent = db.prepare<[number], unknown>("SELECT base_content FROM pending WHERE sequence = ?").pluck();
  const indexed = db
    .prepare<[string], unknown>("SELECT sequence FROM pending INDEXED BY sqlite_autoindex_pending_1 WHERE id = ?")
    .pluck();
  let created: ReadonlySet<unknown> | undefined;
  const heldIds = new Set(
    attempt(() =>
      db.prepare<[], unknown>("SELECT id FROM pending INDEXED BY pending_held WHERE held = 1").pluck().all(),
    ) ?? [],
  );
  const sendings = db.prepare<[string], unknown>("SELECT fingerprint FROM sendings WHERE id = ?").pluck();

  /** Rows of all creations, by their index. */
  function creations(): ReadonlySet<unknown> {
    const query = "SELECT rowid FROM items INDEXED BY items_creation WHERE creation IS NOT NULL";
    created ??= new Set(db.prepare<[], unknown>(query).pluck().all());
    return created;
  }

  function isClean(id: string): boolean {
    return attempt(() => indexed.get(id) === undefined && !creations().has(items.get(id))) === true;
  }

  /** The item's content, with the fingerprint that it has. */
  function contentOf(id: string, expected: Uint8Array | undefined) {
    const rowid = items.get(id);
    const reads = [() => byId.get(id), ...(rowid === undefined ? [] : [() => byRow.get(rowid)])];
    for (const read of reads) {
      const [stored, kept, timeUs] = attempt(read) ?? [];
      const content = large(stored);
      if (content === undefined) continue;
      const fingerprint = fingerprintOf(id, content);
      const right = sameFingerprint(fingerprint, expected) || (isBytes(kept, 32) && sameFingerprint(fingerprint, kept));
      if (right) return { content, fingerprint, timeUs: timeOf(timeUs, nowUs) };
    }
    return undefined;
  }

  function sent(id: string): (Uint8Array | undefined)[] {
    const found = attempt(() => sendings.all(id)) ?? [];
    return found.flatMap((each) => (isBytes(each, 32) ? [each] : isBytes(each, 0) ? [undefined] : []));
  }

  return {
    isClean,
    change(row) {
      const { id, base } = row;
      const readBase = (): Content | undefined => large(attempt(() => baseContent.get(row.sequence)));
      const read = base?.fingerprint === undefined ? undefined : readBase();
      const known = read !== undefined && sameFingerprint(fingerprintOf(id, read), base?.fingerprint);
      const item = contentOf(id, row.fingerprint);
      const isDeletion = row.fingerprint === undefined && item === undefined && !items.has(id);
      if (item === undefined && !isDeletion) return undefined;
      if (isDeletion && !known && attempt(() => indexed.get(id)) !== row.sequence) return undefined;
      const earlier = sent(id);
      const held = base !== undefined && (row.held || heldIds.has(id));
      return {
        row: {
          ...row,
          fingerprint: item?.fingerprint,
          size: item === undefined ? 0 : contentSize(item.content),
          held,
          sent: row.sent && !held,
          resent: earlier.length > 0,
        },
        content: () => item && contentOf(id, item.fingerprint)?.content,
        baseContent: known ? readBase : nothing,
        sendings: earlier,
        baseless: false,
        broken: false,
      };
    },
    item(id) {
      const item = contentOf(id, undefined);
      if (item === undefined || isClean(id)) return undefined;
      const { content, fingerprint, timeUs } = item;
      const earlier = sent(id);
      const mine = { fingerprint, size: contentSize(content), modifyTimeUs: timeUs, sent: true };
      const row = { ...newPending(id, Number.MAX_SAFE_INTEGER), ...mine, resent: earlier.length > 0 };
      const again = (): Content | undefined => contentOf(id, fingerprint)?.content;
      return { row, content: again, baseContent: nothing, sendings: earlier, baseless: true, broken: false };
    },
  };
}

/** Bases of revisions that nobody has heard of are left out; unless they are many: then it is the replica's own that is wrong. */
function believeBases(changes: readonly FoundChange[], heard: number | undefined): FoundChange[] {
  const isBeyond = ({ row }: FoundChange): boolean =>
    heard !== undefined && row.base !== undefined && row.base.revision > heard;
  if (changes.filter(isBeyond).length * 2 > changes.length) return [...changes];
  return changes.map((change) => {
    if (!isBeyond(change)) return change;
    return { ...change, row: { ...change.row, base: undefined, held: false }, baseContent: nothing, baseless: true };
  });
}

function lostGroups(rows: readonly KeyedRow[], lost: ReadonlySet<string>): Set<number> {
  const groups = new Set<number>();
  for (const [, ...tuple] of rows) {
    const { 1: id, 14: group } = tuple as unknown as PendingTuple;
    if (lost.has(id) && isWhole(group) && group > 0) groups.add(group);
  }
  return groups;
}

/** A group whose numbers reach into what could not be read, or that lost a member, is none any more. */
function breakGroups(
  changes: readonly FoundChange[],
  lost: ReadonlySet<number>,
  gaps: readonly (readonly [number, number])[],
): FoundChange[] {
  const first = new Map<number, number>();
  for (const { row } of changes) {
    first.set(row.group, Math.min(first.get(row.group) ?? row.sequence, row.sequence));
  }
  const isBroken = (group: number): boolean =>
    lost.has(group) || gaps.some(([from, to]) => from <= group + 1 && to >= (first.get(group) ?? group) - 1);
  return changes.map((change) => {
    const { group } = change.row;
    if (group === 0 || !isBroken(group)) return change;
    return { ...change, row: { ...change.row, group: 0 }, broken: true };
  });
}

function readConflicts(db: Database, nowUs: number): FoundRecord[] {
  const columns = "id, fingerprint, prevailed, standard, record_time_us, modify_time_us";
  const query = { table: "conflicts", key: "conflicts.number", columns };
  const content = db.prepare<[number], unknown>("SELECT content FROM conflicts WHERE number = ?").pluck();
  const large = contentReader(db);
  return readTable(db, query, lastKey(db, "conflicts", "number")).rows.flatMap((row): FoundRecord[] => {
    const [number, id, fingerprint, prevailed, standard, recordTimeUs, modifyTimeUs] = row;
    if (typeof id !== "string" || checkId(id) !== undefined) return [];
    const read = (): Content | undefined => large(attempt(() => content.get(number)));
    const version = read();
    if (version === undefined && fingerprint !== null) return [];
    const actual = version === undefined ? undefined : fingerprintOf(id, version);
    if (actual !== undefined && !(isBytes(fingerprint, 32) && sameFingerprint(actual, fingerprint))) return [];
    return [
      {
        number,
        id,
        fingerprint: actual,
        prevailed: isBytes(prevailed, 32) ? prevailed : undefined,
        standard: isStandard(standard) ? standard : ChangeStandard.CHANGE_STANDARD_UNSPECIFIED,
        recordTimeUs: timeOf(recordTimeUs, nowUs) || nowUs,
        modifyTimeUs: timeOf(modifyTimeUs, nowUs),
        size: version === undefined ? 0 : contentSize(version),
        content: read,
      },
    ];
  });
}

/** Reads the content of a column: a large one stands in pieces under the key that the column has. */
function contentReader(db: Database): (stored: unknown) => Content | undefined {
  const find = attempt(() => db.prepare<[number], unknown[]>("SELECT size, text FROM large WHERE key = ?").raw());
  const pieces = attempt(() =>
    db.prepare<[number], unknown>("SELECT data FROM pieces WHERE key = ? ORDER BY offset").pluck(),
  );
  return (stored) => {
    if (isContent(stored)) return stored;
    if (!isWhole(stored)) return undefined;
    const [size, text] = attempt(() => find?.get(stored)) ?? [];
    const parts = attempt(() => pieces?.all(stored)) ?? [];
    if (!parts.every((part) => part instanceof Uint8Array)) return undefined;
    const whole = Buffer.concat(parts);
    if (whole.length !== size) return undefined;
    return text === 1 ? whole.toString() : whole;
  };
}

function nothing(): undefined {
  return undefined;
}

function isWhole(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isBytes(value: unknown, length: number): value is Buffer {
  return value instanceof Uint8Array && value.length === length;
}

function isContent(value: unknown): value is Content {
  return typeof value === "string" || value instanceof Uint8Array;
}

function isStandard(value: unknown): value is ChangeStandard {
  return isWhole(value) && value >= 1 && value <= ChangeStandard.CHANGE_STANDARD_MANUAL;
}

/** A time that can be right; else none. */
function timeOf(value: unknown, nowUs: number): number {
  return isWhole(value) && value <= nowUs + MAX_AHEAD_US ? value : 0;
}
