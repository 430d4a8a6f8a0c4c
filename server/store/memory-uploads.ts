import { type Content, contentBytes } from "../../core/content.js";
import type { RecordedConflict } from "../../core/recorded-conflict.js";
import type { PartQuery, PartRead, StoredChange } from "./item-reads.js";
import type { MemoryCollection, MemoryData } from "./memory-write.js";
import type { UploadPiece, UploadRead, UploadRef } from "./uploads.js";
import type { Write } from "./write-batch.js";

/** A content in pieces, as it came. */
interface Pieces {
  readonly pieces: readonly Uint8Array[];
  readonly text: boolean;
}

/** A content on its way to an item; never altered, only replaced. */
export interface MemoryUpload extends Pieces {
  readonly uid: Uint8Array;
  readonly serial: number;
  readonly id: string;
  readonly size: number;
  readonly stored: number;
  readonly timeUs: number;
}

/** What was uploaded, by the change or the record that has it: neither is ever altered, and copies of a store share them. */
const uploaded = new WeakMap<StoredChange | RecordedConflict, Pieces>();

/** Gives one what the other has, if that was uploaded. */
export function passUploaded(from: StoredChange | MemoryUpload, to: StoredChange | RecordedConflict): void {
  const pieces = "pieces" in from ? from : uploaded.get(from);
  if (pieces !== undefined) uploaded.set(to, { pieces: pieces.pieces, text: pieces.text });
}

/** Key of an upload among those of all collections. */
export function uploadKey(uid: Uint8Array, uploadId: Uint8Array): string {
  return Buffer.concat([uid, Buffer.from(":"), uploadId]).toString("latin1");
}

/** Store.upload */
export function addPiece(data: MemoryData, piece: UploadPiece): UploadRead | undefined {
  const { uid, uploadId, id, size, text, offset } = piece;
  const key = uploadKey(uid, uploadId);
  const held = data.uploads.get(key);
  if (held === undefined && (offset !== 0 || piece.data.length === 0)) return undefined;
  const before = held ?? { uid, serial: data.serial + 1, id, size, text, stored: 0, timeUs: 0, pieces: [] };
  const agrees = before.id === id && before.size === size && before.text === text;
  const added = agrees && offset === before.stored && piece.data.length > 0;
  const stored = added ? offset + piece.data.length : before.stored;
  if (added) {
    const timeUs = Math.max(before.timeUs, piece.nowUs);
    data.uploads.set(key, { ...before, stored, timeUs, pieces: [...before.pieces, piece.data] });
    data.serial = Math.max(data.serial, before.serial);
  }
  return { id: before.id, size: before.size, text: before.text, offset: stored, added, serial: before.serial };
}

/** The upload that a write names, if it is there whole for that item. */
export function uploadFor(
  data: MemoryData,
  uid: Uint8Array,
  write: Write,
): (UploadRef & { readonly held: MemoryUpload }) | undefined {
  const { upload, size } = write.upsert ?? {};
  if (upload === undefined) return undefined;
  const held = data.uploads.get(uploadKey(uid, upload.uploadId));
  const fits = held?.serial === upload.serial && held.id === write.id && held.size === size && held.stored === size;
  return fits ? { ...upload, held } : undefined;
}

/** Store.readUpload */
export function readUpload({ pieces }: MemoryUpload, offset: number, length: number): Uint8Array {
  return cut(pieces, offset, length);
}

function cut(pieces: readonly Uint8Array[], offset: number, length: number): Buffer {
  const parts: Uint8Array[] = [];
  let position = 0;
  for (const piece of pieces) {
    const part = piece.subarray(Math.max(offset - position, 0), Math.max(offset + length - position, 0));
    if (part.length > 0) parts.push(part);
    position += piece.length;
  }
  return Buffer.concat(parts);
}

/** Store.pruneUploads */
export function pruneUploads(data: MemoryData, beforeUs: number, limit: number): number {
  const old = [...data.uploads].filter(([, upload]) => upload.timeUs < beforeUs);
  const pruned = old.sort(([, a], [, b]) => a.timeUs - b.timeUs || a.serial - b.serial).slice(0, limit);
  for (const [key] of pruned) data.uploads.delete(key);
  return pruned.length;
}

/** Store.readPart */
export function readPart(collection: MemoryCollection, { id, offset, length }: PartQuery): PartRead | undefined {
  const change = collection.items.get(id);
  if (change?.fingerprint === undefined) return undefined;
  return { change: { ...change, content: undefined }, ...partOf(change, change.content, offset, length) };
}

/** Store.readConflictPart */
export function readConflictPart(
  collection: MemoryCollection,
  number: number,
  offset: number,
  length: number,
): { readonly data: Uint8Array; readonly text: boolean } | undefined {
  const record = collection.conflicts.find((conflict) => conflict.number === number);
  return record?.fingerprint === undefined ? undefined : partOf(record, record.content, offset, length);
}

function partOf(
  of: StoredChange | RecordedConflict,
  content: Content | undefined,
  offset: number,
  length: number,
): { readonly data: Uint8Array; readonly text: boolean } {
  const pieces = uploaded.get(of) ?? { pieces: [contentBytes(content ?? "")], text: typeof content === "string" };
  return { data: cut(pieces.pieces, offset, length), text: pieces.text };
}
