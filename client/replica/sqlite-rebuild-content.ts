import type { Content } from "../../core/content.js";
import type { Salvage } from "./sqlite-rebuild-read.js";
import type { RowPlace } from "./sqlite-rebuild-tree.js";
import { isWhole } from "./sqlite-rebuild-values.js";

interface Piece {
  readonly offset: number;
  readonly place: RowPlace;
}

/** Reads the content of a column: a large one stands in pieces under the key that the column has. */
export function contentReader(salvage: Salvage): (stored: unknown) => Content | undefined {
  const pieces = salvage.tree("pieces");
  let found: ReturnType<typeof findLarge> | undefined;
  return (stored) => {
    if (isContent(stored)) return stored;
    if (!isWhole(stored)) return undefined;
    found ??= findLarge(salvage);
    const { size, text } = found.large.get(stored) ?? {};
    if (size === undefined) return undefined;
    const parts: Buffer[] = [];
    let length = 0;
    for (const { offset, place } of found.pieces.get(stored) ?? []) {
      const part = offset === length ? pieces.at(place)?.value(2) : undefined;
      if (!Buffer.isBuffer(part)) continue;
      parts.push(part);
      length += part.length;
    }
    if (length !== size) return undefined;
    const whole = Buffer.concat(parts);
    return text === 1 ? whole.toString() : whole;
  };
}

/** What large contents there are, and where their pieces are, in order. */
function findLarge(salvage: Salvage) {
  const large = new Map<number, { readonly size: unknown; readonly text: unknown }>();
  salvage.tree("large").visit((row) => large.set(row.key, { size: row.value(1), text: row.value(2) }));
  const pieces = new Map<number, Piece[]>();
  salvage.tree("pieces").visit((row, place) => {
    const [key, offset] = [row.value(0), row.value(1)];
    if (!isWhole(key) || !isWhole(offset)) return;
    const known = pieces.get(key);
    if (known === undefined) pieces.set(key, [{ offset, place }]);
    else known.push({ offset, place });
  });
  for (const each of pieces.values()) each.sort((a, b) => a.offset - b.offset);
  return { large, pieces };
}

function isContent(value: unknown): value is Content {
  return typeof value === "string" || value instanceof Uint8Array;
}
