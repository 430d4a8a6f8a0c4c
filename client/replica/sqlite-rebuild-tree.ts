import { PAGE_BYTES, type Pages } from "./sqlite-rebuild-pages.js";
import { type RecordForm, type Row, rowAt, takeNumber } from "./sqlite-rebuild-record.js";

/*
 * Reading all rows of a table or an index, page by page. SQLite itself finds its way by keys: where a page is half
 * overwritten, a random key in it ends a scan as if there was nothing more, skips what is behind it, or leads a search astray,
 * all without an error. Here no key decides what is read: each page that the tree names is, once, and a row is one that has
 * the form of one.
 */

/** First bytes of a page of a tree. */
const TABLE = { interior: 0x05, leaf: 0x0d };
const INDEX = { interior: 0x02, leaf: 0x0a };
/** Bytes before what the first page has as a page of a tree. */
const FIRST_PAGE_HEAD = 100;
/** Within the head of a page: how many cells there are, and its last child. */
const CELLS_AT = 3;
const LAST_CHILD_AT = 8;

/** Keys of which rows may be missing, bounds included. */
export type Gap = readonly [from: number, to: number];

/** Where a row is. */
export type RowPlace = number;

/** A table or an index. */
export interface Tree {
  /** Visits all rows that can be read, mostly in the order of their keys; answers where there may be more. */
  visit(visitor: (row: Row, place: RowPlace) => void): Gap[];
  /** A row that was visited. */
  at(place: RowPlace): Row | undefined;
}

/** A page that a tree names, and which keys it can have. */
interface Branch {
  readonly number: number;
  readonly from: number;
  readonly to: number;
}

/** A page of a tree, with where its cells are. */
interface TreePage {
  readonly bytes: Buffer;
  readonly isLeaf: boolean;
  readonly cells: readonly number[];
  readonly lastChild: number;
  /** All cells are within it. */
  sound: boolean;
}

/** The tree that begins at a page. */
export function openTree(pages: Pages, root: number, form: RecordForm): Tree {
  const { isIndex } = form;
  // A cell of an index's interior page has a row, too, behind the number of its child.
  const skipped = (page: TreePage): number => (page.isLeaf ? 0 : 4);
  return {
    visit(visitor) {
      const seen = new Uint8Array(pages.count + 1);
      const gaps: Gap[] = [];
      const waiting: Branch[] = [{ number: root, from: 0, to: Number.MAX_SAFE_INTEGER }];
      for (let branch = waiting.pop(); branch !== undefined; branch = waiting.pop()) {
        const { number, from, to } = branch;
        const page = seen[number] === 1 ? undefined : readTreePage(pages, number, isIndex);
        if (page === undefined) {
          gaps.push([from, to]);
          continue;
        }
        seen[number] = 1;
        if (!page.isLeaf) waiting.push(...childrenOf(page, branch, isIndex).reverse());
        let next = from;
        for (const cell of page.isLeaf || isIndex ? page.cells : []) {
          const row = rowAt(pages, page.bytes, cell + skipped(page), form);
          if (row === undefined || (!isIndex && !(row.key >= next && row.key <= to))) page.sound = false;
          else next = row.key + 1;
          if (row !== undefined) visitor(row, number * PAGE_BYTES + cell);
        }
        if (!page.sound) gaps.push([from, to]);
      }
      return gaps;
    },
    at(place) {
      const page = readTreePage(pages, Math.floor(place / PAGE_BYTES), isIndex);
      return page && rowAt(pages, page.bytes, (place % PAGE_BYTES) + skipped(page), form);
    },
  };
}

function readTreePage(pages: Pages, number: number, isIndex: boolean): TreePage | undefined {
  const bytes = pages.page(number);
  if (bytes === undefined) return undefined;
  const head = number === 1 ? FIRST_PAGE_HEAD : 0;
  const kinds = isIndex ? INDEX : TABLE;
  const kind = bytes[head];
  if (kind !== kinds.leaf && kind !== kinds.interior) return undefined;
  const isLeaf = kind === kinds.leaf;
  const first = head + (isLeaf ? 8 : 12);
  const count = bytes.readUInt16BE(head + CELLS_AT);
  const through = Math.min(first + count * 2, PAGE_BYTES);
  const cells: number[] = [];
  for (let at = first; at < through; at += 2) {
    const cell = bytes.readUInt16BE(at);
    if (cell >= through && cell + (isLeaf ? 0 : 4) < PAGE_BYTES) cells.push(cell);
  }
  const lastChild = isLeaf ? 0 : bytes.readUInt32BE(head + LAST_CHILD_AT);
  return { bytes, isLeaf, cells, lastChild, sound: cells.length === count };
}

/** The children of a page; where its keys can't be believed, each can have all that the page can. */
function childrenOf(page: TreePage, { from, to }: Branch, isIndex: boolean): Branch[] {
  const children: Branch[] = [];
  let next = from;
  for (const cell of page.cells) {
    const place = { at: cell + 4 };
    const key = isIndex ? to : takeNumber(page.bytes, place);
    if (!isIndex && !(key >= next && key <= to)) page.sound = false;
    children.push({ number: page.bytes.readUInt32BE(cell), from: next, to: key });
    if (!isIndex) next = key + 1;
  }
  children.push({ number: page.lastChild, from: next, to });
  return page.sound ? children : children.map(({ number }) => ({ number, from, to }));
}
