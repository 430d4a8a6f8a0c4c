/**
 * What became of one local change, of exactly this version.
 *
 *   - `applied`: the server has it, as its revision `revision`;
 *   - `already`: there was nothing to send, or both sides had made the same of it: the server had it by `revision`;
 *   - `gave-way`: another version prevailed; this one is in conflict record `conflict` of the replica;
 *   - `held`: in conflict until somebody resolves it; it stays pending;
 *   - `rejected`: not acceptable to the server; it stays pending, and is tried again with every exchange;
 *   - `superseded`: a later local write took its place, sent or not;
 *   - `discarded`: it is not pending any more, and nothing of the above is known.
 */
export type Verdict =
  | { readonly outcome: "applied" | "already"; readonly revision: number }
  | { readonly outcome: "gave-way"; readonly conflict: number }
  | { readonly outcome: "rejected"; readonly reason: string; readonly message: string }
  | { readonly outcome: "held" | "superseded" | "discarded" };

/** How long to wait for a verdict. */
export interface VerdictOptions {
  /** Stops waiting: rejects with CANCELLED. The change stays as it is. */
  readonly signal?: AbortSignal;
  /** Milliseconds after which it rejects with DEADLINE_EXCEEDED. Default: none. */
  readonly timeoutMs?: number;
}
