import { type Content, contentSize } from "../../core/content.js";
import { fingerprintOf, sameFingerprint } from "../../core/fingerprint.js";
import { newPending } from "./local-rules.js";
import type { PendingRow } from "./rows.js";
import { contentReader } from "./sqlite-rebuild-content.js";
import { ITEM, type PendingItems } from "./sqlite-rebuild-items.js";
import type { Salvage } from "./sqlite-rebuild-read.js";
import type { RowPlace } from "./sqlite-rebuild-tree.js";
import { isBytes, timeOf } from "./sqlite-rebuild-values.js";

/** A pending change that was found. */
export interface FoundChange {
  readonly row: PendingRow;
  /** Reads the content again; undefined for a deletion, and for a base whose content is not known. */
  readonly content: () => Content | undefined;
  readonly baseContent: () => Content | undefined;
  readonly sendings: readonly (Uint8Array | undefined)[];
  /** Only the item was found. */
  readonly baseless: boolean;
  /** Others of its atomic group may be missing. */
  readonly broken: boolean;
}

/** Reads pending changes one by one. */
export interface ChangeReader {
  /** The change of a row that is there, or of a creation without one; undefined where it can't be believed. */
  change(row: PendingRow, place: RowPlace | undefined): FoundChange | undefined;
  /** The change of an item without a row. */
  item(id: string): FoundChange | undefined;
  /** The indices say that nothing is pending of it. */
  isClean(id: string): boolean;
}

/** Column of `pending`. */
export const BASE_CONTENT = 15;

/** Reads the changes that rows and items tell of. */
export function changeReader(salvage: Salvage, items: PendingItems, nowUs: number): ChangeReader {
  const large = contentReader(salvage);
  const contentOf = itemReader(salvage, items, large, nowUs);
  const rows = salvage.tree("pending");
  const { sequences, creations, held: heldIds, complete } = readIndices(salvage);
  const sendings = readSendings(salvage);

  function isClean(id: string): boolean {
    return complete && !sequences.has(id) && !creations.has(items.marked.get(id));
  }

  function sent(id: string): (Uint8Array | undefined)[] {
    const found = sendings.get(id) ?? [];
    return found.flatMap((each) => (isBytes(each, 32) ? [each] : isBytes(each, 0) ? [undefined] : []));
  }

  return {
    isClean,
    change(row, place) {
      const { id, base } = row;
      const readBase = (): Content | undefined =>
        place === undefined ? undefined : large(rows.at(place)?.value(BASE_CONTENT));
      const read = base?.fingerprint === undefined ? undefined : readBase();
      const known = read !== undefined && sameFingerprint(fingerprintOf(id, read), base?.fingerprint);
      const item = contentOf(id, row.fingerprint);
      const isDeletion = row.fingerprint === undefined && item === undefined && !items.marked.has(id);
      if (item === undefined && !isDeletion) return undefined;
      if (isDeletion && !known && sequences.get(id) !== row.sequence) return undefined;
      const earlier = sent(id);
      const held = base !== undefined && (row.held || heldIds.has(id));
      return {
        row: {
          ...row,
          fingerprint: item?.fingerprint,
          size: item === undefined ? 0 : contentSize(item.content),
          held,
          sent: row.sent && !held,
          resent: earlier.length > 0,
        },
        content: () => item && contentOf(id, item.fingerprint)?.content,
        baseContent: known ? readBase : nothing,
        sendings: earlier,
        baseless: false,
        broken: false,
      };
    },
    item(id) {
      const item = contentOf(id, undefined);
      if (item === undefined || isClean(id)) return undefined;
      const { content, fingerprint, timeUs } = item;
      const earlier = sent(id);
      const mine = { fingerprint, size: contentSize(content), modifyTimeUs: timeUs, sent: true };
      const row = { ...newPending(id, Number.MAX_SAFE_INTEGER), ...mine, resent: earlier.length > 0 };
      const again = (): Content | undefined => contentOf(id, fingerprint)?.content;
      return { row, content: again, baseContent: nothing, sendings: earlier, baseless: true, broken: false };
    },
  };
}

/** An item's content, with the fingerprint that it has. */
interface FoundItem {
  readonly content: Content;
  readonly fingerprint: Uint8Array;
  readonly timeUs: number;
}

/** Reads items whose content is what the item or the change, which expects this, keeps a fingerprint of. */
function itemReader(
  salvage: Salvage,
  { places }: PendingItems,
  large: (stored: unknown) => Content | undefined,
  nowUs: number,
): (id: string, expected: Uint8Array | undefined) => FoundItem | undefined {
  const rows = salvage.tree("items");
  return (id, expected) => {
    for (const place of places.get(id) ?? []) {
      const row = rows.at(place);
      const content = large(row?.value(ITEM.content));
      if (row === undefined || content === undefined) continue;
      const kept = row.value(ITEM.fingerprint);
      const fingerprint = fingerprintOf(id, content);
      const right = sameFingerprint(fingerprint, expected) || (isBytes(kept, 32) && sameFingerprint(fingerprint, kept));
      if (right) return { content, fingerprint, timeUs: timeOf(row.value(ITEM.modifyTimeUs), nowUs) };
    }
    return undefined;
  };
}

/** What the indices say of what is pending, and whether they could be read whole. */
function readIndices(salvage: Salvage) {
  const sequences = new Map<unknown, unknown>();
  const creations = new Set<unknown>();
  const held = new Set<unknown>();
  const gaps = [
    ...salvage.tree("sqlite_autoindex_pending_1").visit((row) => sequences.set(row.value(0), row.value(1))),
    ...salvage.tree("items_creation").visit((row) => creations.add(row.value(1))),
  ];
  salvage.tree("pending_held").visit((row) => held.add(row.value(0)));
  return { sequences, creations, held, complete: gaps.length === 0 };
}

/** The versions that were sent before, by ids. */
function readSendings(salvage: Salvage): ReadonlyMap<unknown, readonly unknown[]> {
  const sendings = new Map<unknown, unknown[]>();
  salvage.tree("sendings").visit((row) => {
    const [id, fingerprint] = [row.value(0), row.value(1)];
    const known = sendings.get(id);
    if (known === undefined) sendings.set(id, [fingerprint]);
    else known.push(fingerprint);
  });
  return sendings;
}

/** No content. */
export function nothing(): undefined {
  return undefined;
}
