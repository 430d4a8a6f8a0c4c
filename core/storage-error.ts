/**
 * What went wrong with a file or a database: `full`, no room left; `busy`, somebody else has it; `exists`, one that was to
 * be made is there already; `foreign`, it is not one of ours, or of another schema version; `damaged`, it does not read as
 * it should; `failed`, anything else.
 */
export type StorageErrorKind = "full" | "busy" | "exists" | "foreign" | "damaged" | "failed";

/** A failure of the storage: nothing of the transaction was stored. */
export class StorageError extends Error {
  override readonly name = "StorageError";
  readonly kind: StorageErrorKind;

  constructor(kind: StorageErrorKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}
