/** Where a reader of a message stands; `at` is -1 once it has met what it does not know. */
export interface Cursor {
  readonly bytes: Buffer;
  at: number;
}

/** Longer integers are not read here: they may not be exact in a number. */
const MOST_BYTES = 8;

/** The integer that stands at the cursor, as protobuf has it; where there is none, or one that is not exact, `at` is -1. */
export function readVarint(cursor: Cursor): number {
  const { bytes } = cursor;
  let value = bytes[cursor.at++] as number;
  if (value < 128) return value;
  value &= 127;
  let scale = 128;
  for (let read = 1; read < MOST_BYTES; read++) {
    const byte = bytes[cursor.at++];
    if (byte === undefined) break;
    value += (byte & 127) * scale;
    if (byte < 128 && value <= Number.MAX_SAFE_INTEGER) return value;
    if (byte < 128) break;
    scale *= 128;
  }
  cursor.at = -1;
  return 0;
}
