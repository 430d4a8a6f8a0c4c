import { randomBytes } from "node:crypto";
import type { Content } from "../../core/content.js";
import type { Database } from "../../core/sqlite.js";
import type { Download, Staged, StagedBegin } from "./kept-content.js";
import { cutPieces, isLarge, isOver, joined, type Large, noneStaged, pieceBytes, type Stored } from "./large.js";
import type { Upload } from "./outgoing-batch.js";
import type { RowUpsert } from "./rows.js";

/** A content as it stands in a column: that of a large one is its key. */
export type Column = Content | number;

/** The key in a column where its content is large, else NULL; does not read the content. */
export function keyIn(column: string): string {
  return `CASE typeof(${column}) WHEN 'integer' THEN ${column} END`;
}

/** A content as it is bound. (Only a bigint is bound as an integer.) */
export function toColumn(stored: Stored): Content | bigint {
  return isLarge(stored) ? BigInt(stored.key) : stored;
}

/** Large contents of an open replica file. All that writes is within a transaction. */
export interface SqliteLarge {
  /** The content of a column. */
  stored(column: Column): Stored;
  /** See Rows. */
  keep(given: Omit<RowUpsert, "fingerprint">): Stored;
  /** A row refers to this content from now on; nothing happens for one that is not large. */
  refer(stored: Stored | undefined): void;
  /** A row that referred to it does not any more. */
  release(key: number | null | undefined): void;
  /** Before the commit: removes what nothing refers to. */
  settle(): void;
  /** The transaction was rolled back. */
  reset(): void;
  upload(large: Large): Upload;
  stage(to: number | StagedBegin, piece: Uint8Array): Staged;
  unstage(which: number | "downloads"): void;
  /** Removes what the application was making when the replica was closed. */
  sweep(): void;
  downloads(ids: readonly string[] | undefined): readonly Download[];
  whole(large: Large): Content;
  pieces(key: number): Generator<Uint8Array>;
  part(key: number, offset: number, length: number): Uint8Array | undefined;
}

/** The large contents in a replica file; contents of more than `wholeBytes` are. */
export function sqliteLarge(db: Database, wholeBytes: number): SqliteLarge {
  const rows = largeRows(db);
  const read = pieceReader(db);
  const staging = stagingRows(db);
  /** How many owners more or less than before the transaction; and which contents it made. */
  const moves = new Map<number, number>();
  const made = new Set<number>();

  function move(key: number, by: number): void {
    moves.set(key, (moves.get(key) ?? 0) + by);
  }

  function describe(key: number): Large {
    const found = rows.find(key);
    if (found === undefined) throw new Error(`there is no large content ${key} (any more)`);
    return found;
  }

  function make(text: boolean): number {
    const key = rows.add(text);
    made.add(key);
    move(key, 0);
    return key;
  }

  function append(key: number, offset: number, bytes: Uint8Array): number {
    let at = offset;
    for (const piece of cutPieces(bytes, pieceBytes(wholeBytes))) {
      rows.addPiece(key, at, piece);
      at += piece.length;
    }
    rows.setSize(key, at);
    return at;
  }

  function whole({ key, text }: Large): Content {
    const pieces = [...read.from(key, 0)];
    if (pieces.length === 0) throw new Error(`the large content ${key} is not there any more`);
    return joined(pieces, text);
  }

  function forget(key: number): void {
    staging.remove(key);
    move(key, -1);
  }

  return {
    stored: (column) => (typeof column === "number" ? describe(column) : column),
    keep({ content, staged }) {
      if (staged !== undefined) {
        if (!staging.has(staged)) throw noneStaged(staged);
        const large = describe(staged);
        forget(staged);
        if (large.size > wholeBytes) return large;
        return large.size === 0 ? joined([], large.text) : whole(large);
      }
      if (content === undefined) throw new Error("a version without a content");
      if (isLarge(content) || !isOver(content, wholeBytes)) return content;
      const text = typeof content === "string";
      const key = make(text);
      const size = append(key, 0, text ? Buffer.from(content) : content);
      return { key, size, text };
    },
    refer(stored) {
      if (stored !== undefined && isLarge(stored)) move(stored.key, 1);
    },
    release(key) {
      if (key !== null && key !== undefined) move(key, -1);
    },
    settle() {
      for (const [key, by] of moves) {
        const owners = (made.has(key) ? 0 : 1) + by;
        if (owners > 1 || owners < 0) throw new Error(`the large content ${key} would have ${owners} owners`);
        if (owners === 0) rows.remove(key);
      }
      moves.clear();
      made.clear();
    },
    reset() {
      moves.clear();
      made.clear();
    },
    upload({ key, text }) {
      const known = rows.uploadOf(key);
      if (known !== undefined) return { id: known, begun: true, text };
      const id = randomBytes(16);
      rows.setUpload(key, id);
      return { id, begun: false, text };
    },
    stage(to, piece) {
      if (typeof to === "number") {
        if (!staging.has(to)) throw noneStaged(to);
        return { key: to, offset: append(to, describe(to).size, piece) };
      }
      const { text, download } = to;
      if (download !== undefined) for (const { key } of staging.downloads([download.id])) forget(key);
      const key = make(text);
      staging.add(key, download);
      move(key, 1);
      return { key, offset: append(key, 0, piece) };
    },
    unstage(which) {
      if (which === "downloads") for (const { key } of staging.downloads(undefined)) forget(key);
      else if (staging.has(which)) forget(which);
    },
    sweep() {
      for (const key of staging.ofApplication()) forget(key);
    },
    downloads: staging.downloads,
    whole,
    pieces: (key) => read.from(key, 0),
    part(key, offset, length) {
      if (rows.find(key) === undefined) return undefined;
      const found: Uint8Array[] = [];
      let left = length;
      for (const piece of left > 0 ? read.from(key, offset) : []) {
        found.push(piece.subarray(0, left));
        left -= piece.length;
        if (left <= 0) break;
      }
      return found.length === 1 ? (found[0] as Uint8Array) : Buffer.concat(found);
    },
  };
}

function largeRows(db: Database) {
  const find = db.prepare<[number], [number, number]>("SELECT size, text FROM large WHERE key = ?").raw();
  const add = db.prepare("INSERT INTO large (size, text) VALUES (0, ?)");
  const setSize = db.prepare("UPDATE large SET size = ? WHERE key = ?");
  const addPiece = db.prepare("INSERT INTO pieces (key, offset, data) VALUES (?, ?, ?)");
  const removePieces = db.prepare("DELETE FROM pieces WHERE key = ?");
  const remove = db.prepare("DELETE FROM large WHERE key = ?");
  const upload = db.prepare<[number], Buffer | null>("SELECT upload_id FROM large WHERE key = ?").pluck();
  const setUpload = db.prepare("UPDATE large SET upload_id = ? WHERE key = ?");
  return {
    find(key: number): Large | undefined {
      const row = find.get(key);
      return row && { key, size: row[0], text: row[1] === 1 };
    },
    add: (text: boolean): number => Number(add.run(text ? 1 : 0).lastInsertRowid),
    setSize: (key: number, size: number) => void setSize.run(size, key),
    addPiece: (key: number, offset: number, data: Uint8Array) => void addPiece.run(key, offset, data),
    remove(key: number): void {
      removePieces.run(key);
      remove.run(key);
    },
    uploadOf: (key: number): Uint8Array | undefined => upload.get(key) ?? undefined,
    setUpload: (key: number, id: Uint8Array) => void setUpload.run(id, key),
  };
}

/** Reads a content from an offset on, one piece at a time: the replica can be written between two of them. */
function pieceReader(db: Database) {
  const at = db
    .prepare<[number, number], [number, Buffer]>(
      "SELECT offset, data FROM pieces WHERE key = ? AND offset <= ? ORDER BY offset DESC LIMIT 1",
    )
    .raw();
  return {
    *from(key: number, offset: number): Generator<Uint8Array> {
      for (let next = offset; ; ) {
        const row = at.get(key, next);
        const piece = row?.[1].subarray(next - row[0]);
        if (piece === undefined || piece.length === 0) return;
        yield piece;
        next += piece.length;
      }
    },
  };
}

type DownloadTuple = [number, number, number, string, number, number, number];

function stagingRows(db: Database) {
  const has = db.prepare<[number], number>("SELECT 1 FROM staging WHERE key = ?").pluck();
  const add = db.prepare("INSERT INTO staging (key, id, revision, modify_time_us, size) VALUES (?, ?, ?, ?, ?)");
  const remove = db.prepare("DELETE FROM staging WHERE key = ?");
  const select = `SELECT staging.key, large.size, large.text, id, revision, modify_time_us, staging.size
    FROM staging JOIN large ON large.key = staging.key WHERE id`;
  const all = db.prepare<[], DownloadTuple>(`${select} IS NOT NULL`).raw();
  const byId = db.prepare<[string], DownloadTuple>(`${select} = ?`).raw();
  const ofApplication = db.prepare<[], number>("SELECT key FROM staging WHERE id IS NULL").pluck();
  return {
    has: (key: number) => has.get(key) === 1,
    add(key: number, download: StagedBegin["download"]): void {
      const { id = null, revision = 0, modifyTimeUs = 0, size = 0 } = download ?? {};
      add.run(key, id, revision, modifyTimeUs, size);
    },
    remove: (key: number) => void remove.run(key),
    ofApplication: () => ofApplication.all(),
    downloads(ids: readonly string[] | undefined): Download[] {
      const tuples = ids === undefined ? all.all() : ids.flatMap((id) => byId.all(id));
      return tuples.map(([key, offset, text, id, revision, modifyTimeUs, size]) => {
        return { key, offset, text: text === 1, id, revision, modifyTimeUs, size };
      });
    },
  };
}
