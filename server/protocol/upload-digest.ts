import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import { asBuffer } from "../../core/content.js";

/** The fingerprint of a content that comes in pieces. */
export interface UploadDigest {
  /** Bytes that were added. */
  readonly bytes: number;
  /** Adds the next piece. */
  add(data: Uint8Array): void;
  /** What came of it; to be called once, after the last piece. */
  end(): DigestEnd;
}

/** What is known of a content of which all pieces were seen. */
export interface DigestEnd {
  readonly fingerprint: Buffer;
  /** It can be text; of a content that is not to be one, nothing is said. */
  readonly isText: boolean;
}

const NOTHING = Buffer.alloc(0);

/** SHA-256 over id, zero byte and pieces (core/fingerprint.ts), and for a text whether it is UTF-8. */
export function createUploadDigest(id: string, text: boolean): UploadDigest {
  const sha = createHash("sha256").update(id).update("\0");
  let bytes = 0;
  let isText = true;
  /** The beginning of a character that the last piece ended in. */
  let begun = NOTHING;

  function checkText(data: Uint8Array): void {
    const all = begun.length === 0 ? asBuffer(data) : Buffer.concat([begun, data]);
    const end = all.length - unfinished(all);
    isText = isUtf8(all.subarray(0, end));
    // Copied: three bytes must not keep a whole piece.
    begun = Buffer.from(all.subarray(end));
  }

  return {
    get bytes() {
      return bytes;
    },
    add(data) {
      sha.update(data);
      bytes += data.length;
      if (text && isText) checkText(data);
    },
    end: () => ({ fingerprint: sha.digest(), isText: isText && begun.length === 0 }),
  };
}

/** How many bytes at the end are the beginning of a character of UTF-8 that goes on behind them. */
function unfinished(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] as number;
    // A byte that continues a character: the one that begins it is further ahead.
    if (byte >= 0x80 && byte < 0xc0) continue;
    const length = byte < 0xc0 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
    return length > back ? back : 0;
  }
  return 0;
}
