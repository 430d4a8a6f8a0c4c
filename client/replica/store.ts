import type { Content } from "../../core/content.js";
import type { ProvedColumns } from "../../core/item-columns.js";
import type { IdInterval, RangeEntry, RangePart } from "../../core/range-index.js";
import type { RangeTotal } from "../../core/range-sum.js";
import type { ErrorReason } from "../../gen/tercet/v1/error.js";
import type { ChangeStandard } from "../../gen/tercet/v1/item.js";
import type { SettledRun } from "./outgoing-columns.js";

/**
 * What a replica keeps, as a contract: the application's items, what is pending, and what the exchange has to remember.
 * SQLite and memory keep it. test/replica/contract.ts is run over both.
 *
 * An item has up to three faces:
 *   - *mine*: what the application sees (an item, or nothing);
 *   - *base*: what the replica last agreed on with the server (a fingerprint and a revision, or nothing). Of a clean item
 *     base and mine are the same;
 *   - *pending*: a mark that mine was changed since, with a sequence number of its own that grows with every local write.
 *
 * Obligations:
 *   - A method is one transaction, durable when it returns; `apply` alone need not be on the disk before the next other
 *     method that writes, or `flush`: what it brings can be had from the server again. Several that say `more` may be one
 *     transaction with what follows them. Transactions are never lost out of their order: where what was applied can't be
 *     kept after all, `apply`, `takeOutgoing` and `flush` throw from then on, until the next exchange has begun (`begin`). A
 *     local write and its pending mark are in one.
 *   - `total` is the count and sum over the *bases* (R6), kept with every change, never computed by a scan. A local write
 *     does not touch it.
 *   - What `takeOutgoing` returns is remembered as sent before it returns (R5): a version that was sent and then
 *     overwritten locally stays in the item's sendings until the base moves.
 *   - The base's content is kept while a change is pending, where it is known.
 *   - A content larger than WHOLE_BYTES is kept in pieces, and is never in memory as a whole unless somebody reads `content`
 *     of what is answered here, which reads it then. It moves between item, base and conflict record without being copied,
 *     and goes with what it belongs to.
 *   - Ids are ordered by their UTF-8 bytes.
 */
export interface ReplicaStore {
  // ---- for the application
  /** The item, or undefined. */
  get(id: string): LocalItem | undefined;
  /** Items in the order of their ids. */
  list(query: LocalListQuery): readonly LocalItem[];
  /**
   * Makes the changes, all or none, and marks them pending. Input is validated; each id at most once. With `group` those of
   * them that change anything become an atomic group, if there are two or more; a write to an item of a pending group, with
   * `group` or without, belongs to that group, and groups that share an item become one.
   *
   * `sending`: what is written is to be sent at once, and so it is remembered as sent (R5) in this very transaction, where
   * it is one whole change of an item that no group, no conflict and no earlier sending has a hand in; `takeOutgoing` then
   * has nothing left to make durable, and answers it as one that was not sent before.
   *
   * @throws GroupTooLarge where a pending group would come to have more than `groupLimits` allow: nothing is written.
   */
  write(changes: readonly LocalWrite[], nowUs: number, group?: GroupLimits, sending?: boolean): WriteResult;
  /** Pending changes by sequence number after `after`, at most `limit`, without contents. */
  listPending(after: number, limit: number): readonly PendingChange[];
  /** Conflict records, latest first, without contents: those with a number below `before`. */
  listConflicts(before: number, limit: number): readonly LocalConflict[];
  /** One conflict record with its content. */
  getConflict(number: number): LocalConflict | undefined;
  /** Content of the base of a pending change, where there is one and it is known: for merges, and for people. */
  getBaseContent(id: string): Content | undefined;
  /** The same, of which a large content is not read before somebody asks for it. */
  getBase(id: string): KeptContent | undefined;
  /** At most `length` bytes of a content from `offset`, fewer at its end. Undefined where there is no such content (any more). */
  readContent(of: ContentOf, offset: number, length: number): Uint8Array | undefined;
  /**
   * Stores a piece of a content that comes in pieces, behind those before it; the first one says what it is of. A content of
   * the application's (no `download`) belongs to whoever made it until a write or an action names its key, or `unstage`; it is
   * gone once the replica has been closed. Pieces of 64 KiB and more go well. Not durable by itself, like `apply`.
   *
   * @throws Error where there is no content of that key in the making.
   */
  stage(to: number | StagedBegin, piece: Uint8Array): Staged;
  /** Forgets a content in the making, or everything that was downloaded and not taken. */
  unstage(which: number | "downloads"): void;
  /**
   * Removes a record; with `restore`, writes its version back as a local change in the same transaction. A pending change to
   * another state that this replaces is kept in a new record then, of no standard (`CHANGE_STANDARD_UNSPECIFIED`). Answers
   * whether there is such a record.
   */
  settleConflict(number: number, restore: boolean, nowUs: number): boolean;
  /** Removes conflict records made before a time; answers how many. */
  pruneConflicts(beforeUs: number): number;
  /** Items held in conflict, by id after `after`, at most `limit`, without contents (theirs: `getBaseContent`). */
  listHeld(after: string, limit: number): readonly HeldItem[];
  /**
   * Resolves an item that is held in conflict, and with it all items of its group. `mine`: the change prevails and is sent,
   * overriding theirs. `theirs`: mine is kept in a conflict record, and the item becomes theirs. A content or a deletion
   * (`merged`) prevails over both: mine is kept in a conflict record, too; the other items of its group are as `mine`.
   * Answers whether the item is held.
   *
   * @throws GroupTooLarge by `group`, where a content that is merged makes its group too large.
   */
  resolveHeld(
    id: string,
    how: "mine" | "theirs" | { readonly merged: LocalWrite["upsert"] },
    nowUs: number,
    group?: GroupLimits,
  ): boolean;
  /** Binds the replica to a collection by name, once; answers the state. */
  state(): ReplicaState;

  // ---- for the exchange
  /** An exchange begins: what was applied before is kept as far as it can be, and `state` is what it goes on from. */
  begin(): void;
  /** What is known of these ids, one for each, in order. */
  lookup(ids: readonly string[]): readonly LocalState[];
  /** What was downloaded of these items (undefined: of any) and not taken; it is kept until it is, or `unstage`. */
  listDownloads(ids: readonly string[] | undefined): readonly Download[];
  /** Pending changes to send, remembered as sent in the same transaction. */
  takeOutgoing(query: OutgoingQuery): OutgoingBatch;
  /** Pending changes that were sent as creations and have no verdict (no base, unsettled sendings), by sequence number. */
  listUnsettledCreations(after: number, limit: number): readonly LocalState[];
  /** What the bases of these items come to, each range by itself. Kept with every change, never computed by a long scan. */
  sumRanges(intervals: readonly IdInterval[]): readonly RangeTotal[];
  /** Cuts a range of bases into about so many parts of about the same size. */
  splitRange(interval: IdInterval, parts: number): readonly RangePart[];
  /** The bases in a range in the order of their ids, at most `limit`: ids and fingerprints. */
  listBases(interval: IdInterval, limit: number): readonly RangeEntry[];
  /** Writes what an exchange decided. Every action is conditional on the sequence number that was judged (R8). */
  apply(batch: ApplyBatch): ApplyResult;
  /** Waits until everything applied is on the disk. */
  flush(): void;
  /**
   * Computes the fingerprint of every item's content anew, and `total` by a scan of the bases: undefined where all is as
   * the replica has it, else what is not. For `verify` and tests.
   */
  audit(): ReplicaDamage | undefined;
  close(): void;
}

/** Ids that an audit names at most. */
export const MAX_DAMAGED = 100;

/** What an audit found wrong. */
export interface ReplicaDamage {
  /** Items whose content has another fingerprint than they are kept with, or than their pending change. */
  readonly damagedCount: number;
  /** Ids of the first of them, at most MAX_DAMAGED, in no order. */
  readonly damaged: readonly string[];
  /** What count and sum over bases should be; undefined where they are right. */
  readonly total: RangeTotal | undefined;
  /** Whether the sums of ranges (`sumRanges`) are those of the bases. */
  readonly ranges: boolean;
}

/** What a replica file says of itself. */
export interface ReplicaState {
  /** Name of the collection. */
  readonly collection: string;
  /** Random id of the replica file, 16 bytes; for logs only. */
  readonly replicaId: Uint8Array;
  /** Uid of the collection; empty before the first exchange. */
  readonly collectionUid: Uint8Array;
  /** Token and revision of the last checkpoint; empty and 0 before the first. */
  readonly token: Uint8Array;
  readonly revision: number;
  /**
   * Token and revision of the latest revision of the server that the replica has heard of, beyond the checkpoint: verdicts
   * and fetched contents speak of such. A server that doesn't know it was restored to before it. Empty and 0 where the
   * checkpoint says as much.
   */
  readonly witness: Uint8Array;
  readonly witnessRevision: number;
  /** The server's epochs as last heard. */
  readonly lineage: readonly { readonly id: Uint8Array; readonly firstRevision: number }[];
  /** Limits and what else the replica keeps of Opened (client/protocol/settings.ts), encoded; empty before the first exchange. */
  readonly settings: Uint8Array;
  /** Count and sum over bases. */
  readonly total: RangeTotal;
  /** Items that the application sees. */
  readonly items: number;
  /** Pending changes, their greatest sequence number (0 for none ever), how many are marked rejected, and how many are held. */
  readonly pending: number;
  readonly lastSequence: number;
  readonly rejected: number;
  readonly held: number;
  /** Conflict records. */
  readonly conflicts: number;
}

/** An item as the application sees it. */
export interface LocalItem {
  readonly id: string;
  /** A large one is read when it is asked for, each time anew; throws where the item has changed since. */
  readonly content: Content;
  /** Its bytes. */
  readonly size: number;
  /** It was given as text. */
  readonly text: boolean;
  readonly fingerprint: Uint8Array;
  readonly modifyTimeUs: number;
  /** Has a pending change. */
  readonly pending: boolean;
}

/** Which items to list. */
export interface LocalListQuery {
  /** Ids that begin with this; "" for all. */
  readonly prefix: string;
  /** Ids after this one; "" for all. */
  readonly after: string;
  readonly limit: number;
}

/** A change of the application. */
export interface LocalWrite {
  readonly id: string;
  /** The new content with its fingerprint; undefined deletes the item. */
  readonly upsert: Upsert | undefined;
}

/** A version of an item that is to be stored: its content is here, or was staged. */
export interface Upsert {
  /** Undefined where it was staged. A large one is cut into pieces. */
  readonly content: Content | undefined;
  /** Key of a content that was staged; it belongs to the item from then on. A write that changes nothing forgets it. */
  readonly staged?: number | undefined;
  readonly fingerprint: Uint8Array;
}

/** A content that a replica keeps. */
export interface KeptContent {
  /** A large one is read when it is asked for, each time anew; throws where it is gone by then. */
  readonly content: Content;
  readonly size: number;
  /** It was given as text. */
  readonly text: boolean;
}

/** Which content is meant. */
export type ContentOf =
  /** An item's; with a fingerprint, only in that version. */
  | { readonly item: string; readonly fingerprint?: Uint8Array }
  /** Of the base of an item's pending change. */
  | { readonly base: string }
  /** A conflict record's. */
  | { readonly conflict: number }
  /** Of a pending change, in the version of this sequence number. */
  | { readonly pending: string; readonly sequence: number }
  /** What was staged so far. */
  | { readonly staged: number };

/** A content that is to come in pieces. */
export interface StagedBegin {
  /** It is a text (in UTF-8, which is not checked here). */
  readonly text: boolean;
  /** Set where it comes from the server: kept across exchanges, in the place of what was downloaded of the item before. */
  readonly download?: Omit<Download, "key" | "offset" | "text">;
}

/** A content in the making. */
export interface Staged {
  /** Never used again. */
  readonly key: number;
  /** Bytes so far. */
  readonly offset: number;
}

/** What was downloaded of an item's content. */
export interface Download extends Staged {
  readonly id: string;
  readonly revision: number;
  readonly modifyTimeUs: number;
  /** Bytes of the whole. */
  readonly size: number;
  readonly text: boolean;
}

/** How large an atomic group may be. */
export interface GroupLimits {
  readonly items: number;
  /** Of contents and ids, and 64 bytes an item. */
  readonly bytes: number;
}

/** An atomic group would be too large. */
export class GroupTooLarge extends Error {
  override readonly name = "GroupTooLarge";
}

/** What a local write did. */
export interface WriteResult {
  /** For each change its pending sequence number, 0 where it changed nothing or ended a pending change. */
  readonly sequences: readonly number[];
}

/** An item held in conflict: by ids, both versions are there until somebody resolves it. */
export interface HeldItem {
  readonly id: string;
  readonly sequence: number;
  /** Undefined: mine deletes it. */
  readonly mine: Uint8Array | undefined;
  readonly mineTimeUs: number;
  /** Undefined: theirs deletes it. */
  readonly theirs: Uint8Array | undefined;
  readonly theirsRevision: number;
  readonly theirsTimeUs: number;
  /** Key of its group, 0 for none. */
  readonly group: number;
}

/** A pending change, for people. */
export interface PendingChange {
  readonly id: string;
  readonly sequence: number;
  readonly kind: "upserted" | "deleted";
  readonly size: number;
  readonly modifyTimeUs: number;
  /** Why the server rejected it, if it did. */
  readonly rejected: { readonly reason: ErrorReason; readonly message: string } | undefined;
  /** Held in conflict: not sent until it is resolved. */
  readonly held: boolean;
  /** Key of its atomic group, 0 for none. */
  readonly group: number;
}

/** A version of this side that gave way. */
export interface LocalConflict {
  readonly number: number;
  readonly id: string;
  /** Undefined where what gave way was a deletion. */
  readonly fingerprint: Uint8Array | undefined;
  /** Undefined where what prevailed is a deletion. */
  readonly prevailed: Uint8Array | undefined;
  readonly standard: ChangeStandard;
  readonly recordTimeUs: number;
  readonly modifyTimeUs: number;
  readonly size: number;
  /** It was given as text. */
  readonly text: boolean;
  /** A large one is read when it is asked for, each time anew; throws where the record is gone by then. */
  readonly content: Content | undefined;
}

/** What the replica last agreed on. */
export interface BaseState {
  /** Undefined: that there is no such item. */
  readonly fingerprint: Uint8Array | undefined;
  readonly revision: number;
  /** When it was changed, as the server has it; 0 where that is not known. */
  readonly modifyTimeUs: number;
}

/** All that a comparison needs of an item. */
export interface LocalState {
  readonly id: string;
  /** Sequence number of the pending change; 0 for a clean or unknown item. What a conditional action names. */
  readonly sequence: number;
  /** The pending change; undefined for a clean or unknown item. */
  readonly pending:
    | {
        /** Fingerprint of mine; undefined for a deletion. */
        readonly fingerprint: Uint8Array | undefined;
        readonly modifyTimeUs: number;
        /** Held in conflict: the base is theirs. */
        readonly held: boolean;
        /** Its atomic group: all of its members, this one included, and the latest of their modify times. */
        readonly group:
          | { readonly key: number; readonly ids: readonly string[]; readonly latestUs: number }
          | undefined;
      }
    | undefined;
  /** When the item was changed, where it is clean; else 0. */
  readonly modifyTimeUs: number;
  /** Undefined: nothing is known. */
  readonly base: BaseState | undefined;
  /** Versions that were sent and have no verdict (fingerprints; undefined for a deletion), the present one included. */
  readonly sendings: readonly (Uint8Array | undefined)[];
}

/**
 * Which pending changes to take. Held ones are left out, without `skipped`. A group is taken whole, or not at all, its
 * changes one behind the other; `maxBytes` and `maxChanges` may be exceeded by one group. A group with a member that is
 * left out (eager: with unsettled sendings) is left out. By ids: a group is taken whole where one of its members is named.
 */
export interface OutgoingQuery {
  /** By sequence number, after this one and up to `through`; or these ids (which must be pending, else left out). */
  readonly select: { readonly after: number; readonly through: number } | { readonly ids: readonly string[] };
  /** Ids, contents and 64 bytes an item come to no more than this; but one is taken, unless eager, whatever its size. */
  readonly maxBytes: number;
  readonly maxChanges: number;
  /**
   * Take only changes without unsettled sendings, and only if all of them are within `maxBytes` and `maxChanges`: else
   * take none and answer `more`. The others are left out without `more`; `skipped` tells.
   */
  readonly eager: boolean;
}

/** A change to send. */
export interface OutgoingChange {
  readonly id: string;
  readonly sequence: number;
  /** Undefined for a deletion. */
  readonly upsert:
    | {
        /** Undefined for a large one, which is read piece by piece (`readContent`). */
        readonly content: Content | undefined;
        readonly fingerprint: Uint8Array;
        readonly size: number;
        readonly upload: Upload | undefined;
      }
    | undefined;
  readonly modifyTimeUs: number;
  readonly base: BaseState | undefined;
  /** Set where it was rebased over a change of the server: by which standard it prevails. */
  readonly overrides: ChangeStandard | undefined;
  /** Had unsettled sendings before this one. */
  readonly resent: boolean;
  /** Key of its atomic group, 0 for none. */
  readonly group: number;
}

/** How a large content is sent. */
export interface Upload {
  /** Random, 16 bytes: drawn when this content is first taken to be sent, and kept with it. */
  readonly id: Uint8Array;
  /** It was taken before: the server may have some of it. */
  readonly begun: boolean;
  readonly text: boolean;
}

/** Changes to send. */
export interface OutgoingBatch {
  readonly changes: readonly OutgoingChange[];
  /** There are more by the same query, after the last one taken. */
  readonly more: boolean;
  /** Eager, and not `more`: changes were left out because they have unsettled sendings. */
  readonly skipped: boolean;
}

/**
 * What to do with one item. All but the verdicts (`settle`, `return`, `reject`) are made only if the pending sequence number is `sequence`. Of
 * actions with the same `unit` (a number other than 0) none is made, and all are stale, where one of them is: an atomic
 * group goes whole.
 */
export type Action =
  /**
   * Mine and base become the server's state; pending mark and sendings go, and so does the mark of its group. With
   * `conflict`, mine is kept in a conflict record first: a pending change, or, in recovery from a lost history, a clean item.
   */
  | {
      readonly kind: "take";
      readonly id: string;
      readonly sequence: number;
      readonly unit?: number;
      /** Undefined: the item was deleted. `kept`: its content is that of the base, which must be known. */
      readonly upsert: (Upsert & { readonly kept?: boolean }) | undefined;
      readonly revision: number;
      readonly modifyTimeUs: number;
      readonly conflict: ChangeStandard | undefined;
      /** Nothing was looked up: made only if there is neither an item nor a pending change. `sequence` is 0 then. */
      readonly onlyNew?: boolean;
    }
  /**
   * Only the base moves: mine is clean and stays as it is (a new revision of the same content), or is pending and stays
   * pending on the new base, its sendings settled. With `held` (pending only) it is held in conflict from now on; without,
   * it is not any more.
   */
  | {
      readonly kind: "rebase";
      readonly id: string;
      readonly sequence: number;
      readonly unit?: number;
      readonly base: BaseState;
      /** Content of the base, where known: for merges. Or it was staged. */
      readonly content: Content | undefined;
      readonly staged?: number | undefined;
      readonly overrides: ChangeStandard | undefined;
      readonly held?: boolean;
      /** The base is the same state under another revision: a pending change keeps what it overrides, its sendings, and is held still. */
      readonly keeps?: boolean;
    }
  /**
   * A clean item (sequence 0) becomes a pending upsert again on another base: the server lost it with its history. An id that
   * has no item: nothing happens.
   */
  | {
      readonly kind: "offer";
      readonly id: string;
      readonly sequence: number;
      readonly base: BaseState | undefined;
      /** Content of that base, where known, or it was staged. */
      readonly content: Content | undefined;
      readonly staged?: number | undefined;
      readonly overrides: ChangeStandard | undefined;
      /** Held in conflict with that base from now on. */
      readonly held?: boolean;
    }
  /** A pending change is held from now on, on the base that it has: it shares the fate of its group. Nothing else changes. */
  | {
      readonly kind: "hold";
      readonly id: string;
      readonly sequence: number;
      readonly unit?: number;
      /** Content of that base, where it was not known. */
      readonly content: Content | undefined;
      readonly staged?: number | undefined;
    }
  /**
   * A conflict (pending) ends in a content of its own, or a deletion: mine is kept in a conflict record of standard
   * `overrides`, and becomes `upsert` as a new pending change on the base `base` (theirs), of the time `modifyTimeUs`. It
   * stays a member of its group.
   */
  | {
      readonly kind: "merge";
      readonly id: string;
      readonly sequence: number;
      readonly unit?: number;
      readonly upsert: Upsert | undefined;
      readonly base: BaseState;
      /** Content of that base, where known, or it was staged. */
      readonly content: Content | undefined;
      readonly staged?: number | undefined;
      readonly overrides: ChangeStandard;
      readonly modifyTimeUs: number;
    }
  /** Mine is what the server has: base becomes mine, pending mark and sendings go. */
  | {
      readonly kind: "agree";
      readonly id: string;
      readonly sequence: number;
      readonly revision: number;
      readonly unit?: number;
    }
  /**
   * Verdict on a sending: the server made it, with this revision. If it still is what is pending, it is clean now; if
   * mine was changed since, the base moves to what was sent and mine stays pending, with only what was sent after it still
   * among its sendings; if it is not pending any more, or the base is of this revision or a later one, nothing happens. (But
   * a base that is just this, the same state of the same revision, makes what still is pending clean: it repeated the base.)
   */
  | {
      readonly kind: "settle";
      readonly id: string;
      /** Sequence number of what was sent. */
      readonly sequence: number;
      /** Fingerprint of what was sent; undefined for a deletion. */
      readonly fingerprint: Uint8Array | undefined;
      readonly revision: number;
    }
  /**
   * Verdict on a sending: it was not made, and may be sent again. That sending is over; with `resent` as for `reject`.
   */
  | { readonly kind: "return"; readonly id: string; readonly sequence: number; readonly resent: boolean }
  /**
   * Verdict on a sending: not acceptable. Marks the pending change, if it still is the one that was sent. That sending is
   * over; but with `resent` the version stays among the sendings (R5), as an earlier one of it may still arrive.
   */
  | {
      readonly kind: "reject";
      readonly id: string;
      readonly sequence: number;
      readonly reason: ErrorReason;
      readonly message: string;
      /** The change had unsettled sendings before the one with the verdict: `OutgoingChange.resent`. */
      readonly resent: boolean;
    };

/** What an exchange decided, in one transaction. */
export interface ApplyBatch {
  readonly actions: readonly Action[];
  /**
   * Before the actions: items to be taken in their order, each only if nothing is known of it, as `take` with `onlyNew` does.
   */
  readonly items?: ProvedColumns;
  /** Verdicts on creations in a row, as so many actions `settle`, after the items and before the actions. */
  readonly settled?: readonly SettledRun[];
  readonly nowUs: number;
  /** Others follow at once: it need not be a transaction of its own, as long as the order is kept. */
  readonly more?: boolean;
  /**
   * Stored only if every action could be made: else it comes again with what is left. `collectionUid` binds the replica,
   * and is refused (throws) where it is bound to another.
   */
  readonly checkpoint?: { readonly token: Uint8Array; readonly revision: number };
  /**
   * A revision that the server spoke of. Kept where it is beyond the checkpoint and the witness kept so far, also if some
   * actions are stale: it was heard of all the same. A checkpoint that reaches the witness drops it.
   */
  readonly witness?: { readonly token: Uint8Array; readonly revision: number };
  /**
   * A recovery is complete; stored like `checkpoint`, and instead of it: the replica stands at this checkpoint, whatever it
   * stood at before; witness and lineage are as given here; revisions of bases beyond `fork` (of `revision`, where none is
   * given) may come from another history and become `revision`, at which the server has had all of them; `total` is what
   * the ranges come to (`sumRanges`).
   */
  readonly recovered?: {
    readonly token: Uint8Array;
    readonly revision: number;
    readonly fork?: number;
    readonly lineage: readonly { readonly id: Uint8Array; readonly firstRevision: number }[];
  };
  /**
   * Kept from the server's first message. With `rebind` the replica may be bound to another collection (its own was deleted,
   * and the user wants it made anew): it goes on with that one.
   */
  readonly opened?: {
    readonly rebind?: boolean;
    readonly collectionUid: Uint8Array;
    readonly lineage: readonly { readonly id: Uint8Array; readonly firstRevision: number }[];
    readonly settings: Uint8Array;
  };
}

/** What came of it. */
export interface ApplyResult {
  /** Ids whose sequence number was another, in any order: nothing was done with them, and the checkpoint was not stored. */
  readonly stale: readonly string[];
  /** Count and sum over bases now. */
  readonly total: RangeTotal;
  /** Numbers of the conflict records made, in the order of the actions that made them. */
  readonly conflicts: readonly number[];
}
