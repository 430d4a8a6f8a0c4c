/** Ids seen before, in 8 to 16 bytes each whatever their length: a hash of 53 bits each. */
export interface SeenIds {
  /** Whether the id was added before. Seldom says so of one that was not. */
  add(id: string): boolean;
}

const FIRST_SLOTS = 1 << 16;

/** A hash table with open addressing; 0 is a free slot. */
export function createSeenIds(): SeenIds {
  let slots = new Float64Array(FIRST_SLOTS);
  let used = 0;

  function insert(hash: number): boolean {
    const mask = slots.length - 1;
    let at = hash % slots.length;
    for (; slots[at] !== 0; at = (at + 1) & mask) if (slots[at] === hash) return true;
    slots[at] = hash;
    return false;
  }

  function grow(): void {
    const before = slots;
    slots = new Float64Array(before.length * 2);
    for (const hash of before) if (hash !== 0) insert(hash);
  }

  return {
    add(id) {
      if (used * 4 >= slots.length * 3) grow();
      const seen = insert(hashOf(id));
      if (!seen) used += 1;
      return seen;
    },
  };
}

/** 53 bits of a string, never 0 (cyrb53, public domain). */
function hashOf(text: string): number {
  let high = 0xdeadbeef;
  let low = 0x41c6ce57;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    high = Math.imul(high ^ unit, 2654435761);
    low = Math.imul(low ^ unit, 1597334677);
  }
  high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909);
  low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909);
  return 4294967296 * (2097151 & low) + (high >>> 0) || 1;
}
