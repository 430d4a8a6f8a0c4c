// What the bench and its children tell each other.
import type { Action, Moved } from "./contender.js";
import type { IdKind } from "./items.js";

/** How a side's module is to be used. */
export interface Setting {
  /** URL of the module. */
  readonly module: string;
  readonly variant: string;
  readonly directory: string;
  readonly ids: IdKind;
  readonly items: number;
}

/** What a server's process answers to "start". */
export interface Started {
  readonly address: string;
  /** Of the program that does the work, where it is another process. */
  readonly pid: number | undefined;
}

/** Items by their indices. */
export interface Edit {
  /** These, or all below the number. */
  readonly indices: readonly number[] | number;
  readonly version: string;
}

/** What a server's process is told; each is answered. */
export type ServerOrder =
  | ({ readonly kind: "start" } & Setting)
  | { readonly kind: "begin" }
  | { readonly kind: "end" }
  | { readonly kind: "memory" }
  | { readonly kind: "stop" };

/** Memory of a process now, in bytes. */
export interface MemoryNow {
  readonly rss: number;
  readonly heap: number;
}

/** What a client's process is told; each is answered. */
export type ClientOrder =
  | ({ readonly kind: "open"; readonly address: string | undefined } & Setting)
  | ({ readonly kind: "put" } & Edit)
  | { readonly kind: "put-large"; readonly id: string; readonly path: string }
  | { readonly kind: "warm" }
  | { readonly kind: "sync"; readonly action: Action; readonly times: number }
  | { readonly kind: "forget" }
  | { readonly kind: "check"; readonly indices: readonly number[]; readonly large: string | undefined }
  | { readonly kind: "close" };

/** What a process took in the timed part, and its peak memory in all its life. */
export interface ProcessFigures {
  /** User and system time in milliseconds. */
  readonly cpuMs: number;
  /** Peak resident memory in bytes. */
  readonly memoryPeak: number;
  /**
   * Event loop delay in milliseconds, as perf_hooks.monitorEventLoopDelay says it, its timer's own millisecond included;
   * undefined where the server is no process of Node.
   */
  readonly loopP99Ms: number | undefined;
  readonly loopMaxMs: number | undefined;
}

/** What a client's process answers to "sync". */
export interface SyncFigures {
  /** Of each time. */
  readonly ms: readonly number[];
  /** In all. */
  readonly moved: Moved;
  readonly process: ProcessFigures;
}

/** What a client's process answers to "check". */
export interface CheckAnswer {
  readonly count: number;
  readonly contents: readonly (string | undefined)[];
  /** Bytes of the large item that was asked for. */
  readonly large: number | undefined;
}

/** An answer of a child. */
export type Answer = { readonly value: unknown } | { readonly failed: string };
