import type { Content } from "../../core/content.js";
import type { IdInterval, RangeEntry, RangePart } from "../../core/range.js";
import type { RangeTotal } from "../../core/range-sum.js";
import type { ApplyBatch, ApplyResult } from "./apply-batch.js";
import type { ReplicaDamage } from "./damage.js";
import type { ContentOf, Download, KeptContent, Staged, StagedBegin } from "./kept-content.js";
import type { HeldItem, LocalConflict } from "./local-conflicts.js";
import type { GroupLimits, LocalItem, LocalListQuery, LocalWrite, PendingChange, WriteResult } from "./local-items.js";
import type { LocalState } from "./local-state.js";
import type { OutgoingBatch, OutgoingQuery } from "./outgoing-batch.js";
import type { SettledRun } from "./outgoing-columns.js";
import type { ReplicaState } from "./replica-state.js";

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
  /** Whether verdicts in a row are on creations that are pending just as they were sent, so that they are settled at once. */
  settlesWhole(run: SettledRun): boolean;
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
