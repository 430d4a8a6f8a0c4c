import { readSync } from "node:fs";
import { decodeText } from "./content.js";

/** A record of a file: the text of a line, or of an element of its array. */
export interface RawRecord {
  /** Number of the line, from 1; of an element its index, from 0. */
  readonly place: number;
  /** Where the record ends in the file, about, for progress. */
  readonly offset: number;
  /** The text, or why there is none. */
  readonly text: string | undefined;
  readonly problem?: string;
}

/** What a file is made of. */
export type RecordFormat = "ndjson" | "array";

/** A record larger than this is refused without being read whole: one of 64 MiB in base64 is not. */
const MAX_RECORD_BYTES = 128 * 1024 * 1024;
const CHUNK_BYTES = 256 * 1024;

const NEWLINE = 0x0a;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const COMMA = 0x2c;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Whether a file begins with `[`, after a byte order mark and blanks. */
export function detectFormat(file: number): RecordFormat {
  for (const chunk of chunksOf(file)) {
    const first = chunk.find((byte) => !isBlank(byte));
    if (first !== undefined) return first === OPEN_ARRAY ? "array" : "ndjson";
  }
  return "ndjson";
}

/** The records of a file from its beginning, one by one; blank lines are none. */
export function readRecords(file: number, format: RecordFormat): Generator<RawRecord> {
  return format === "array" ? readArray(chunksOf(file)) : readLines(chunksOf(file));
}

/** The file in pieces, each of its own memory, without a byte order mark. */
function* chunksOf(file: number): Generator<Buffer> {
  for (let position = 0; ; ) {
    const chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
    const read = readSync(file, chunk, 0, CHUNK_BYTES, position);
    if (read === 0) return;
    const mark = position === 0 && chunk[0] === 0xef && chunk[1] === 0xbb && chunk[2] === 0xbf ? 3 : 0;
    position += read;
    yield chunk.subarray(mark, read);
  }
}

/** The pieces of a record that lies across chunks. */
function createPieces() {
  let pieces: Buffer[] = [];
  let size = 0;
  return {
    /** Keeps a piece, unless the record is too large by now. */
    add(piece: Buffer): void {
      size += piece.length;
      if (size <= MAX_RECORD_BYTES) pieces.push(piece);
      else pieces = [];
    },
    /** The record, whose last piece is this one. */
    take(place: number, offset: number, last: Buffer): RawRecord {
      this.add(last);
      const tooLarge = size > MAX_RECORD_BYTES;
      const bytes = pieces.length === 1 ? last : Buffer.concat(pieces);
      pieces = [];
      size = 0;
      if (tooLarge) return { place, offset, text: undefined, problem: `is over ${MAX_RECORD_BYTES} bytes` };
      const text = decodeText(bytes);
      return text === undefined
        ? { place, offset, text, problem: "is not valid UTF-8" }
        : { place, offset, text: text.trim() };
    },
    get size() {
      return size;
    },
  };
}

function* readLines(chunks: Iterable<Buffer>): Generator<RawRecord> {
  const pieces = createPieces();
  let line = 0;
  let offset = 0;
  for (const chunk of chunks) {
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, from)) {
      line += 1;
      const record = pieces.take(line, offset + end, chunk.subarray(from, end));
      if (record.text !== "") yield record;
      from = end + 1;
    }
    if (from < chunk.length) pieces.add(chunk.subarray(from));
    offset += chunk.length;
  }
  if (pieces.size === 0) return;
  const record = pieces.take(line + 1, offset, Buffer.alloc(0));
  if (record.text !== "") yield record;
}

/** Splits an array at the commas between its elements; what an element is, JSON.parse says. */
function* readArray(chunks: Iterable<Buffer>): Generator<RawRecord> {
  const pieces = createPieces();
  let index = 0;
  let offset = 0;
  let depth = 0;
  let inString = false;
  let escaped = false;
  let ended = false;
  for (const chunk of chunks) {
    let from = 0;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at] as number;
      if (ended) {
        if (isBlank(byte)) continue;
        return yield { place: index, offset, text: undefined, problem: "stands behind the end of the array" };
      }
      if (inString) {
        if (escaped) escaped = false;
        else if (byte === BACKSLASH) escaped = true;
        else if (byte === QUOTE) inString = false;
      } else if (byte === QUOTE) inString = true;
      else if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) {
        depth += 1;
        if (depth === 1) from = at + 1;
      } else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
        depth -= 1;
        ended = depth === 0;
      }
      if (inString || !(ended || (depth === 1 && byte === COMMA))) continue;
      const record = pieces.take(index, offset + at, chunk.subarray(from, at));
      from = at + 1;
      // [] has no element, and not an empty one.
      if (ended && index === 0 && record.text === "") continue;
      yield record;
      index += 1;
    }
    if (depth > 0) pieces.add(chunk.subarray(from));
    offset += chunk.length;
  }
  if (!ended)
    yield { place: index, offset, text: undefined, problem: "is where the file ends: the array is not closed" };
}

function isBlank(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
}
