import { randomBytes } from "node:crypto";
import { existsSync, rmSync } from "node:fs";
import type { Content } from "../../core/content.js";
import { checkCollectionName } from "../../core/id.js";
import { WHOLE_BYTES } from "../../core/limits.js";
import { toStorageError } from "../../core/sqlite.js";
import { StorageError } from "../../core/storage-error.js";
import { toError } from "../error.js";
import { checkNamed, checkPath } from "../validate.js";
import { LOST_REVISION } from "./apply-batch.js";
import { closeBooks, emptyLedger, moveBase, openBooks } from "./books.js";
import type { Stored } from "./large.js";
import type { PendingRow } from "./rows.js";
import { sqliteLarge } from "./sqlite-large.js";
import { ledgerFile } from "./sqlite-ledger.js";
import { sqliteRanges } from "./sqlite-ranges.js";
import type { FoundChange } from "./sqlite-rebuild-change-reader.js";
import { type Found, readReplica } from "./sqlite-rebuild-find.js";
import { openSalvage } from "./sqlite-rebuild-read.js";
import { sqliteRows } from "./sqlite-rows.js";
import { createFile, openFile } from "./sqlite-schema.js";

/** How a replica is rebuilt. */
export interface RebuildOptions {
  /** Name of the collection, where the file does not tell it any more; else what the file tells. */
  readonly collection?: string;
}

/** What was saved of a damaged replica, and what was not. */
export interface RebuildReport {
  readonly collection: string;
  /** Pending changes that the new replica has, and how many of them are held in conflict. */
  readonly pending: number;
  readonly held: number;
  /** Conflict records that it has. */
  readonly conflicts: number;
  /**
   * Ids whose content was saved and nothing else that was known of their change: they are pending as if they were new, and
   * are in conflict with what the server has of them, if that is something else.
   */
  readonly baseless: readonly string[];
  /** Ids of pending changes that are lost: their content can't be read, or is not what it was. */
  readonly lost: readonly string[];
  /** Pending changes and conflict records that the file counts and that are not named above; undefined: it can't tell. */
  readonly missingPending: number | undefined;
  readonly missingConflicts: number | undefined;
  /** Ids of saved changes whose atomic group may lack members: they are pending by themselves now. */
  readonly brokenGroups: readonly string[];
}

/**
 * Makes a new replica with what can be read of a damaged one: which collection it belongs to, the pending changes whose
 * contents are what they were, with their bases, and the conflict records. What was agreed on with the server is left
 * behind: the next exchange takes everything from there again. The damaged file stays as it is; its directory and that of
 * the new one need room for a copy.
 *
 * @throws TercetError INVALID_FIELD, INVALID_COLLECTION_NAME; StorageError `failed` where there is no such file; `busy`;
 * `exists` where `newPath` exists; `foreign` where nothing of a replica is in the file; `damaged` where it does not tell its
 * collection, and `options` do not either.
 */
export function rebuildReplica(damagedPath: string, newPath: string, options: RebuildOptions = {}): RebuildReport {
  checkPath("damagedPath", damagedPath);
  checkPath("newPath", newPath);
  checkNamed(options, ["collection"]);
  const fault = options.collection === undefined ? undefined : checkCollectionName(options.collection);
  if (fault !== undefined) throw toError(fault);
  if (existsSync(newPath)) {
    throw new StorageError("exists", `cannot create a replica at ${newPath}: the file exists`);
  }
  const salvage = openSalvage(damagedPath, newPath);
  try {
    const found = readReplica(salvage, Date.now() * 1000);
    const collection = options.collection ?? found.collection;
    const empty = found.changes.length === 0 && found.conflicts.length === 0;
    if (found.collection === undefined && empty) {
      throw new StorageError("foreign", `${damagedPath} has nothing that could be read as a replica of Tercet`);
    }
    if (collection === undefined) {
      const message = `${damagedPath} does not tell the name of its collection any more: name it by the option collection`;
      throw new StorageError("damaged", message);
    }
    write(newPath, collection, found);
    return toReport(collection, found);
  } catch (error) {
    throw toStorageError(error, damagedPath);
  } finally {
    salvage.close();
  }
}

function toReport(collection: string, found: Found): RebuildReport {
  const { changes, conflicts, lost, counted } = found;
  const ids = (list: readonly FoundChange[]): string[] => list.map(({ row }) => row.id);
  const missing = (all: number | undefined, named: number) =>
    all === undefined ? undefined : Math.max(0, all - named);
  const known = changes.length + lost.length;
  return {
    collection,
    pending: changes.length,
    held: changes.filter(({ row }) => row.held).length,
    conflicts: conflicts.length,
    baseless: ids(changes.filter(({ baseless }) => baseless)),
    lost,
    missingPending: missing(counted.pending, known),
    missingConflicts: missing(counted.conflicts, conflicts.length),
    brokenGroups: ids(changes.filter(({ broken }) => broken)),
  };
}

/** Makes the new replica, in one transaction; where it fails, there is none. */
function write(path: string, collection: string, found: Found): void {
  createFile(path, collection, found.replicaId ?? randomBytes(16));
  try {
    const db = openFile(path, {});
    try {
      db.transaction(() => fill(db, path, found)).immediate();
    } finally {
      db.close();
    }
  } catch (error) {
    for (const suffix of ["", "-wal", "-shm"]) rmSync(path + suffix, { force: true });
    throw error;
  }
}

function fill(db: ReturnType<typeof openFile>, path: string, found: Found): void {
  const mark = { through: 0 };
  const file = ledgerFile(db, path);
  const { ledger } = file.load();
  const large = sqliteLarge(db, WHOLE_BYTES);
  const rows = sqliteRows(db, mark, large);
  const keep = (content: Content | undefined): Stored | undefined =>
    content === undefined ? undefined : rows.keep({ content });
  const books = openBooks({ ...emptyLedger(ledger.collection, ledger.replicaId) });
  for (const { row, content, baseContent, sendings } of renumber(found.changes)) {
    const { id, fingerprint, modifyTimeUs, base } = row;
    for (const sent of sendings) rows.addSending({ ...row, sequence: 0, fingerprint: sent });
    rows.insertPending(row, keep(baseContent()));
    const mine = keep(content());
    if (fingerprint !== undefined) {
      // It was read before.
      if (mine === undefined) throw new Error(`the content of ${JSON.stringify(id)} can't be read again`);
      rows.putItem(id, { fingerprint, revision: 0, modifyTimeUs }, mine, undefined);
      books.items += 1;
    }
    moveBase(books, id, undefined, base?.fingerprint);
    books.pending += 1;
    books.held += Number(row.held);
    books.lastSequence = row.sequence;
    books.lastTimeUs = Math.max(books.lastTimeUs, modifyTimeUs);
  }
  for (const record of found.conflicts) {
    rows.addConflict({ ...record, content: keep(record.content()) });
    books.conflicts += 1;
    books.lastConflict = Math.max(books.lastConflict, record.number);
  }
  books.lastConflict = Math.max(books.lastConflict, found.lastConflict);
  books.lastTimeUs = Math.max(books.lastTimeUs, found.lastTimeUs);
  books.collectionUid = found.collectionUid;
  books.settings = found.settings;
  books.lineage = found.lineage;
  // Without it whatever the server has is news beside what it lost.
  const hasLost = found.changes.some(({ row }) => row.base?.revision === LOST_REVISION);
  if (hasLost) books.recovering = found.recovering ?? { lostAfter: 0, why: "history" };
  const ranges = sqliteRanges(db);
  ranges.note(books);
  ranges.store();
  large.settle();
  file.save(ledger, closeBooks(books), 0, 0);
}

/** The changes in their order with sequence numbers from 1, the members of a group one behind the other. */
function renumber(changes: readonly FoundChange[]): FoundChange[] {
  const units = new Map<string, FoundChange[]>();
  for (const change of changes) {
    const { group, id } = change.row;
    const key = group === 0 ? `id ${id}` : `group ${group}`;
    const unit = units.get(key);
    if (unit === undefined) units.set(key, [change]);
    else unit.push(change);
  }
  const renumbered: FoundChange[] = [];
  for (const unit of units.values()) {
    const first = renumbered.length + 1;
    const isGroup = unit[0]?.row.group !== 0;
    unit.forEach((change, index) => {
      const row: PendingRow = {
        ...change.row,
        sequence: first + index,
        group: isGroup ? first + unit.length - 1 : 0,
      };
      renumbered.push({ ...change, row });
    });
  }
  return renumbered;
}
