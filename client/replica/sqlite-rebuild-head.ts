import { checkCollectionName } from "../../core/id.js";
import type { Database } from "../../core/sqlite.js";
import { Opened } from "../../gen/tercet/v1/sync.js";
import type { Ledger } from "./books.js";
import { attempt, FAR } from "./sqlite-rebuild-read.js";
import { isBytes, isWhole, timeOf } from "./sqlite-rebuild-values.js";

const NOTHING = new Uint8Array(0);

/** Which replica it is, and of which collection. */
export interface Identity extends Pick<Ledger, "collectionUid" | "settings" | "lineage"> {
  readonly collection: string | undefined;
  readonly replicaId: Uint8Array | undefined;
}

/** How far it says it has come. */
export interface Progress {
  readonly pending: number | undefined;
  readonly conflicts: number | undefined;
  readonly heard: number | undefined;
  readonly lastConflict: number;
  readonly lastTimeUs: number;
  readonly sentThrough: number;
}

/** Reads which replica it is. What can't be believed is left out. */
export function readIdentity(db: Database): Identity {
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
    lineage: readLineage(db),
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

/** Reads how far it has come. */
export function readProgress(db: Database, nowUs: number): Progress {
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
    lastTimeUs: timeOf(lastTimeUs, nowUs),
    sentThrough: isWhole(sentThrough) ? sentThrough : Number.MAX_SAFE_INTEGER,
  };
}
