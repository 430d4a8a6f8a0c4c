import type { Exchange } from "./exchange.js";
import { ErrorReason, type Fault } from "./fault.js";

/** What a driver needs of the world. */
export interface DriverWorld<Out, Operation, Result> {
  /** Hands a message to the transport; false: it has no room for another one until `resume`. */
  send(message: Out): boolean;
  /** Does a storage operation. What it throws becomes a fault by `toFault`. */
  store(operation: Operation): Result | Promise<Result>;
  /** The machine is done. */
  close(fault: Fault | undefined): void;
  /** What to tell of an error that storage threw. */
  toFault(error: unknown): Fault;
  /** After so many outputs in a row, or so long, lets others run: calls back in a later turn. */
  yieldThen(resume: () => void): void;
  /** Milliseconds from any time on, where a turn is to be bounded by time, too. */
  clock?(): number;
  /** Nothing is to be pulled yet: more is about to come. Whoever says so ticks afterwards. */
  holds?(): boolean;
}

/** Runs a machine on a transport and a storage. */
export interface Driver<In> {
  /** A message came. */
  receive(message: In, nowUs: number): void;
  /** The other side half-closed. */
  ended(): void;
  /** The store or the replica has advanced, at the server up to this revision. */
  notify(revision?: number): void;
  /** There is room to send again, or something else changed: go on. */
  resume(): void;
  /** Time passes. */
  tick(nowUs: number): void;
  /** The transport is gone: do nothing any more. Results of operations under way are dropped. */
  stop(): void;
}

const OUTPUTS_PER_TURN = 32;
/** Milliseconds after which a turn ends with the output that it is at. */
const TURN_MS = 4;

/**
 * The pump: pulls a machine's outputs while there is room. It has no I/O of its own. A synchronous storage costs no
 * promise turn.
 */
export function createDriver<In, Out, Operation, Result>(
  exchange: Exchange<In, Out, Operation, Result>,
  world: DriverWorld<Out, Operation, Result>,
): Driver<In> {
  let room = true;
  let stopped = false;
  let pumping = false;
  let yielded = false;

  function finish(operation: () => void): void {
    if (stopped) return;
    operation();
    pump();
  }

  function store(operation: Operation): void {
    let result: Result | Promise<Result>;
    try {
      result = world.store(operation);
    } catch (error) {
      exchange.failed(world.toFault(error));
      return;
    }
    if (result instanceof Promise) {
      result.then(
        (value) => finish(() => exchange.stored(value)),
        (error: unknown) => finish(() => exchange.failed(world.toFault(error))),
      );
    } else {
      exchange.stored(result);
    }
  }

  function pump(): void {
    if (pumping || yielded || stopped || world.holds?.() === true) return;
    pumping = true;
    const began = world.clock?.() ?? 0;
    try {
      for (let outputs = 0; room && !stopped; outputs++) {
        if (outputs === OUTPUTS_PER_TURN || (world.clock?.() ?? 0) - began > TURN_MS) {
          yielded = true;
          world.yieldThen(() => {
            yielded = false;
            pump();
          });
          return;
        }
        const output = exchange.next();
        if (output === undefined) return;
        if (output.kind === "send") room = world.send(output.message);
        else if (output.kind === "store") store(output.operation);
        else {
          stopped = true;
          world.close(output.fault);
        }
      }
    } catch (error) {
      // A machine that throws is a bug of ours; it must end this exchange and nothing else.
      stopped = true;
      world.close({ reason: ErrorReason.ERROR_REASON_INTERNAL, message: `exchange failed: ${String(error)}` });
    } finally {
      pumping = false;
    }
  }

  return {
    receive(message, nowUs) {
      if (stopped) return;
      exchange.receive(message, nowUs);
      pump();
    },
    ended() {
      if (stopped) return;
      // There may never be room again, and the machine may have to close.
      room = true;
      exchange.ended();
      pump();
    },
    notify(revision) {
      if (stopped) return;
      exchange.notify(revision);
      pump();
    },
    resume() {
      room = true;
      pump();
    },
    tick(nowUs) {
      if (stopped) return;
      const fault = exchange.tick(nowUs);
      if (fault === undefined) return pump();
      stopped = true;
      world.close(fault);
    },
    stop() {
      stopped = true;
    },
  };
}
