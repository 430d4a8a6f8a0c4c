import { asBuffer } from "../../core/content.js";
import type { Database } from "../../core/sqlite.js";
import { type ContentTable, prepareContents } from "./sqlite-contents.js";
import type { UploadPiece, UploadRead, UploadRef } from "./uploads.js";

/** Contents on their way to an item. Every method runs in its caller's transaction; `collection` is a collection's key. */
export interface UploadTable {
  upload(collection: number, piece: UploadPiece): UploadRead | undefined;
  read(collection: number, uploadId: Uint8Array, offset: number, length: number): Buffer | undefined;
  drop(collection: number, uploadId: Uint8Array): boolean;
  /** Store.pruneUploads */
  prune(beforeUs: number, limit: number): number;
  /** The key of a content that is there whole for this item; undefined: it is not. */
  find(collection: number, upload: UploadRef, id: string, size: number): number | undefined;
  /** The content now belongs to an item. */
  taken(serial: number): void;
}

interface UploadRow {
  readonly serial: number;
  readonly id: string;
  readonly size: number;
  readonly stored: number;
  readonly content_key: number;
  /** 1 for text. */
  readonly text: number;
}

/** Prepares the statements. */
export function prepareUploads(database: Database): UploadTable {
  const contents = prepareContents(database);
  const select = database.prepare<[number, Buffer], UploadRow>(
    `SELECT serial, id, size, stored, content_key,
        (SELECT typeof(content) = 'text' FROM contents WHERE key = content_key) AS text
      FROM uploads WHERE collection = ? AND upload_id = ?`,
  );
  const remove = database.prepare<[number]>("DELETE FROM uploads WHERE serial = ?");
  const removeContent = database.prepare<[number]>("DELETE FROM contents WHERE key = ?");
  // Those of deleted collections are the purge's.
  const selectOld = database.prepare<[number, number], Pick<UploadRow, "serial" | "content_key">>(
    `SELECT serial, content_key FROM uploads INDEXED BY uploads_by_time
      WHERE time_us < ? AND EXISTS (SELECT 1 FROM collections WHERE key = collection) ORDER BY time_us, serial LIMIT ?`,
  );
  const find = (collection: number, uploadId: Uint8Array) => select.get(collection, asBuffer(uploadId));
  const removeRow = (row: Pick<UploadRow, "serial" | "content_key">): void => {
    removeContent.run(row.content_key);
    remove.run(row.serial);
  };
  return {
    upload: prepareUpload(database, contents, find),
    read(collection, uploadId, offset, length) {
      const row = find(collection, uploadId);
      if (row === undefined) return undefined;
      return contents.part({ contentKey: row.content_key, content: null }, offset, length).data;
    },
    drop(collection, uploadId) {
      const row = find(collection, uploadId);
      if (row !== undefined) removeRow(row);
      return row !== undefined;
    },
    prune(beforeUs, limit) {
      const rows = selectOld.all(beforeUs, limit);
      for (const row of rows) removeRow(row);
      return rows.length;
    },
    find(collection, { uploadId, serial }, id, size) {
      const row = find(collection, uploadId);
      const fits = row?.serial === serial && row.id === id && row.size === size && row.stored === size;
      return fits ? row.content_key : undefined;
    },
    taken: (serial) => void remove.run(serial),
  };
}

function prepareUpload(
  database: Database,
  contents: ContentTable,
  find: (collection: number, uploadId: Uint8Array) => UploadRow | undefined,
): UploadTable["upload"] {
  const insert = database.prepare<[number, Buffer, string, number, number, number, number]>(
    `INSERT INTO uploads (collection, upload_id, id, size, stored, time_us, content_key)
      VALUES (?, ?, ?, ?, ?, ?, ?)`,
  );
  const update = database.prepare<[number, number, number]>(
    "UPDATE uploads SET stored = ?, time_us = max(time_us, ?) WHERE serial = ?",
  );
  return (collection, { uploadId, id, size, text, offset, data, nowUs }) => {
    const row = find(collection, uploadId);
    if (row === undefined) {
      if (offset !== 0 || data.length === 0) return undefined;
      const key = contents.begin(text);
      contents.append(key, 0, data);
      const stored = data.length;
      const { lastInsertRowid } = insert.run(collection, asBuffer(uploadId), id, size, stored, nowUs, key);
      return { id, size, text, offset: stored, added: true, serial: Number(lastInsertRowid) };
    }
    const agrees = row.id === id && row.size === size && row.text === Number(text);
    const added = agrees && offset === row.stored && data.length > 0;
    if (added) {
      contents.append(row.content_key, offset, data);
      update.run(offset + data.length, nowUs, row.serial);
    }
    const end = added ? offset + data.length : row.stored;
    return { id: row.id, size: row.size, text: row.text === 1, offset: end, added, serial: row.serial };
  };
}
