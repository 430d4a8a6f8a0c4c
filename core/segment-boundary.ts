/*
 * Where segments of ids begin. The ids themselves say it, so that two sides that hold about the same items cut them at about
 * the same places, in whatever order they came to have them (content-defined chunking, as of the trees of Noms and Dolt).
 * What one of them asks about is then made of whole segments of the other, of which nothing has to be read.
 */

/** One id of about so many begins a segment: a power of two. */
const SEGMENT_IDS = 32;
/** But none that would leave fewer items in the segment before it: ids that were chosen for it make no more segments. */
export const LEAST_ENTRIES = 8;
/** A segment with more items is cut all the same: to read one is what a change in it may cost. */
export const MOST_ENTRIES = 512;
/** Where none of its ids begins one, so many are in a segment that is made: the next few items do not cut it again. */
export const FULL_ENTRIES = MOST_ENTRIES / 2;

/** Whether a segment begins with this id: by its bytes in UTF-8, and by nothing else. */
export function beginsSegment(id: string): boolean {
  let hash = FIRST;
  for (let at = 0; at < id.length; at++) {
    const unit = id.charCodeAt(at);
    if (unit > LAST_ASCII) {
      const bytes = Buffer.from(id);
      return bytesBeginSegment(bytes, 0, bytes.length);
    }
    hash = Math.imul(hash ^ unit, PRIME);
  }
  return isChosen(hash);
}

/** The same of an id that is in `bytes`, from one place to before another. */
export function bytesBeginSegment(bytes: Uint8Array, from: number, to: number): boolean {
  let hash = FIRST;
  for (let at = from; at < to; at++) hash = Math.imul(hash ^ (bytes[at] as number), PRIME);
  return isChosen(hash);
}

const LAST_ASCII = 0x7f;
/** FNV-1a of 32 bits (RFC 9923). */
const FIRST = 0x811c9dc5;
const PRIME = 0x01000193;

/** FNV leaves the last bytes of ids that are numbered to be seen in the low bits: MurmurHash3's last steps mix them. */
function isChosen(hash: number): boolean {
  let mixed = hash ^ (hash >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return ((mixed ^ (mixed >>> 16)) & (SEGMENT_IDS - 1)) === 0;
}
