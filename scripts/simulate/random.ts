/** A stream of pseudo-random numbers: the same seed gives the same numbers on every platform. */
export interface Random {
  /** In [0, 1). */
  next(): number;
  /** A whole number from `least` to `most`, both included. */
  int(least: number, most: number): number;
  /** True with this probability. */
  chance(probability: number): boolean;
  /** One of these; there must be one. */
  pick<T>(from: readonly T[]): T;
  /** One of these, the more likely the greater its weight. */
  weighted<T>(from: readonly (readonly [weight: number, value: T])[]): T;
  /** Some of these, in their order. */
  some<T>(from: readonly T[], count: number): readonly T[];
}

/** Numbers of a seed: mulberry32, whose 32 bits of state are enough for a history of some thousand draws. */
export function createRandom(seed: number): Random {
  let state = mix(seed);

  function next(): number {
    state = (state + 0x6d2b79f5) | 0;
    let word = Math.imul(state ^ (state >>> 15), 1 | state);
    word = (word + Math.imul(word ^ (word >>> 7), 61 | word)) ^ word;
    return ((word ^ (word >>> 14)) >>> 0) / 0x1_0000_0000;
  }

  function int(least: number, most: number): number {
    return least + Math.floor(next() * (most - least + 1));
  }

  function pick<T>(from: readonly T[]): T {
    if (from.length === 0) throw new Error("there is nothing to pick from");
    return from[int(0, from.length - 1)] as T;
  }

  return {
    next,
    int,
    chance: (probability) => next() < probability,
    pick,
    weighted(from) {
      let left = next() * from.reduce((sum, [weight]) => sum + weight, 0);
      for (const [weight, value] of from) {
        left -= weight;
        if (left < 0) return value;
      }
      return pick(from)[1];
    },
    some(from, count) {
      const left = from.map((value, index) => ({ value, index, rank: next() }));
      left.sort((a, b) => a.rank - b.rank);
      return left
        .slice(0, count)
        .sort((a, b) => a.index - b.index)
        .map(({ value }) => value);
    },
  };
}

/** Spreads a seed over 32 bits, so that neighbouring seeds have nothing in common. */
function mix(seed: number): number {
  let word = (seed ^ 0x9e3779b9) | 0;
  word = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35);
  return (word ^ (word >>> 16)) | 0;
}
