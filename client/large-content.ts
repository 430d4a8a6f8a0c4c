import { createHash } from "node:crypto";
import { open as openFile } from "node:fs/promises";
import { setImmediate as nextTurn } from "node:timers/promises";
import { TextDecoder } from "node:util";
import { checkId } from "../core/id.js";
import { TercetError, toError } from "./error.js";
import type { LocalItem, LocalWrite } from "./replica/local-items.js";
import type { ReplicaStore } from "./replica/store.js";
import { hex } from "./replica-views.js";
import { checkNamed, checkPath, invalidField, tooLarge } from "./validate.js";

/** Bytes of a piece: what is held in memory of a content that is streamed. */
const PIECE_BYTES = 256 * 1024;

/** How a content is put that comes from a file or a stream. */
export interface PutOptions {
  /** Keep it as text: it must be UTF-8, else INVALID_FIELD. By default it is kept as bytes. */
  readonly text?: boolean;
}

/**
 * The content of one version of an item, piece by piece: `for await (const piece of content)`, `pipeline(content, writable)`
 * or `read`. They throw TercetError ABORTED where the item was changed or deleted since.
 */
export interface OpenContent {
  /** Bytes of it. */
  readonly size: number;
  /** It was put as text: its bytes are UTF-8. */
  readonly text: boolean;
  /** SHA-256 over id, a zero byte and content: 64 hex digits. */
  readonly fingerprint: string;
  /** At most `length` bytes from `offset` on, fewer at its end. */
  read(offset: number, length: number): Uint8Array;
  /** Pieces of 256 KiB, from the beginning. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array>;
}

/** The methods of a replica that never have a content in memory as a whole. */
export interface StreamedContents {
  putFile<T>(id: string, path: string, options: PutOptions | undefined, write: Write<T>): Promise<T>;
  putStream<T>(
    id: string,
    source: AsyncIterable<Uint8Array>,
    options: PutOptions | undefined,
    write: Write<T>,
  ): Promise<T>;
  openContent(id: string): OpenContent | undefined;
}

type Write<T> = (change: LocalWrite) => T;

/** Reads and writes the store that `open` gives, which throws where the replica is closed. */
export function streamedContents(open: () => ReplicaStore, itemLimit: () => number): StreamedContents {
  async function put<T>(id: string, source: AsyncIterable<Uint8Array>, text: boolean, write: Write<T>): Promise<T> {
    const sum = createHash("sha256").update(id).update("\0");
    const decoder = text ? new TextDecoder("utf-8", { fatal: true }) : undefined;
    let key: number | undefined;
    let size = 0;
    try {
      for await (const piece of inPieces(source)) {
        size += piece.length;
        const limit = itemLimit();
        if (size > limit) throw toError(tooLarge(`is over ${limit} bytes`, limit));
        checkText(decoder, piece);
        sum.update(piece);
        key = open().stage(key ?? { text }, piece).key;
      }
      checkText(decoder);
      key ??= open().stage({ text }, Buffer.alloc(0)).key;
      return write({ id, upsert: { content: undefined, staged: key, fingerprint: sum.digest() } });
    } catch (error) {
      if (key !== undefined) forget(open, key);
      throw error;
    }
  }

  return {
    async putFile(id, path, options, write) {
      check(id, options);
      checkPath("path", path);
      open();
      const file = await openFile(path, "r");
      try {
        const stats = await file.stat();
        const limit = itemLimit();
        if (stats.isFile() && stats.size > limit) throw toError(tooLarge(`is ${stats.size} bytes`, limit));
        const source = file.createReadStream({ autoClose: false, highWaterMark: PIECE_BYTES });
        return await put(id, source, options?.text === true, write);
      } finally {
        await file.close();
      }
    },
    async putStream(id, source, options, write) {
      check(id, options);
      checkPieces(source);
      open();
      return await put(id, source, options?.text === true, write);
    },
    openContent(id) {
      const item = open().get(id);
      return item === undefined ? undefined : openContent(open, item);
    },
  };
}

function openContent(open: () => ReplicaStore, { id, fingerprint, size, text }: LocalItem): OpenContent {
  function read(offset: number, length: number): Uint8Array {
    const piece = open().readContent({ item: id, fingerprint }, offset, length);
    if (piece === undefined) {
      const message = `the item ${JSON.stringify(id)} was changed or deleted while it was read`;
      throw new TercetError(message, { code: "ABORTED" });
    }
    return piece;
  }

  return {
    size,
    text,
    fingerprint: hex(fingerprint),
    read(offset, length) {
      for (const [field, value] of Object.entries({ offset, length })) {
        if (!(Number.isSafeInteger(value) && value >= 0)) throw invalidField(field, "must be a whole number from 0 up");
      }
      return read(offset, length);
    },
    async *[Symbol.asyncIterator]() {
      for (let offset = 0; offset < size; ) {
        const piece = read(offset, PIECE_BYTES);
        if (piece.length === 0) throw new TercetError(`the content of ${id} ends too early`, { code: "DATA_LOSS" });
        offset += piece.length;
        yield piece;
        await nextTurn();
      }
    },
  };
}

/** Bytes however they come, cut and put together to pieces that are each of their own memory. */
async function* inPieces(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let piece = Buffer.allocUnsafeSlow(PIECE_BYTES);
  let filled = 0;
  for await (const chunk of source) {
    if (!(chunk instanceof Uint8Array)) throw invalidField("source", "must give bytes");
    for (let at = 0; at < chunk.length; ) {
      const part = chunk.subarray(at, at + PIECE_BYTES - filled);
      piece.set(part, filled);
      filled += part.length;
      at += part.length;
      if (filled < PIECE_BYTES) continue;
      yield piece;
      piece = Buffer.allocUnsafeSlow(PIECE_BYTES);
      filled = 0;
    }
  }
  if (filled > 0) yield piece.subarray(0, filled);
}

/** Whatever `for await` goes through, but a string. */
function checkPieces(source: Partial<AsyncIterable<unknown> & Iterable<unknown>> | null | undefined): void {
  const method = source?.[Symbol.asyncIterator] ?? source?.[Symbol.iterator];
  if (typeof source === "object" && typeof method === "function") return;
  throw invalidField("source", "must be a readable stream, or something else to go through by for await, of bytes");
}

function check(id: string, options: PutOptions = {}): void {
  const fault = checkId(id);
  if (fault !== undefined) throw toError(fault);
  checkNamed(options, ["text"]);
  const { text = false } = options;
  if (typeof text !== "boolean") throw invalidField("text", "must be true or false");
}

function checkText(decoder: TextDecoder | undefined, piece?: Uint8Array): void {
  try {
    decoder?.decode(piece, { stream: piece !== undefined });
  } catch {
    throw invalidField("content", "is not UTF-8 text; put it as bytes");
  }
}

/** What was stored of it is of no use. A replica that is closed forgets it by itself. */
function forget(open: () => ReplicaStore, key: number): void {
  try {
    open().unstage(key);
  } catch {
    // Why it was given up is what matters.
  }
}
