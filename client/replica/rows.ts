import type { ErrorReason } from "../../gen/tercet/v1/error.js";
import type { ChangeStandard } from "../../gen/tercet/v1/item.js";
import type { Stored } from "./large.js";
import type { LocalConflict } from "./local-conflicts.js";
import type { Upsert } from "./local-items.js";
import type { BaseState } from "./local-state.js";

/** An item that the application sees, without its content. */
export interface ItemRow {
  readonly fingerprint: Uint8Array;
  /** Revision of the base; without meaning while a change is pending. */
  readonly revision: number;
  readonly modifyTimeUs: number;
  /** Key of its content where that is large, as the row was read. */
  readonly large?: number | undefined;
}

/** A local write within the replica: its content may be one that is kept already. */
export interface RowWrite {
  readonly id: string;
  readonly upsert: RowUpsert | undefined;
}

/** A version with what it is to be made of. */
export type RowUpsert = Omit<Upsert, "content"> & { readonly content: Stored | undefined };

/** A version as it is put into rows. */
export interface StoredUpsert {
  readonly content: Stored;
  readonly fingerprint: Uint8Array;
}

/** A conflict record as a row. */
export type ConflictRow = Omit<LocalConflict, "content" | "text"> & { readonly content: Stored | undefined };

/** A pending change, without the contents of mine and base. */
export interface PendingRow {
  readonly id: string;
  readonly sequence: number;
  /** Mine; undefined for a deletion. */
  readonly fingerprint: Uint8Array | undefined;
  readonly size: number;
  readonly modifyTimeUs: number;
  readonly base: BaseState | undefined;
  readonly overrides: ChangeStandard | undefined;
  readonly rejected: { readonly reason: ErrorReason; readonly message: string } | undefined;
  /** Mine, in this version, was sent and has no verdict. */
  readonly sent: boolean;
  /** There are earlier versions that were sent and have no verdict. */
  readonly resent: boolean;
  /** Held in conflict: the base is theirs, and nothing of it is sent. */
  readonly held: boolean;
  /** Key of its atomic group: the sequence number of a member, when the group was made or changed. 0 for none. */
  readonly group: number;
  /** Key of the base's content where that is large, as the row was read. */
  readonly baseLarge?: number | undefined;
}

/** The rows of a replica within a transaction: what the rules need of a storage. */
export interface Rows {
  item(id: string): ItemRow | undefined;
  /** Content of an item that is there. */
  content(id: string): Stored;
  /** What is given as it is kept: large contents in pieces. What was staged is not any more, whether it is used or not. */
  keep(given: Omit<RowUpsert, "fingerprint">): Stored;
  /** `before` is the row that it replaces. */
  putItem(id: string, row: ItemRow, content: Stored, before: ItemRow | undefined): void;
  setRevision(id: string, revision: number): void;
  deleteItem(id: string, before: ItemRow): void;
  pending(id: string): PendingRow | undefined;
  /** The members of an atomic group, by sequence number. */
  group(key: number): readonly PendingRow[];
  /** `content` is the base's, where known. */
  insertPending(row: PendingRow, content: Stored | undefined): void;
  /** Replaces the row of `before`; the base's content stays. */
  updatePending(before: PendingRow, row: PendingRow): void;
  /** Answers the row as it is then. */
  setBaseContent(row: PendingRow, content: Stored | undefined): PendingRow;
  baseContent(id: string): Stored | undefined;
  deletePending(row: PendingRow): void;
  /** Remembers that the version of a row was sent, in the place of an earlier sending of the same version. */
  addSending(row: PendingRow): void;
  /** Modify time of the version that was sent with a sequence number and overwritten; 0 where that is not known. */
  sentTime(id: string, sequence: number): number;
  /** Forgets the sendings of an item with sequence numbers up to `through`; answers whether some are left. */
  settleSendings(id: string, through: number): boolean;
  addConflict(record: ConflictRow): void;
  /** Revisions of bases beyond one become another; answers how many. */
  clampRevisions(beyond: number, revision: number): number;
}
