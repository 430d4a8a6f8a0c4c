import { createHash } from "node:crypto";
import { idOf as orderedId } from "../figures/items.js";

export { CONTENT_BYTES, contentOf, FIRST_VERSION, spread } from "../figures/items.js";

/** `ordered`: `item-00000042`; `random`: UUIDs, the same on every machine. */
export type IdKind = "ordered" | "random";

const UUID_SEED = "tercet bench uuid 1";

/** The id of an item. */
export function idOf(kind: IdKind, index: number): string {
  return kind === "ordered" ? orderedId(index) : uuidOf(index);
}

/** A version 4 UUID that is fixed by its index. */
export function uuidOf(index: number): string {
  const hex = createHash("sha256").update(`${UUID_SEED} ${index}`).digest("hex");
  const variant = "89ab"[Number.parseInt(hex.slice(16, 17), 16) & 3];
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
