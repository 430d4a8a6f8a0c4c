import type { Fault } from "../../core/fault.js";
import type { Open } from "../../gen/tercet/v1/sync.js";
import type {
  BatchWritten,
  ChangesQuery,
  ChangesRead,
  CollectionState,
  ItemsQuery,
  ItemsRead,
  WriteBatch,
} from "../store/store.js";

/** What the server's side of an exchange asks of its storage. One operation is one transaction. */
export type ServerOperation =
  /** Find the collection, or create it if `open.create`. */
  | { readonly kind: "open"; readonly open: Open }
  | { readonly kind: "read-changes"; readonly query: ChangesQuery }
  | { readonly kind: "read-items"; readonly query: ItemsQuery }
  /** Commit these batches, together where the storage can. */
  | { readonly kind: "write"; readonly batches: readonly WriteBatch[] };

/** The answer to the operation of the same kind. Undefined: the collection is not there any more. */
export type ServerResult =
  | { readonly kind: "open"; readonly found: CollectionState | Fault }
  | { readonly kind: "read-changes"; readonly read: ChangesRead | undefined }
  | { readonly kind: "read-items"; readonly read: ItemsRead | undefined }
  | { readonly kind: "write"; readonly written: readonly (BatchWritten | undefined)[] };
