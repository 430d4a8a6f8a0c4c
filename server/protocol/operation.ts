import type { Fault } from "../../core/fault.js";
import type { Open } from "../../gen/tercet/v1/sync.js";
import type { ChangesQuery, ChangesRead } from "../store/change-reads.js";
import type { CollectionState } from "../store/collection-state.js";
import type { ItemsQuery, ItemsRead, PartQuery, PartRead } from "../store/item-reads.js";
import type { RangesQuery, RangesRead } from "../store/range-reads.js";
import type { UploadPiece, UploadRead } from "../store/uploads.js";
import type { BatchWritten, WriteBatch } from "../store/write-batch.js";

/** What the server's side of an exchange asks of its storage. One operation is one transaction. */
export type ServerOperation =
  /** Find the collection, or create it if `open.create`. */
  | { readonly kind: "open"; readonly open: Open }
  /** The collection as it is now. */
  | { readonly kind: "state"; readonly name: string; readonly uid: Uint8Array }
  | { readonly kind: "read-changes"; readonly query: ChangesQuery }
  | { readonly kind: "read-items"; readonly query: ItemsQuery }
  | { readonly kind: "read-part"; readonly query: PartQuery }
  | { readonly kind: "read-ranges"; readonly query: RangesQuery }
  | { readonly kind: "upload"; readonly piece: UploadPiece }
  | {
      readonly kind: "read-upload";
      readonly uid: Uint8Array;
      readonly uploadId: Uint8Array;
      readonly offset: number;
      readonly length: number;
    }
  | { readonly kind: "drop-upload"; readonly uid: Uint8Array; readonly uploadId: Uint8Array }
  /** Commit these batches, together where the storage can. */
  | { readonly kind: "write"; readonly batches: readonly WriteBatch[] };

/** The answer to the operation of the same kind. Undefined: the collection, item or upload is not there (any more). */
export type ServerResult =
  | { readonly kind: "open"; readonly found: CollectionState | Fault }
  | { readonly kind: "state"; readonly state: CollectionState | undefined }
  | { readonly kind: "read-changes"; readonly read: ChangesRead | undefined }
  | { readonly kind: "read-items"; readonly read: ItemsRead | undefined }
  | { readonly kind: "read-part"; readonly read: PartRead | undefined }
  | { readonly kind: "read-ranges"; readonly read: RangesRead | undefined }
  | { readonly kind: "upload"; readonly read: UploadRead | undefined }
  | { readonly kind: "read-upload"; readonly data: Uint8Array | undefined }
  | { readonly kind: "drop-upload" }
  | { readonly kind: "write"; readonly written: readonly (BatchWritten | undefined)[] };
