import type { Database, Statement } from "../../core/sqlite.js";

/** Rows of one statement, largest first: any number is made up of these, so that few statements need be prepared. */
const SIZES = [128, 16, 1] as const;
/** Rows that are looked at together: as many as go well with one another, and bounded for the memory that they take. */
export const RUN_ROWS = 8 * SIZES[0];

/** A statement for any number of rows. */
export interface Sized {
  /** Runs it over `values`, which have `width` parameters for each row. */
  run(values: readonly unknown[], width: number): void;
  /** Runs it likewise, where it inserts: how many rows that was, and the number of the first. */
  insert(values: readonly unknown[], width: number): { readonly count: number; readonly first: number };
  /** Reads it likewise, one parameter a row by default: the rows found, as arrays, in no order. */
  all(values: readonly unknown[], width?: number): Generator<unknown[]>;
}

/** Prepares a statement in several sizes, when they are first needed; `row` is repeated with commas between. */
export function sized(db: Database, row: string, sql: (rows: string) => string): Sized {
  const statements = new Map<number, Statement>();
  function statement(size: number): Statement {
    let found = statements.get(size);
    if (found === undefined) {
      found = db.prepare(sql(Array(size).fill(row).join(", ")));
      if (found.reader) found.raw();
      statements.set(size, found);
    }
    return found;
  }
  return {
    run(values, width) {
      for (const [from, to] of cut(values.length / width)) {
        statement(to - from).run(values.slice(from * width, to * width));
      }
    },
    insert(values, width) {
      let count = 0;
      let next = Number.POSITIVE_INFINITY;
      for (const [from, to] of cut(values.length / width)) {
        const { changes, lastInsertRowid } = statement(to - from).run(values.slice(from * width, to * width));
        count += changes;
        if (changes > 0) next = Number(lastInsertRowid) + 1;
      }
      return { count, first: next - count };
    },
    *all(values, width = 1) {
      for (const [from, to] of cut(values.length / width)) {
        yield* statement(to - from).all(values.slice(from * width, to * width)) as unknown[][];
      }
    },
  };
}

function* cut(length: number): Generator<readonly [from: number, to: number]> {
  let from = 0;
  for (const size of SIZES) {
    for (; length - from >= size; from += size) yield [from, from + size];
  }
}
