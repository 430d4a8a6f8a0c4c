import type { StandardName, SyncReport } from "../../client/index.js";
import type { Edit } from "./cells.js";
import type { Place } from "./cities.js";

/** What a replica says of itself at the end of a job. */
export interface Side {
  readonly items: number;
  readonly pending: number;
  readonly conflicts: number;
  readonly count: number;
  readonly fingerprint: string;
}

/** A conflict record of either side. */
export interface KeptRecord {
  readonly number: number;
  readonly id: string;
  readonly kind: "upserted" | "deleted";
  readonly content: string | undefined;
  readonly size: number;
  readonly prevailed: string | undefined;
  readonly standard: string;
}

/** What a child process does with a replica file, one job a process, so that its peak memory is that job's. */
export type Job =
  | {
      readonly kind: "load";
      readonly file: string;
      readonly collection: string;
      readonly limit: number;
      readonly sample: number;
    }
  | { readonly kind: "edit"; readonly file: string; readonly edits: readonly Edit[] }
  | {
      readonly kind: "sync";
      readonly file: string;
      readonly server: string;
      /** Make the replica file, of this collection. */
      readonly make?: string;
      readonly create?: boolean;
      readonly standard?: StandardName;
    }
  | { readonly kind: "look"; readonly file: string; readonly ids: readonly string[] }
  | { readonly kind: "audit"; readonly file: string };

/** What comes of a job. */
export interface JobResults {
  readonly load: {
    readonly items: number;
    readonly contentBytes: number;
    readonly durationMs: number;
    /** Some places, evenly spread. */
    readonly sample: readonly Place[];
  };
  readonly edit: { readonly durationMs: number };
  readonly sync: {
    readonly report: SyncReport;
    /** Resident memory before the exchange, and at its peak, in bytes. */
    readonly memoryBefore: number;
    readonly memoryPeak: number;
  };
  readonly look: {
    /** Contents, in the order of the ids asked for; null where there is no item. */
    readonly contents: readonly (string | null)[];
    /** Conflict records of these ids. */
    readonly records: readonly KeptRecord[];
    readonly side: Side;
  };
  readonly audit: { readonly right: boolean; readonly side: Side };
}

/** What a child process answers. */
export type JobAnswer = { readonly result: JobResults[Job["kind"]] } | { readonly failed: string };

/** What the server's process is told. */
export type ServerOrder =
  | { readonly kind: "start"; readonly directory: string; readonly port: number }
  | { readonly kind: "reset-peak" | "peak" | "drain" };

/** What it answers. */
export type ServerAnswer =
  | { readonly kind: "started"; readonly address: string }
  | { readonly kind: "peak"; readonly bytes: number }
  | { readonly kind: "drained" }
  | { readonly kind: "failed"; readonly message: string };
