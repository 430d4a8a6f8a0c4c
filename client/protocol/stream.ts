import type { Output } from "../../core/exchange.js";
import type { Fault } from "../../core/fault.js";
import type { ContentChunk, Contents, ExchangeRequest, ExchangeResponse } from "../../gen/tercet/v1/sync.js";
import type { ClientOperation, ClientResult } from "./operation.js";

/** What a client says. */
export type ClientMessage = NonNullable<ExchangeRequest["message"]>;
/** What a server says. */
export type ServerMessage = NonNullable<ExchangeResponse["message"]>;

/** What lies between the machine and its driver: messages in both directions, and one operation on the replica at a time. */
export interface Stream {
  /** A message is to be taken in its turn. */
  receive(message: ServerMessage): void;
  /** Contents answer what the job under way waits for; everything else waits for the job. */
  nextContents(): Contents | ContentChunk | undefined;
  nextMessage(): Exclude<ServerMessage, { $case: "contents" | "chunk" }> | undefined;
  /** Messages that lie unread, contents aside. */
  readonly unread: number;
  /** Asks for an operation on the replica; there is none under way. */
  ask(operation: ClientOperation, then: (result: ClientResult) => void): void;
  /** An operation on the replica is under way. */
  readonly asking: boolean;
  /** The operation has been done. */
  stored(result: ClientResult): void;
  /** The operation has failed. */
  failed(fault: Fault): void;
  /** Sends a message, unless it is closing; answers whether. */
  send(message: ClientMessage): boolean;
  /** Closes it, behind what has been sent; the first one counts. */
  close(fault?: Fault): void;
  readonly closing: boolean;
  /** Nothing comes out any more. */
  abandon(): void;
  readonly closed: boolean;
  /** What the driver is to do next. `step` goes on with what has come, and answers whether there was anything to do. */
  next(step: () => boolean): Output<ExchangeRequest, ClientOperation> | undefined;
}

/** A stream on which nothing was said. */
export function createStream(): Stream {
  const outbox: ExchangeRequest[] = [];
  const inbox: Exclude<ServerMessage, { $case: "contents" | "chunk" }>[] = [];
  const arrived: (Contents | ContentChunk)[] = [];
  let awaiting: ((result: ClientResult) => void) | undefined;
  let following: ClientOperation | undefined;
  let closing: { readonly fault?: Fault } | undefined;
  let closed = false;

  function close(fault?: Fault): void {
    if (closing !== undefined) return;
    closing = fault === undefined ? {} : { fault };
    inbox.length = 0;
    arrived.length = 0;
    following = undefined;
  }

  return {
    receive(message) {
      if (message.$case === "contents" || message.$case === "chunk") arrived.push(message.value);
      else inbox.push(message);
    },
    nextContents: () => arrived.shift(),
    nextMessage: () => inbox.shift(),
    get unread() {
      return inbox.length;
    },
    ask(operation, then) {
      following = operation;
      awaiting = then;
    },
    get asking() {
      return awaiting !== undefined;
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
      if (closing !== undefined) return false;
      outbox.push({ message });
      return true;
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
      for (;;) {
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
    },
  };
}
