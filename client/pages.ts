const PAGE = 500;

/** All elements of a list that is read a page at a time, each page after the last element of the one before. */
export function* pages<T>(
  read: (after: T | undefined, limit: number) => readonly T[],
  limit = Number.POSITIVE_INFINITY,
): Generator<T> {
  let last: T | undefined;
  for (let left = limit; left > 0; ) {
    const page = read(last, Math.min(left, PAGE));
    yield* page;
    left -= page.length;
    last = page.at(-1);
    if (page.length === 0) return;
  }
}

/** Each value as another. */
export function* mapped<T, U>(values: Iterable<T>, map: (value: T) => U): Generator<U> {
  for (const value of values) yield map(value);
}
