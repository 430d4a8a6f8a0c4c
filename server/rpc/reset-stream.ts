import { constants } from "node:http2";

interface Resettable {
  close(code: number): void;
}

/**
 * Ends the HTTP/2 stream of a call at once. A status waits behind the messages before it, so it never reaches a client that
 * does not read, and what was written for it would stay in memory as long as its connection lives.
 *
 * grpc-js has no public way to do this: the stream is a private field of the call's inner call (1.14). Where that is not
 * found, nothing happens, and the stream ends with its connection. Returns whether it was found.
 */
export function resetStream(call: object): boolean {
  const stream = privateField(privateField(call, "call"), "stream");
  if (!isResettable(stream)) return false;
  stream.close(constants.NGHTTP2_CANCEL);
  return true;
}

function privateField(holder: unknown, name: string): unknown {
  return typeof holder === "object" && holder !== null ? (holder as Record<string, unknown>)[name] : undefined;
}

function isResettable(value: unknown): value is Resettable {
  return typeof privateField(value, "close") === "function";
}
