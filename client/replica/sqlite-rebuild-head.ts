import { checkCollectionName } from "../../core/id.js";
import { Opened } from "../../gen/tercet/v1/sync.js";
import type { Ledger } from "./books.js";
import type { ReplicaState } from "./replica-state.js";
import type { Salvage } from "./sqlite-rebuild-read.js";
import type { Row } from "./sqlite-rebuild-record.js";
import { FAR, isBytes, isWhole, timeOf } from "./sqlite-rebuild-values.js";

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
  readonly recovering: ReplicaState["recovering"];
  readonly lastConflict: number;
  readonly lastSequence: number;
  readonly lastTimeUs: number;
  readonly sentThrough: number;
}

/** Reads which replica it is. What can't be believed is left out. */
export function readIdentity(salvage: Salvage): Identity {
  const row = onlyRow(salvage, "replica");
  const [collection, replicaId, uid, settings] = [1, 2, 3, 4].map((column) => row?.value(column));
  const named = typeof collection === "string" && checkCollectionName(collection) === undefined;
  return {
    collection: named ? collection : undefined,
    replicaId: isBytes(replicaId, 16) ? replicaId : undefined,
    collectionUid: isBytes(uid, 16) ? uid : NOTHING,
    settings: believableSettings(settings),
    lineage: readLineage(salvage),
  };
}

/** Without the tag, by which they would never be told again though a bit of them may have flipped. */
function believableSettings(value: unknown): Uint8Array {
  if (!(value instanceof Uint8Array) || value.length === 0) return NOTHING;
  const opened = decodeOpened(value);
  const limits = Object.values(opened?.limits ?? {});
  if (opened === undefined || limits.length === 0) return NOTHING;
  if (!isWhole(opened.skewUs) || !limits.every((limit) => isWhole(limit) && limit > 0)) return NOTHING;
  return Buffer.from(Opened.encode({ ...opened, tag: Buffer.alloc(0) }).finish());
}

function decodeOpened(value: Uint8Array): Opened | undefined {
  try {
    return Opened.decode(value);
  } catch {
    return undefined;
  }
}

function readLineage(salvage: Salvage): Ledger["lineage"] {
  const epochs: { readonly id: unknown; readonly firstRevision: unknown }[] = [];
  const gaps = salvage.tree("lineage").visit((row) => epochs.push({ id: row.value(1), firstRevision: row.value(2) }));
  const right = epochs.every(({ id, firstRevision }) => id instanceof Uint8Array && isWhole(firstRevision));
  return right && gaps.length === 0 ? (epochs as Ledger["lineage"]) : [];
}

/** Columns of `progress`. */
const PROGRESS = {
  revision: 2,
  witness: 4,
  pending: 6,
  conflicts: 9,
  lastSequence: 10,
  lastConflict: 11,
  lastTimeUs: 12,
  sentThrough: 15,
  lostAfter: 16,
  recoveryReason: 17,
};

/** Reads how far it has come. */
export function readProgress(salvage: Salvage, nowUs: number): Progress {
  const row = onlyRow(salvage, "progress");
  const whole = (column: keyof typeof PROGRESS): number | undefined => {
    const value = row?.value(PROGRESS[column]);
    return isWhole(value) ? value : undefined;
  };
  const lostAfter = whole("lostAfter");
  const why = row?.value(PROGRESS.recoveryReason) === "asked" ? "asked" : "history";
  const lastConflict = whole("lastConflict") ?? 0;
  return {
    pending: whole("pending"),
    conflicts: whole("conflicts"),
    heard: row === undefined ? undefined : Math.max(whole("revision") ?? 0, whole("witness") ?? 0),
    recovering: lostAfter === undefined ? undefined : { lostAfter, why },
    lastConflict: lastConflict < FAR ? lastConflict : 0,
    lastSequence: whole("lastSequence") ?? Number.MAX_SAFE_INTEGER,
    lastTimeUs: timeOf(whole("lastTimeUs"), nowUs),
    sentThrough: whole("sentThrough") ?? Number.MAX_SAFE_INTEGER,
  };
}

/** The row of a table that has one. */
function onlyRow(salvage: Salvage, table: string): Row | undefined {
  let found: Row | undefined;
  salvage.tree(table).visit((row) => {
    if (row.key === 1) found ??= row;
  });
  return found;
}
