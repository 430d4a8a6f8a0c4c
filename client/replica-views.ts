import type { Content } from "../core/content.js";
import { reasonName } from "../core/fault.js";
import { standardName } from "../core/standard.js";
import type { HeldItem, LocalConflict } from "./replica/local-conflicts.js";
import type { LocalItem, PendingChange } from "./replica/local-items.js";

/** An item as the application sees it. */
export interface Item {
  readonly id: string;
  /**
   * As it was put: text comes back as a string, bytes as bytes. One of more than 1 MiB is read when it is asked for, each
   * time anew and as a whole: it throws where the item has changed since or the replica is closed, and copying the item
   * (`{ ...item }`, JSON) reads it. See Replica.openContent for reading it piece by piece.
   */
  readonly content: Content;
  /** Bytes of it. */
  readonly size: number;
  /** It was put as text. */
  readonly text: boolean;
  /** SHA-256 over id, a zero byte and content: 64 hex digits. */
  readonly fingerprint: string;
  /** When it was changed, by the clock of whoever did. */
  readonly modifyTime: Date;
  /** The server does not have this state yet. */
  readonly pending: boolean;
}

/** A change that the server does not have yet. */
export interface Pending {
  readonly id: string;
  readonly kind: "upserted" | "deleted";
  /** Bytes of the content. */
  readonly size: number;
  readonly modifyTime: Date;
  /** Why the server did not accept it, if it was sent and rejected. It is tried again with every exchange. */
  readonly rejected: { readonly reason: string; readonly message: string } | undefined;
  /** Held in conflict: it is not sent until somebody resolves it. */
  readonly held: boolean;
  /** Changes of the same atomic group have the same number here; undefined: none. It changes with the group. */
  readonly group: number | undefined;
}

/** An item that is held in conflict: nobody has decided yet which version prevails. */
export interface Held {
  readonly id: string;
  /** Fingerprints of both versions: 64 hex digits; undefined where that side deleted the item. */
  readonly mine: string | undefined;
  readonly theirs: string | undefined;
  readonly mineTime: Date;
  /** When the server's version was made, and its revision: 0 where a server that was restored has lost it. */
  readonly theirsTime: Date;
  readonly theirsRevision: number;
  /** As in Pending: the items of a group are resolved together. */
  readonly group: number | undefined;
}

/** The same with the contents of both versions. */
export interface HeldVersions extends Held {
  /** Undefined where that side deleted the item, and for theirs also where its content is not known here. */
  readonly mineContent: Content | undefined;
  readonly theirsContent: Content | undefined;
}

/** A version of this replica that gave way to one of the server's. */
export interface Conflict {
  /** Number of the record in this replica. */
  readonly number: number;
  readonly id: string;
  /** What gave way: a content, or a deletion. */
  readonly kind: "upserted" | "deleted";
  /** The content that gave way; undefined for a deletion, and in lists. One of more than 1 MiB is read when asked for, as Item.content. */
  readonly content: Content | undefined;
  /** Bytes of it. */
  readonly size: number;
  /** Fingerprint of what gave way, and of what prevailed: 64 hex digits; undefined for a deletion. */
  readonly fingerprint: string | undefined;
  readonly prevailed: string | undefined;
  /** The standard by which it gave way, for example `SERVER`; `UNSPECIFIED` where it gave way to a version that was restored here. */
  readonly standard: string;
  readonly recordTime: Date;
  readonly modifyTime: Date;
}

/** An item of the store as the application sees it. */
export function toItem(item: LocalItem): Item {
  const { id, size, text, fingerprint, modifyTimeUs, pending } = item;
  return {
    id,
    get content() {
      return item.content;
    },
    size,
    text,
    fingerprint: hex(fingerprint),
    modifyTime: toDate(modifyTimeUs),
    pending,
  };
}

/** A pending change of the store as the application sees it. */
export function toPending({ id, kind, size, modifyTimeUs, rejected, held, group }: PendingChange): Pending {
  const why = rejected === undefined ? undefined : { reason: reasonName(rejected.reason), message: rejected.message };
  return { id, kind, size, modifyTime: toDate(modifyTimeUs), rejected: why, held, group: group || undefined };
}

/** A held item of the store as the application sees it. */
export function toHeld({ id, mine, theirs, mineTimeUs, theirsTimeUs, theirsRevision, group }: HeldItem): Held {
  return {
    id,
    mine: mine && hex(mine),
    theirs: theirs && hex(theirs),
    mineTime: toDate(mineTimeUs),
    theirsTime: toDate(theirsTimeUs),
    theirsRevision,
    group: group || undefined,
  };
}

/** A conflict record of the store as the application sees it. */
export function toConflict(record: LocalConflict): Conflict {
  const { number, id, size, fingerprint, prevailed, standard, recordTimeUs, modifyTimeUs } = record;
  return {
    number,
    id,
    kind: fingerprint === undefined ? "deleted" : "upserted",
    get content() {
      return record.content;
    },
    size,
    fingerprint: fingerprint === undefined ? undefined : hex(fingerprint),
    prevailed: prevailed === undefined ? undefined : hex(prevailed),
    standard: standardName(standard),
    recordTime: toDate(recordTimeUs),
    modifyTime: toDate(modifyTimeUs),
  };
}

function toDate(us: number): Date {
  return new Date(us / 1000);
}

/** Bytes as hex digits. */
export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}
