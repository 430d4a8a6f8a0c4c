/** Bytes of messages that may wait for a reader: two of the usual size (Limits.message_bytes). */
const WAITING_BYTES = 256 * 1024;
/** As many small ones as gRPC's calls take by themselves. */
const WAITING_MESSAGES = 16;

/** Something that messages are written to, as gRPC's calls are. */
interface Writer {
  write(bytes: Buffer, written: () => void): boolean;
}

/** Writes messages, and says when to stop. */
export interface BoundedWriter {
  /** False: nothing more until `resume` was called. */
  write(bytes: Buffer): boolean;
}

/**
 * Bounds by bytes what waits for a slow reader. A gRPC call by itself takes 16 messages before it says that it is full, of
 * whatever size: 2 MiB of usual ones for each reader that stopped. A message waits until HTTP/2 has taken it.
 */
export function createBoundedWriter(to: Writer, resume: () => void): BoundedWriter {
  let messages = 0;
  let waiting = 0;
  let full = false;
  const isFull = (): boolean => waiting >= WAITING_BYTES || messages >= WAITING_MESSAGES;
  return {
    write(bytes) {
      messages += 1;
      waiting += bytes.length;
      to.write(bytes, () => {
        messages -= 1;
        waiting -= bytes.length;
        if (!full || isFull()) return;
        full = false;
        resume();
      });
      full = isFull();
      return !full;
    },
  };
}
