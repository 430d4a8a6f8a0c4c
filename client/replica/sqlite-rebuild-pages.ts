import { closeSync, fstatSync, openSync, readSync } from "node:fs";

export const PAGE_BYTES = 4096;

/** The pages of a file that nobody writes to. */
export interface Pages {
  readonly count: number;
  readonly bytes: number;
  /** The page of a number from 1, not to be changed; undefined where there is none. */
  page(number: number): Buffer | undefined;
  close(): void;
}

/** Opens a file to read its pages. */
export function openPages(path: string): Pages {
  const file = openSync(path, "r");
  const bytes = fstatSync(file).size;
  const count = Math.floor(bytes / PAGE_BYTES);
  // Rows that stand one behind the other are mostly read so.
  let last: { readonly number: number; readonly page: Buffer } | undefined;
  return {
    count,
    bytes,
    page(number) {
      if (!(number >= 1 && number <= count)) return undefined;
      if (last?.number === number) return last.page;
      const page = Buffer.alloc(PAGE_BYTES);
      readSync(file, page, 0, PAGE_BYTES, (number - 1) * PAGE_BYTES);
      last = { number, page };
      return page;
    },
    close: () => closeSync(file),
  };
}
