import type { Output } from "./exchange.js";
import type { Fault } from "./fault.js";

/** What a machine asks its driver to do, in its order: messages, then an operation, one at a time, and in the end to close. */
export interface ExchangeOutput<Out, Operation, Result> {
  /** Asks for an operation; there is none under way. `then` is not called once the machine closes. */
  ask(operation: Operation, then: (result: Result) => void): void;
  /** An operation is wanted or under way. */
  readonly asking: boolean;
  /** One is under way: the driver has it, and has not answered. */
  readonly atWork: boolean;
  /** The operation has been done. */
  stored(result: Result): void;
  /** The operation has failed. */
  failed(fault: Fault): void;
  send(message: Out): void;
  /** Closes, behind what has been sent; the first one counts. */
  close(fault?: Fault): void;
  readonly closing: boolean;
  /** Nothing comes out any more. */
  abandon(): void;
  readonly closed: boolean;
  /** What is next. `step` does one thing more where there is nothing to put out, and answers whether it had one to do. */
  next(step: () => boolean): Output<Out, Operation> | undefined;
}

/** Nothing to do yet. */
export function createExchangeOutput<Out, Operation, Result>(): ExchangeOutput<Out, Operation, Result> {
  const outbox: Out[] = [];
  let awaiting: ((result: Result) => void) | undefined;
  /** The operation that is wanted, until the driver has it. */
  let following: Operation | undefined;
  let closing: { readonly fault?: Fault } | undefined;
  let closed = false;

  function close(fault?: Fault): void {
    if (closing !== undefined) return;
    closing = fault === undefined ? {} : { fault };
    following = undefined;
  }

  return {
    ask(operation, then) {
      following = operation;
      awaiting = then;
    },
    get asking() {
      return awaiting !== undefined;
    },
    get atWork() {
      return awaiting !== undefined && following === undefined;
    },
    stored(result) {
      const then = awaiting;
      awaiting = undefined;
      if (closing === undefined) then?.(result);
    },
    failed(fault) {
      awaiting = undefined;
      close(fault);
    },
    send(message) {
      outbox.push(message);
    },
    close,
    get closing() {
      return closing !== undefined;
    },
    abandon() {
      closed = true;
    },
    get closed() {
      return closed;
    },
    next(step) {
      while (!closed) {
        const message = outbox.shift();
        if (message !== undefined) return { kind: "send", message };
        if (closing !== undefined) {
          closed = true;
          return { kind: "close", ...closing };
        }
        if (following !== undefined) {
          const operation = following;
          following = undefined;
          return { kind: "store", operation };
        }
        if (awaiting !== undefined || !step()) return undefined;
      }
      return undefined;
    },
  };
}
