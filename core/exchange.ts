import type { Fault } from "./fault.js";

/**
 * One side of an exchange as a pure state machine, after the shape of etcd's raft: what happens goes in, what is to be
 * done comes out, and nothing is awaited. Unit tests, the simulation and gRPC drive the same machine.
 *
 * Obligations of a driver:
 *   - It calls `next()` only while there is room to send, and carries out what comes before it calls again. A `store`
 *     operation may take its time: no further operation comes out before `stored` or `failed` has answered it.
 *   - It gives messages to `receive` in the order they came, and after the last one calls `ended`.
 *   - It never stops reading because it can't write.
 *   - Once `close` has come out, or the transport is gone, it calls nothing any more.
 */
export interface Exchange<In, Out, Operation, Result> {
  /** The other side said something. `nowUs`: microseconds since 1970. */
  receive(message: In, nowUs: number): void;
  /** The other side has nothing more to say (half-close, or end of the stream). */
  ended(): void;
  /** The storage operation asked for has been done. */
  stored(result: Result): void;
  /** The storage operation asked for has failed as a whole; nothing of it happened. */
  failed(fault: Fault): void;
  /**
   * The store or the replica has advanced, at the server up to this revision: what is live has something to tell. Never
   * needed for correctness, and may come too often.
   */
  notify(revision?: number): void;
  /** Time passes; called about once a second. A fault ends the exchange, whether there is room to send or not. */
  tick(nowUs: number): Fault | undefined;
  /** What to do next; undefined where there is nothing to do until something happens. */
  next(): Output<Out, Operation> | undefined;
}

/** What a machine asks its driver to do. */
export type Output<Out, Operation> =
  | { readonly kind: "send"; readonly message: Out }
  | { readonly kind: "store"; readonly operation: Operation }
  /** The machine is done: half-close or status OK, or the fault. */
  | { readonly kind: "close"; readonly fault?: Fault };
