import { type Content, contentSize } from "../../core/content.js";
import { fingerprintOf, sameFingerprint } from "../../core/fingerprint.js";
import type { Database } from "../../core/sqlite.js";
import { newPending } from "./local-rules.js";
import type { PendingRow } from "./rows.js";
import { contentReader } from "./sqlite-rebuild-content.js";
import { attempt } from "./sqlite-rebuild-read.js";
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
  /** The change of a row, undefined where it can't be believed. */
  change(row: PendingRow): FoundChange | undefined;
  /** The change of an item without a row. */
  item(id: string): FoundChange | undefined;
  /** The indices say that nothing is pending of it. */
  isClean(id: string): boolean;
}

/** `items`: the items that have a pending change, and where they are in the table. */
export function changeReader(db: Database, items: ReadonlyMap<string, number>, nowUs: number): ChangeReader {
  const large = contentReader(db);
  const contentOf = itemReader(db, items, large, nowUs);
  const baseContent = db.prepare<[number], unknown>("SELECT base_content FROM pending WHERE sequence = ?").pluck();
  const indexed = db
    .prepare<[string], unknown>("SELECT sequence FROM pending INDEXED BY sqlite_autoindex_pending_1 WHERE id = ?")
    .pluck();
  let created: ReadonlySet<unknown> | undefined;
  const heldIds = new Set(
    attempt(() =>
      db.prepare<[], unknown>("SELECT id FROM pending INDEXED BY pending_held WHERE held = 1").pluck().all(),
    ) ?? [],
  );
  const sendings = db.prepare<[string], unknown>("SELECT fingerprint FROM sendings WHERE id = ?").pluck();

  /** Rows of all creations, by their index. */
  function creations(): ReadonlySet<unknown> {
    const query = "SELECT rowid FROM items INDEXED BY items_creation WHERE creation IS NOT NULL";
    created ??= new Set(db.prepare<[], unknown>(query).pluck().all());
    return created;
  }

  function isClean(id: string): boolean {
    return attempt(() => indexed.get(id) === undefined && !creations().has(items.get(id))) === true;
  }

  function sent(id: string): (Uint8Array | undefined)[] {
    const found = attempt(() => sendings.all(id)) ?? [];
    return found.flatMap((each) => (isBytes(each, 32) ? [each] : isBytes(each, 0) ? [undefined] : []));
  }

  return {
    isClean,
    change(row) {
      const { id, base } = row;
      const readBase = (): Content | undefined => large(attempt(() => baseContent.get(row.sequence)));
      const read = base?.fingerprint === undefined ? undefined : readBase();
      const known = read !== undefined && sameFingerprint(fingerprintOf(id, read), base?.fingerprint);
      const item = contentOf(id, row.fingerprint);
      const isDeletion = row.fingerprint === undefined && item === undefined && !items.has(id);
      if (item === undefined && !isDeletion) return undefined;
      if (isDeletion && !known && attempt(() => indexed.get(id)) !== row.sequence) return undefined;
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
  db: Database,
  items: ReadonlyMap<string, number>,
  large: (stored: unknown) => Content | undefined,
  nowUs: number,
): (id: string, expected: Uint8Array | undefined) => FoundItem | undefined {
  const columns = "SELECT content, fingerprint, modify_time_us FROM items";
  const byId = db.prepare<[string], unknown[]>(`${columns} WHERE id = ?`).raw();
  const byRow = db.prepare<[number], unknown[]>(`${columns} NOT INDEXED WHERE rowid = ?`).raw();
  return (id, expected) => {
    const rowid = items.get(id);
    const reads = [() => byId.get(id), ...(rowid === undefined ? [] : [() => byRow.get(rowid)])];
    for (const read of reads) {
      const [stored, kept, timeUs] = attempt(read) ?? [];
      const content = large(stored);
      if (content === undefined) continue;
      const fingerprint = fingerprintOf(id, content);
      const right = sameFingerprint(fingerprint, expected) || (isBytes(kept, 32) && sameFingerprint(fingerprint, kept));
      if (right) return { content, fingerprint, timeUs: timeOf(timeUs, nowUs) };
    }
    return undefined;
  };
}

/** No content. */
export function nothing(): undefined {
  return undefined;
}
