import type { StandardName, SyncReport } from "../../client/index.js";

/** What a child process does with a replica file: one job a process, so that its peak memory is that job's. */
export type Job =
  | {
      /** Make a replica of so many items, and push it; without `items`, make one and pull. */
      readonly kind: "make";
      readonly file: string;
      readonly collection: string;
      readonly server: string;
      readonly items?: number;
    }
  | { readonly kind: "edit"; readonly file: string; readonly indices: readonly number[]; readonly version: string }
  | { readonly kind: "sync"; readonly file: string; readonly server: string; readonly standard?: StandardName };

/** What comes of a job. */
export interface JobResult {
  /** Of the exchange, where there was one. */
  readonly report: SyncReport | undefined;
  /** Processor time that the job took, in milliseconds. */
  readonly cpuMs: number;
  /** Peak resident memory of the process, in bytes. */
  readonly memoryPeak: number;
}

/** What a child process answers. */
export type JobAnswer = { readonly result: JobResult } | { readonly failed: string };
