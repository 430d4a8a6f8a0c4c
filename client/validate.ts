import { type Content, contentSize } from "../core/content.js";
import { ErrorReason, type Fault, fieldFault } from "../core/fault.js";
import { checkId } from "../core/id.js";
import { unknownName } from "../core/unknown-name.js";
import { type TercetError, toError } from "./error.js";

/** The error of a field that was given something it can't be. */
export function invalidField(field: string, description: string): TercetError {
  return toError(fieldFault(ErrorReason.ERROR_REASON_INVALID_FIELD, field, description));
}

/** @throws TercetError INVALID_FIELD where it is no object: programs in JavaScript may leave out what types ask for. */
export function checkObject(field: string, value: object): void {
  if (typeof value === "object" && value !== null) return;
  throw invalidField(field, `must be an object, not ${String(value)}`);
}

/** @throws TercetError INVALID_FIELD where options are no object, or something is said by another name than these. */
export function checkNamed(options: object, names: readonly string[], part?: string): void {
  checkObject(part ?? "options", options);
  const other = unknownName(options, names);
  if (other === undefined) return;
  const field = part === undefined ? other : `${part}.${other}`;
  throw invalidField(field, `is not known; there are ${names.join(", ")}`);
}

/** @throws TercetError INVALID_FIELD where it is no function. */
export function checkFunction(field: string, value: unknown): void {
  if (typeof value !== "function") throw invalidField(field, "must be a function");
}

/** @throws TercetError INVALID_FIELD where `for` can't go through it; a string is not meant. */
export function checkIterable(field: string, value: Iterable<unknown>, of: string): void {
  if (typeof value === "object" && value !== null && typeof value[Symbol.iterator] === "function") return;
  throw invalidField(field, `must be an array, or something else to go through, of ${of}`);
}

/** @throws TercetError INVALID_FIELD where it is no path of a file. */
export function checkPath(field: string, value: string): void {
  if (typeof value === "string" && value !== "") return;
  throw invalidField(field, `must be the path of a file, not ${value === "" ? '""' : typeof value}`);
}

/** @throws TercetError INVALID_FIELD where it is given and neither true nor false. */
export function checkBoolean(field: string, value: unknown): void {
  if (value !== undefined && typeof value !== "boolean") throw invalidField(field, "must be true or false");
}

/** @throws TercetError INVALID_FIELD where it is given and no string. */
export function checkString(field: string, value: unknown): void {
  if (value !== undefined && typeof value !== "string") throw invalidField(field, "must be a string");
}

/** @throws TercetError INVALID_FIELD where it is given and no AbortSignal. */
export function checkSignal(field: string, value: unknown): void {
  if (value !== undefined && !(value instanceof AbortSignal)) throw invalidField(field, "must be an AbortSignal");
}

/** @throws TercetError INVALID_FIELD where it is given and no number above 0; Infinity is one. */
export function checkPositive(field: string, value: number | undefined): void {
  if (value === undefined || (typeof value === "number" && value > 0)) return;
  throw invalidField(field, `must be a number above 0, not ${String(value)}`);
}

/** @throws TercetError INVALID_FIELD where it is given and no whole number from 0 up. */
export function checkWhole(field: string, value: number | undefined): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= 0)) return;
  throw invalidField(field, `must be a whole number from 0 up, not ${String(value)}`);
}

/** ITEM_TOO_LARGE of a content that `is` so large. The limit is the server's, of which a replica knows what it was told last. */
export function tooLarge(is: string, limit: number): Fault {
  const known = `an item has up to ${limit} by what this replica knows so far: a sync tells it its server's limit`;
  return fieldFault(ErrorReason.ERROR_REASON_ITEM_TOO_LARGE, "content", `${is}; ${known}`);
}

/** @throws TercetError INVALID_ID, INVALID_FIELD or ITEM_TOO_LARGE where a replica does not take such an item. */
export function checkItem(id: string, content: Content, limit: number): void {
  const fault = checkId(id) ?? contentFault(content, limit);
  if (fault !== undefined) throw toError(fault);
}

/** @throws TercetError INVALID_FIELD or ITEM_TOO_LARGE. */
export function checkContent(content: Content, limit: number): void {
  const fault = contentFault(content, limit);
  if (fault !== undefined) throw toError(fault);
}

function contentFault(content: Content, limit: number): Fault | undefined {
  if (typeof content !== "string" && !(content instanceof Uint8Array)) {
    return fieldFault(ErrorReason.ERROR_REASON_INVALID_FIELD, "content", "must be a string or bytes");
  }
  const size = contentSize(content);
  if (size > limit) return tooLarge(`is ${size} bytes`, limit);
  if (typeof content === "string" && !content.isWellFormed()) {
    return fieldFault(ErrorReason.ERROR_REASON_INVALID_FIELD, "content", "has a lone surrogate; put it as bytes");
  }
  return undefined;
}
