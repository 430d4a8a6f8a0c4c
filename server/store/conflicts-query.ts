/** Which conflict records to list. */
export interface ConflictsQuery {
  readonly uid: Uint8Array;
  /** Only of this item; "" for all. */
  readonly id: string;
  /** Records with a lower number. */
  readonly before: number;
  readonly limit: number;
}
