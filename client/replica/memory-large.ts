import { randomBytes } from "node:crypto";
import type { Content } from "../../core/content.js";
import type { Download, Staged, StagedBegin } from "./kept-content.js";
import {
  cutPieces,
  isLarge,
  isOver,
  joined,
  type Large,
  noneStaged,
  partOf,
  pieceBytes,
  type Stored,
} from "./large.js";
import type { Upload } from "./outgoing-batch.js";
import type { RowUpsert } from "./rows.js";

/** A large content in memory. It lasts as long as something refers to it. */
export interface MemoryLarge extends Large {
  readonly pieces: readonly Uint8Array[];
}

/** A content in the making. Never changed, only replaced. */
export interface StagedEntry {
  readonly large: MemoryLarge;
  readonly download: StagedBegin["download"];
}

/** Large contents and contents in the making, within a transaction. */
export interface StagedRows {
  keep(given: Omit<RowUpsert, "fingerprint">): Stored;
  stage(to: number | StagedBegin, piece: Uint8Array): Staged;
  unstage(which: number | "downloads"): void;
  /** The upload of a large content: drawn here for the first time, or as it was drawn. */
  upload(large: Large): Upload;
}

/** What a replica in memory keeps of contents in the making, and of uploads. */
export interface StagedState {
  readonly staged: Map<number, StagedEntry>;
  /** By the key of the content. */
  readonly uploads: Map<number, Uint8Array>;
  lastKey: number;
}

/** Access to contents in the making; what it changes can be undone in reverse order. */
export function stagedRows(state: StagedState, wholeBytes: number, undo: (() => void)[]): StagedRows {
  const { staged, uploads } = state;
  function put(key: number, entry: StagedEntry | undefined): void {
    const before = staged.get(key);
    undo.push(() => (before === undefined ? staged.delete(key) : staged.set(key, before)));
    if (entry === undefined) staged.delete(key);
    else staged.set(key, entry);
  }
  function make(text: boolean, pieces: readonly Uint8Array[]): MemoryLarge {
    state.lastKey += 1;
    return { key: state.lastKey, size: bytesOf(pieces), text, pieces };
  }
  function find(key: number): StagedEntry {
    const entry = staged.get(key);
    if (entry === undefined) throw noneStaged(key);
    return entry;
  }
  return {
    keep({ content, staged: key }) {
      if (key !== undefined) {
        const { large } = find(key);
        put(key, undefined);
        return large.size > wholeBytes ? large : joined(large.pieces, large.text);
      }
      if (content === undefined) throw new Error("a version without a content");
      if (isLarge(content) || !isOver(content, wholeBytes)) return content;
      const bytes = Buffer.from(content as string);
      return make(typeof content === "string", [...cutPieces(bytes, pieceBytes(wholeBytes))]);
    },
    stage(to, piece) {
      const entry = typeof to === "number" ? find(to) : { large: make(to.text, []), download: to.download };
      const { id } = entry.download ?? {};
      for (const [key, other] of [...staged]) {
        if (typeof to !== "number" && id !== undefined && other.download?.id === id) put(key, undefined);
      }
      const pieces = [...entry.large.pieces, Buffer.from(piece)];
      const large = { ...entry.large, pieces, size: bytesOf(pieces) };
      put(large.key, { ...entry, large });
      return { key: large.key, offset: large.size };
    },
    unstage(which) {
      for (const [key, { download }] of [...staged]) {
        if (which === "downloads" ? download !== undefined : key === which) put(key, undefined);
      }
    },
    upload({ key, text }) {
      const known = uploads.get(key);
      if (known !== undefined) return { id: known, begun: true, text };
      const id = randomBytes(16);
      undo.push(() => uploads.delete(key));
      uploads.set(key, id);
      return { id, begun: false, text };
    },
  };
}

/** What was downloaded and not taken. */
export function downloadsOf({ staged }: StagedState, ids: readonly string[] | undefined): readonly Download[] {
  return [...staged.values()].flatMap(({ large, download }) => {
    if (download === undefined || ids?.includes(download.id) === false) return [];
    return [{ ...download, key: large.key, offset: large.size, text: large.text }];
  });
}

/** The whole of a content in memory. */
export function wholeOf(stored: Stored): Content {
  return isLarge(stored) ? joined((stored as MemoryLarge).pieces, stored.text) : stored;
}

/** A part of a content in memory. */
export function partOfStored(stored: Stored, offset: number, length: number): Uint8Array {
  if (!isLarge(stored)) return partOf(stored, offset, length);
  const found: Uint8Array[] = [];
  let at = 0;
  for (const piece of (stored as MemoryLarge).pieces) {
    const from = Math.max(0, offset - at);
    const to = Math.min(piece.length, offset + length - at);
    if (from < to) found.push(piece.subarray(from, to));
    at += piece.length;
  }
  return Buffer.concat(found);
}

function bytesOf(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, piece) => sum + piece.length, 0);
}
