import { ChangeStandard } from "../../gen/tercet/v1/item.js";

/** How far ahead of the clock a time may be. */
const MAX_AHEAD_US = 60_000_000;

/** No number of a conflict record reaches this. */
export const FAR = 2 ** 40;

/** A count, a revision or a key can be this. */
export function isWhole(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

/** These are so many bytes. */
export function isBytes(value: unknown, length: number): value is Buffer {
  return value instanceof Uint8Array && value.length === length;
}

/** A standard that somebody can have been judged by. */
export function isStandard(value: unknown): value is ChangeStandard {
  return isWhole(value) && value >= 1 && value <= ChangeStandard.CHANGE_STANDARD_MANUAL;
}

/** A time that can be right, in microseconds; else 0. */
export function timeOf(value: unknown, nowUs: number): number {
  return isWhole(value) && value <= nowUs + MAX_AHEAD_US ? value : 0;
}
