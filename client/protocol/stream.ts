import { createExchangeOutput, type ExchangeOutput } from "../../core/exchange-output.js";
import type { Fault } from "../../core/fault.js";
import type { ContentChunk, Contents, ExchangeRequest, ExchangeResponse } from "../../gen/tercet/v1/sync.js";
import type { ClientOperation, ClientResult } from "./operation.js";

/** What a client says. */
export type ClientMessage = NonNullable<ExchangeRequest["message"]>;
/** What a server says. */
export type ServerMessage = NonNullable<ExchangeResponse["message"]>;

/** What lies between the machine and its driver: messages in both directions, and one operation on the replica at a time. */
export interface Stream extends Omit<ExchangeOutput<ExchangeRequest, ClientOperation, ClientResult>, "send"> {
  /** A message is to be taken in its turn. */
  receive(message: ServerMessage): void;
  /** Contents answer what the job under way waits for; everything else waits for the job. */
  nextContents(): Contents | ContentChunk | undefined;
  nextMessage(): Exclude<ServerMessage, { $case: "contents" | "chunk" }> | undefined;
  /** Messages that lie unread, contents aside. */
  readonly unread: number;
  /** Sends a message, unless it is closing; answers whether. */
  send(message: ClientMessage): boolean;
}

/** A stream on which nothing was said. */
export function createStream(): Stream {
  const output = createExchangeOutput<ExchangeRequest, ClientOperation, ClientResult>();
  const inbox: Exclude<ServerMessage, { $case: "contents" | "chunk" }>[] = [];
  const arrived: (Contents | ContentChunk)[] = [];

  /** What lies unread is of no consequence any more. */
  function forget(): void {
    inbox.length = 0;
    arrived.length = 0;
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
    ask: output.ask,
    get asking() {
      return output.asking;
    },
    get atWork() {
      return output.atWork;
    },
    stored: output.stored,
    failed(fault) {
      output.failed(fault);
      forget();
    },
    send(message) {
      if (output.closing) return false;
      output.send({ message });
      return true;
    },
    close(fault?: Fault) {
      output.close(fault);
      forget();
    },
    get closing() {
      return output.closing;
    },
    abandon: output.abandon,
    get closed() {
      return output.closed;
    },
    next: output.next,
  };
}
