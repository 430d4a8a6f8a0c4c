import { type ClientDuplexStream, credentials } from "@grpc/grpc-js";
import type { Epoch } from "../../../gen/tercet/v1/item.js";
import type { ExchangeRequest, ExchangeResponse } from "../../../gen/tercet/v1/sync.js";
import { SyncServiceClient } from "../../../gen/tercet/v1/sync_service.js";
import { ClientError } from "./replica.js";

/*
 * The stream, as one thread that sends and reads. That can't deadlock: the server reads on while it writes, and what
 * this client sends without waiting for an answer fits into the window, so that it is buffered on the way at the worst.
 */

export type Request = NonNullable<ExchangeRequest["message"]>;
export type Response = NonNullable<ExchangeResponse["message"]>;

export interface Stream {
  send(message: Request): void;
  /** The next message: one that was put off before, or one that comes. */
  receive(): Promise<Response>;
  /** The next message of these kinds. Others that come first are put off. */
  receiveOnly(...kinds: readonly Response["$case"][]): Promise<Response>;
  /** Half-closes, and waits for the server's end of the stream. */
  finish(): Promise<void>;
  /** Ends the call at once. */
  abandon(): void;
}

/** Cuts a list into parts of at most so many bytes, and so many things; what is larger is a part by itself. */
export function inParts<T>(
  things: readonly T[],
  sizeOf: (thing: T) => number,
  mostBytes: number,
  most = Number.POSITIVE_INFINITY,
): T[][] {
  const parts: T[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const thing of things) {
    bytes += sizeOf(thing);
    if (bytes > mostBytes || parts.at(-1)?.length === most) {
      parts.push([]);
      bytes = sizeOf(thing);
    }
    parts.at(-1)?.push(thing);
  }
  return parts;
}

/** How long the server may keep this client waiting. */
const STEP_TIMEOUT_MS = 60_000;

/** Begins an exchange. New epochs may be told at any time, and count at once: `begun` is told of them. */
export function openStream(address: string, timeoutMs: number | undefined, begun: (epoch: Epoch) => void): Stream {
  // A window of 64 KiB, the default, would let 64 KiB through in a round trip.
  const options = { "grpc-node.flow_control_window": 8 * 1024 * 1024 };
  const client = new SyncServiceClient(address, credentials.createInsecure(), options);
  const deadline = timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs };
  const call: ClientDuplexStream<ExchangeRequest, ExchangeResponse> = client.exchange(deadline);
  // The reader below is told of errors; without this, one that comes when nobody reads would be uncaught.
  call.on("error", () => undefined);
  const messages = call[Symbol.asyncIterator]();
  const putOff: Response[] = [];

  async function next(): Promise<ExchangeResponse | undefined> {
    const timer = setTimeout(() => call.cancel(), STEP_TIMEOUT_MS);
    const { value, done } = await messages.next().finally(() => clearTimeout(timer));
    return done ? undefined : (value as ExchangeResponse);
  }

  async function read(): Promise<Response> {
    for (;;) {
      const response = await next();
      if (response === undefined) throw outOfOrder("the server ended the exchange before it was through");
      const { message } = response;
      if (message?.$case === "epochBegun" && message.value.epoch !== undefined) begun(message.value.epoch);
      // A message that this client does not know is none to it.
      else if (message !== undefined) return message;
    }
  }

  return {
    send: (message) => void call.write({ message }),
    receive: async () => putOff.shift() ?? read(),
    async receiveOnly(...kinds) {
      for (;;) {
        const message = await read();
        if (kinds.includes(message.$case)) return message;
        putOff.push(message);
      }
    },
    async finish() {
      call.end();
      while ((await next()) !== undefined);
      client.close();
    },
    abandon() {
      call.cancel();
      client.close();
    },
  };
}

/** The server said what has no meaning at this point. */
export function outOfOrder(message: string): ClientError {
  return new ClientError("OUT_OF_ORDER", message);
}
