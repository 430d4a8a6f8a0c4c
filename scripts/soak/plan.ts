/** How a soak is run. */
export interface SoakPlan {
  readonly minutes: number;
  readonly replicas: number;
  /** Processes that the replicas are spread over. */
  readonly processes: number;
  readonly editsPerSecond: number;
  /** Ids that the edits are spread over. */
  readonly ids: number;
  readonly seed: number;
}

/** What a client process is told. */
export type ClientOrder =
  | {
      readonly kind: "start";
      readonly directory: string;
      readonly server: string;
      /** Numbers of its replicas: from, to before. */
      readonly from: number;
      readonly to: number;
      readonly plan: SoakPlan;
    }
  /** Edits and mischief end; answered with `idle` once every change has its verdict. */
  | { readonly kind: "rest" }
  | { readonly kind: "report" }
  | { readonly kind: "stop" };

/** What became of an edit that the server took. */
export interface Taken {
  readonly id: string;
  /** Undefined: a deletion. */
  readonly content: string | undefined;
  readonly revision: number;
}

/** What a client process says. */
export type ClientAnswer =
  | { readonly kind: "started" }
  | { readonly kind: "idle" }
  | {
      readonly kind: "report";
      /** Of each id, the edit of this process that the server took last. */
      readonly taken: readonly Taken[];
      /** Edits whose verdict nobody heard, as the file was closed before: the server may have taken them. */
      readonly unheard: readonly Omit<Taken, "revision">[];
      readonly outcomes: Readonly<Record<string, number>>;
      readonly edits: number;
      readonly changes: number;
      readonly reconnects: number;
      readonly reopened: number;
      readonly cuts: number;
      /** Edits that gave way, and conflict records: no fewer. */
      readonly gaveWay: number;
      readonly records: number;
      /** Fingerprints that the replicas agreed on with the server. */
      readonly fingerprints: readonly string[];
      readonly pending: number;
      /** What went wrong. */
      readonly faults: readonly string[];
    }
  | { readonly kind: "stopped" };

/** Name of the collection. */
export const COLLECTION = "soak";
