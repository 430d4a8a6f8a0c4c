/** A content as it was given: a string came and goes as text, bytes as bytes. The fingerprint of both is the same. */
export type Content = string | Uint8Array;

/** Bytes of a content (of its UTF-8, for text). */
export function contentSize(content: Content): number {
  return typeof content === "string" ? Buffer.byteLength(content) : content.length;
}

/** The bytes of a content. */
export function contentBytes(content: Content): Uint8Array {
  return typeof content === "string" ? Buffer.from(content) : content;
}

/** The oneof that carries a content in ChangeInfo, ItemContent, Push and ConflictRecord. */
export type ContentField = { $case: "data"; value: Buffer } | { $case: "text"; value: string };

/** A content as the oneof. Bytes are not copied. */
export function toContentField(content: Content): ContentField {
  if (typeof content === "string") return { $case: "text", value: content };
  return { $case: "data", value: asBuffer(content) };
}

/** The content of the oneof; undefined where it is unset. */
export function fromContentField(field: ContentField | undefined): Content | undefined {
  return field?.value;
}

/** The same bytes as a Buffer, not copied. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
