import type { ProvedColumns } from "../../core/item-columns.js";
import type { Change } from "../../core/page.js";
import type { Checkpoint, RangeFingerprint } from "../../gen/tercet/v1/item.js";
import type { Action } from "../replica/action.js";
import type { ApplyBatch } from "../replica/apply-batch.js";
import type { SettledRun } from "../replica/outgoing-columns.js";
import type { Fork } from "./known-history.js";

/** Something that changes the replica: a page of change info, verdicts, or what recovery found. */
export interface Job {
  /** What verdicts have settled already. */
  readonly actions: readonly Action[];
  /** And new items in a row that were made. */
  readonly settled: readonly SettledRun[];
  /** What is to be compared. */
  readonly changes: readonly Change[];
  /** In place of changes: items with their contents, likely to be new, that agree with what proves them. */
  readonly items: ProvedColumns | undefined;
  /** Changes whose inline contents did not agree with the page's range fingerprint: fetched once more, then compared. */
  readonly doubtful: readonly Change[];
  /** Stored with the last of it. */
  readonly checkpoint: Checkpoint | undefined;
  /** The answer to a Done. */
  readonly proof: RangeFingerprint | undefined;
  /** The feed's end mark. */
  readonly end: boolean;
  /** Items whose change of this side is known not to have been made. */
  readonly unmade: ReadonlySet<string>;
  /** The latest revision that it speaks of, where that is beyond its checkpoint. */
  readonly witness: Checkpoint | undefined;
  /** The server told of contents that did not come inline: it waits to hear that the page was taken. */
  readonly fetches: boolean;
  /** In which round trip the server was asked for it. */
  readonly trip: number;
  /** Of a recovery: where the histories of both sides part. */
  readonly fork: Fork | undefined;
  /** Other pages follow: it need not be stored by itself. */
  readonly more: boolean;
  /** A recovery begins to be stored. */
  readonly parted: ApplyBatch["parted"];
  /** A recovery is complete; stored with the last of it. */
  readonly recovered: ApplyBatch["recovered"];
  /** Held items are judged anew. */
  readonly rejudges: boolean;
  /** What goes on once it is through. */
  readonly after: (() => void) | undefined;
}

/** A job with nothing to do. */
export const NO_JOB: Job = {
  actions: [],
  settled: [],
  changes: [],
  items: undefined,
  doubtful: [],
  checkpoint: undefined,
  proof: undefined,
  end: false,
  unmade: new Set(),
  witness: undefined,
  fetches: false,
  trip: 1,
  fork: undefined,
  more: false,
  parted: undefined,
  recovered: undefined,
  rejudges: false,
  after: undefined,
};
