/** What a client process of the live workloads is told; each is answered. */
export type LiveOrder =
  | { readonly kind: "crowd"; readonly address: string; readonly size: number; readonly inFlight: number }
  /** Answers the milliseconds for all. */
  | { readonly kind: "push-one"; readonly inFlight: number }
  | {
      readonly kind: "audience";
      readonly address: string;
      readonly collection: string;
      readonly size: number;
      readonly connections: number;
    }
  | { readonly kind: "all-hear" }
  /** Begins first pulls, so many, and takes their first page and nothing after it. */
  | {
      readonly kind: "paused";
      readonly address: string;
      readonly collection: string;
      readonly size: number;
      readonly connections: number;
    }
  | {
      readonly kind: "replica";
      readonly address: string;
      readonly file: string;
      readonly collection: string;
      /** Hears of changes, and measures how long they took. */
      readonly listens: boolean;
      /** Items that it has, and sends first of all. */
      readonly items?: number;
    }
  /** Puts one item with the time in it, so often, after so many milliseconds each. */
  | { readonly kind: "put"; readonly times: number; readonly everyMs: number }
  /** Puts items all the time, so many a second, until `rest`. */
  | { readonly kind: "load"; readonly perSecond: number }
  | { readonly kind: "rest" }
  /** Answers the latencies in milliseconds, once so many have been heard since the last time. */
  | { readonly kind: "latencies"; readonly count: number }
  | { readonly kind: "close" };
