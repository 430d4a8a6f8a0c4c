import type { Content } from "../../core/content.js";
import type { ChangeStandard } from "../../gen/tercet/v1/item.js";

/** A version that gave way. */
export interface StoredConflict {
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
  readonly content: Content | undefined;
}

/** Which conflict records to list. */
export interface ConflictsQuery {
  readonly uid: Uint8Array;
  /** Only of this item; "" for all. */
  readonly id: string;
  /** Records with a lower number. */
  readonly before: number;
  readonly limit: number;
}
