import { createHash } from "node:crypto";

/** Uid of the collection that sqlite-child.js writes. */
export const UID = Buffer.alloc(16, 7);
/** Items of a batch: one revision each. */
export const NUMBERS_A_BATCH = 3;

/** The batch of that number: two plain items and a large one. @param {number} number */
export function numberedBatch(number) {
  const writes = ["a", "b", "large"].map((kind) => {
    const id = `${kind}-${number}`;
    const content = kind === "large" ? `${number}`.padEnd(20_000, "x") : `${number}`;
    const fingerprint = createHash("sha256").update(`${id}\0${content}`).digest();
    const upsert = { content, fingerprint, size: content.length };
    const expectation = /** @type {const} */ ({ expected: undefined, seen: 0, fence: false, overrides: undefined });
    return { id, upsert, modifyTimeUs: 1, group: 0, ...expectation };
  });
  return { uid: UID, writes, nowUs: 1 };
}
