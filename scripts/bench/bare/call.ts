import type { MethodDefinition } from "@grpc/grpc-js";

/** What a client wants, as the first byte of its first message. A call without any message is the empty call. */
export const WANTS = { pull: 1, push: 2, changes: 3, mark: 4, pullLarge: 5, pushLarge: 6 } as const;

/** Something that a client wants. */
export type Want = (typeof WANTS)[keyof typeof WANTS];

/** The one large item. */
export const LARGE_ID = "large";

/** HTTP/2 window of both sides, in bytes: with the default of 64 KiB a copy gets 64 KiB a round trip. */
export const WINDOW_BYTES = 8 * 1024 * 1024;

const same = (bytes: Buffer): Buffer => bytes;

const COPY: MethodDefinition<Buffer, Buffer> = {
  path: "/bench.Bare/Copy",
  requestStream: true,
  responseStream: true,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
};

/** The one call, with messages of bytes. */
export const BARE_SERVICE = { copy: COPY } as const;

/** What a call's stream can do that both sides use. */
interface Writable {
  write(message: Buffer): boolean;
  once(event: "drain" | "close" | "error", listener: () => void): unknown;
  off(event: "drain" | "close" | "error", listener: () => void): unknown;
}

/** Writes the batches as fast as they are taken. */
export async function writeAll(stream: Writable, batches: Iterable<Buffer>): Promise<void> {
  for (const batch of batches) {
    if (!stream.write(batch)) await drained(stream);
  }
}

/** Also resolves when the stream ends, of which its owner hears by itself. */
function drained(stream: Writable): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      stream.off("drain", done);
      stream.off("close", done);
      stream.off("error", done);
      resolve();
    };
    stream.once("drain", done);
    stream.once("close", done);
    stream.once("error", done);
  });
}
