// The bare copy's batches: the number of strings, their lengths, and the text of all of them in one piece. So a batch is
// encoded and decoded by a call each, whatever is in it, and a row costs no more than two slices of a string.

/** An id and its content. */
export type Row = readonly [id: string, content: string];

/** Bytes of a batch, about: what grpc-js is fastest with. */
export const BATCH_BYTES = 128 * 1024;

const WORD_BYTES = 4;

/** Fills batches, and hands over each that is full. */
export interface BatchWriter {
  /** Adds a row; answers the batch that it made full, if it did. */
  add(row: Row): Buffer | undefined;
  /** What is left; undefined where nothing is. */
  rest(): Buffer | undefined;
}

/** Makes a writer of batches of about `BATCH_BYTES`. */
export function createBatchWriter(): BatchWriter {
  let strings: string[] = [];
  let units = 0;

  function take(): Buffer | undefined {
    if (strings.length === 0) return undefined;
    const batch = encode(strings);
    strings = [];
    units = 0;
    return batch;
  }

  return {
    add([id, content]) {
      strings.push(id, content);
      units += id.length + content.length + 2 * WORD_BYTES;
      return units >= BATCH_BYTES ? take() : undefined;
    },
    rest: take,
  };
}

function encode(strings: readonly string[]): Buffer {
  const text = strings.join("");
  const head = (1 + strings.length) * WORD_BYTES;
  const batch = Buffer.allocUnsafeSlow(head + Buffer.byteLength(text));
  // Lengths are those of the strings, in UTF-16 units: they need not be told from the bytes.
  const words = new Uint32Array(batch.buffer, 0, 1 + strings.length);
  words[0] = strings.length;
  for (let index = 0; index < strings.length; index++) words[index + 1] = strings[index]?.length ?? 0;
  batch.write(text, head);
  return batch;
}

/** Reads a batch: ids and contents in turn, as a statement with many rows takes them. */
export function readBatch(batch: Buffer): string[] {
  const count = batch.readUInt32LE(0);
  const head = (1 + count) * WORD_BYTES;
  const text = batch.toString("utf8", head);
  const values = new Array<string>(count);
  let at = 0;
  for (let index = 0; index < count; index++) {
    const end = at + batch.readUInt32LE((index + 1) * WORD_BYTES);
    values[index] = text.slice(at, end);
    at = end;
  }
  return values;
}
