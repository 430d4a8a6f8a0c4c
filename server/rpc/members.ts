/** Who belongs to something for as long as it lasts, in no order. */
export interface Members<T> {
  readonly size: number;
  /** Takes one in, until what it returns is called; once more does nothing. */
  add(member: T): () => void;
  /** Those who are in now. */
  all(): readonly T[];
}

interface Place<T> {
  readonly member: T;
  index: number;
}

/**
 * Not a Set: one that is old, to which young objects come and go, leaves tables behind each time that it makes room, and until
 * the next full garbage collection these keep alive all that was in it. So each call would become old with all that it has.
 */
export function createMembers<T>(): Members<T> {
  const places: Place<T>[] = [];

  function remove(place: Place<T>): void {
    const { index } = place;
    if (index < 0) return;
    place.index = -1;
    const last = places.pop() as Place<T>;
    if (last === place) return;
    last.index = index;
    places[index] = last;
  }

  return {
    get size() {
      return places.length;
    },
    add(member) {
      const place = { member, index: places.length };
      places.push(place);
      return () => remove(place);
    },
    all: () => places.map(({ member }) => member),
  };
}
