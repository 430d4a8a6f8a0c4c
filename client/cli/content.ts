import { isUtf8 } from "node:buffer";
import type { Content } from "../../core/content.js";

/** Contents above this (64 MiB) are not written as JSON, which holds them in memory several times. */
export const WHOLE_CONTENT_BYTES = 64 * 1024 * 1024;

/** A content in JSON: text as `text`, bytes as `data` in base64. */
export function contentFields(content: Content): { readonly text: string } | { readonly data: string } {
  if (typeof content === "string") return { text: content };
  return { data: Buffer.from(content.buffer, content.byteOffset, content.byteLength).toString("base64") };
}

/** Bytes as text; undefined where they are not UTF-8. */
export function decodeText(bytes: Buffer): string | undefined {
  return isUtf8(bytes) ? bytes.toString("utf8") : undefined;
}
