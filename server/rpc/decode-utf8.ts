import { isUtf8 } from "node:buffer";

const REPLACEMENT = "\ufffd";
const LONE_SURROGATE = "\ud800";

/**
 * Text of bytes; of bytes that are not UTF-8, a text with a lone surrogate, which no UTF-8 gives. So whoever looks at the
 * field refuses it by `isWellFormed`, item by item, and nothing is silently replaced, while a U+FFFD that was sent stays.
 */
export function decodeUtf8(bytes: Buffer, from = 0, to = bytes.length): string {
  const text = bytes.toString("utf8", from, to);
  return text.includes(REPLACEMENT) && !isUtf8(bytes.subarray(from, to)) ? text + LONE_SURROGATE : text;
}
