import { type Content, contentSize } from "../../core/content.js";
import type { KeptContent } from "./kept-content.js";
import type { Upsert } from "./local-items.js";

/*
 * Contents larger than WHOLE_BYTES, which a replica keeps in pieces: what every replica means by them.
 *
 * The rules (rules.ts, local-rules.ts, held-rules.ts) pass them on as they do small ones. A large content has exactly one
 * owner outside of a transaction: an item, the base of a pending change, a conflict record, or a content in the making.
 */

/** Bytes of a piece at most (256 KiB), where contents up to so many bytes are kept whole. */
export function pieceBytes(wholeBytes: number): number {
  return Math.max(1, wholeBytes >> 2);
}

/** A large content, as rows refer to it. It never changes. */
export interface Large {
  readonly key: number;
  readonly size: number;
  readonly text: boolean;
}

/** A content as it is kept: whole, or a large one. */
export type Stored = Content | Large;

/** Whether it is a large one. */
export function isLarge(stored: Stored): stored is Large {
  return typeof stored === "object" && !(stored instanceof Uint8Array);
}

/** Its bytes. */
export function storedSize(stored: Stored): number {
  return isLarge(stored) ? stored.size : contentSize(stored);
}

/** Whether a content has more than so many bytes. A short text is not counted. */
export function isOver(content: Content, bytes: number): boolean {
  return content.length * 3 > bytes && contentSize(content) > bytes;
}

/** Whether a version has to be stored by itself: its content is large, or already here in some way. */
export function standsAlone(upsert: Upsert, wholeBytes: number): boolean {
  return upsert.content === undefined || upsert.staged !== undefined || isOver(upsert.content, wholeBytes);
}

/** A content as it is answered: a large one is read when it is asked for. */
export function keptContent(stored: Stored, read: (large: Large) => Content): KeptContent {
  if (!isLarge(stored)) return { content: stored, size: contentSize(stored), text: typeof stored === "string" };
  const { size, text } = stored;
  return {
    get content() {
      return read(stored);
    },
    size,
    text,
  };
}

/** The pieces of a content put together. */
export function joined(pieces: readonly Uint8Array[], text: boolean): Content {
  const whole = Buffer.concat(pieces);
  return text ? whole.toString() : whole;
}

/** Cuts bytes into pieces as they are kept. The bytes are not copied. */
export function* cutPieces(bytes: Uint8Array, length: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

/** A part of a content that is in memory. */
export function partOf(content: Content, offset: number, length: number): Uint8Array {
  const bytes = typeof content === "string" ? Buffer.from(content) : content;
  return bytes.subarray(offset, offset + length);
}

/** There is no content of this key in the making. */
export function noneStaged(key: number): Error {
  return new Error(`there is no content ${key} in the making`);
}
