/** How large a portion may be. */
export interface PortionLimits {
  readonly bytes: number;
  readonly items: number;
}

/**
 * Joins atoms, each of which stays together, to portions within these limits, in their order. An atom that is larger is a
 * portion of its own.
 */
export function fillPortions<T>(
  atoms: Iterable<readonly T[]>,
  sizeOf: (item: T) => number,
  limits: PortionLimits,
): readonly (readonly T[])[] {
  const portions: T[][] = [];
  let last: T[] = [];
  let filled = Number.POSITIVE_INFINITY;
  for (const atom of atoms) {
    const size = atom.reduce((sum, item) => sum + sizeOf(item), 0);
    if (filled + size > limits.bytes || last.length + atom.length > limits.items) {
      last = [];
      portions.push(last);
      filled = 0;
    }
    last.push(...atom);
    filled += size;
  }
  return portions;
}
