import { createHash } from "node:crypto";
import { ErrorReason, fieldFault } from "../../core/fault.js";
import { FaultError } from "./fault-error.js";

const CHECK_BYTES = 8;

/**
 * Tokens of pages: where a page ended, with a check over it and the listing that it belongs to (which call, which
 * collection, which filter). So a token that was altered, or that belongs to another listing, is refused; it grants
 * nothing, so it is not signed.
 */
export interface PageTokens {
  /** The token for the page after this position. */
  encode(position: string): string;
  /** The position that a token says; "" for the first page. Throws a FaultError for a token of another listing. */
  decode(token: string): string;
}

/** The tokens of one listing, which `listing` tells apart from every other. */
export function pageTokens(...listing: readonly (string | Uint8Array)[]): PageTokens {
  function checkOf(position: Uint8Array): Buffer {
    const hash = createHash("sha256");
    for (const part of listing) hash.update(`${Buffer.byteLength(part)}:`).update(part);
    return hash.update(position).digest().subarray(0, CHECK_BYTES);
  }
  return {
    encode(position) {
      const bytes = Buffer.from(position);
      return Buffer.concat([checkOf(bytes), bytes]).toString("base64url");
    },
    decode(token) {
      if (token === "") return "";
      const bytes = Buffer.from(token, "base64url");
      const position = bytes.subarray(CHECK_BYTES);
      if (bytes.toString("base64url") === token && checkOf(position).equals(bytes.subarray(0, CHECK_BYTES))) {
        return position.toString();
      }
      const description = "is not one that this listing gave; send it as it came, with the same request";
      throw new FaultError(fieldFault(ErrorReason.ERROR_REASON_INVALID_FIELD, "page_token", description));
    },
  };
}

/** Entries in a page: what was asked for, at most `most`; `usual` where nothing was. */
export function pageSize(asked: number, usual: number, most: number): number {
  if (asked >= 0) return asked === 0 ? usual : Math.min(asked, most);
  const description = `must not be negative; 0 for ${usual}`;
  throw new FaultError(fieldFault(ErrorReason.ERROR_REASON_INVALID_FIELD, "page_size", description));
}
