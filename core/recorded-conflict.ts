import type { ChangeStandard } from "../gen/tercet/v1/item.js";
import type { Content } from "./content.js";

/** A version that gave way, as the side that it was on keeps it. */
export interface RecordedConflict {
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
