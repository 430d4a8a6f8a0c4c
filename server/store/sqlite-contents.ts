import { asBuffer, type Content, contentBytes } from "../../core/content.js";
import type { Database } from "../../core/sqlite.js";

/** Where a content is: in the row that it belongs to, or under a key. */
export interface ContentPlace {
  readonly contentKey: number | null;
  readonly content: Content | null;
}

/** Contents that do not lie in the row that they belong to. Every method runs in its caller's transaction. */
export interface ContentTable {
  /** The content under a key; undefined where it is in chunk rows. */
  whole(key: number): Content | undefined;
  /** A part of a content, of whatever size; of one in chunk rows, only the rows that it takes are read. */
  part(place: ContentPlace, offset: number, length: number): { readonly data: Buffer; readonly text: boolean };
  /** Begins a content in chunk rows; answers its key. */
  begin(text: boolean): number;
  /** Puts bytes behind those that are there, which end at `position`. */
  append(key: number, position: number, data: Uint8Array): void;
}

/** Most bytes of a chunk row. */
const CHUNK_ROW_BYTES = 256 * 1024;

const NOTHING = Buffer.alloc(0);

/** Prepares the statements. */
export function prepareContents(database: Database): ContentTable {
  const select = database.prepare<[number], Content>("SELECT content FROM contents WHERE key = ?").pluck();
  const insert = database.prepare<[Content]>("INSERT INTO contents (content) VALUES (?)");
  const insertChunk = database.prepare<[number, number, Buffer]>(
    "INSERT INTO chunks (content_key, position, data) VALUES (?, ?, ?)",
  );
  // From the row that the part begins in, which is the last one that begins before it.
  const selectChunks = database
    .prepare<[number, number, number, number], [position: number, data: Buffer]>(
      `SELECT position, data FROM chunks WHERE content_key = ? AND position >= coalesce(
          (SELECT position FROM chunks WHERE content_key = ? AND position <= ? ORDER BY position DESC LIMIT 1), 0)
        AND position < ? ORDER BY position`,
    )
    .raw();

  function chunkPart(key: number, offset: number, length: number): Buffer {
    const end = offset + length;
    const parts = selectChunks.all(key, key, offset, end).map(([position, data]) => {
      return data.subarray(Math.max(offset - position, 0), Math.max(end - position, 0));
    });
    return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
  }

  return {
    whole(key) {
      const content = select.get(key);
      // What is under a key is never empty otherwise: small contents lie in their rows.
      return content === undefined || content.length === 0 ? undefined : content;
    },
    part({ contentKey, content: inRow }, offset, length) {
      const content = contentKey === null ? (inRow ?? NOTHING) : (select.get(contentKey) ?? NOTHING);
      const text = typeof content === "string";
      if (contentKey !== null && content.length === 0) return { data: chunkPart(contentKey, offset, length), text };
      return { data: asBuffer(contentBytes(content)).subarray(offset, offset + length), text };
    },
    begin: (text) => Number(insert.run(text ? "" : NOTHING).lastInsertRowid),
    append(key, position, data) {
      for (let at = 0; at < data.length; at += CHUNK_ROW_BYTES) {
        insertChunk.run(key, position + at, asBuffer(data.subarray(at, at + CHUNK_ROW_BYTES)));
      }
    },
  };
}
