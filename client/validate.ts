import { ErrorReason, fieldFault } from "../core/fault.js";
import { type TercetError, toError } from "./error.js";

/** The error of a field that was given something it can't be. */
export function invalidField(field: string, description: string): TercetError {
  return toError(fieldFault(ErrorReason.ERROR_REASON_INVALID_FIELD, field, description));
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
