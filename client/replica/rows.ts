import type { Content } from "../../core/content.js";
import type { ErrorReason } from "../../gen/tercet/v1/error.js";
import type { ChangeStandard } from "../../gen/tercet/v1/item.js";
import type { BaseState, LocalConflict } from "./store.js";

/** An item that the application sees, without its content. */
export interface ItemRow {
  readonly fingerprint: Uint8Array;
  /** Revision of the base; without meaning while a change is pending. */
  readonly revision: number;
  readonly modifyTimeUs: number;
}

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
}

/** The rows of a replica within a transaction: what the rules need of a storage. */
export interface Rows {
  item(id: string): ItemRow | undefined;
  /** Content of an item that is there. */
  content(id: string): Content;
  putItem(id: string, row: ItemRow, content: Content): void;
  setRevision(id: string, revision: number): void;
  deleteItem(id: string): void;
  pending(id: string): PendingRow | undefined;
  /** The members of an atomic group, by sequence number. */
  group(key: number): readonly PendingRow[];
  /** `content` is the base's, where known. */
  insertPending(row: PendingRow, content: Content | undefined): void;
  /** Replaces the row of `before`; the base's content stays. */
  updatePending(before: PendingRow, row: PendingRow): void;
  setBaseContent(row: PendingRow, content: Content | undefined): void;
  baseContent(id: string): Content | undefined;
  deletePending(row: PendingRow): void;
  /** Remembers that the version of a row was sent, in the place of an earlier sending of the same version. */
  addSending(row: PendingRow): void;
  /** Modify time of the version that was sent with a sequence number and overwritten; 0 where that is not known. */
  sentTime(id: string, sequence: number): number;
  /** Forgets the sendings of an item with sequence numbers up to `through`; answers whether some are left. */
  settleSendings(id: string, through: number): boolean;
  addConflict(record: LocalConflict & { readonly content: Content | undefined }): void;
  /** Revisions of bases beyond this one become this one. */
  clampRevisions(revision: number): void;
}
