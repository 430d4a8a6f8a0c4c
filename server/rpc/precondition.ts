import { asBuffer } from "../../core/content.js";
import { ErrorReason, type Fault, fieldFault } from "../../core/fault.js";
import { checkFingerprint } from "../../core/fingerprint.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import type { Precondition } from "../../gen/tercet/v1/item_service.js";
import { notNegative } from "../protocol/validate-push.js";
import type { StoredChange } from "../store/item-reads.js";
import type { Write } from "../store/write-batch.js";
import { FaultError, refuse } from "./fault-error.js";

/** The part of a write that a precondition decides. */
export type Expectation = Pick<Write, "expected" | "seen" | "overrides">;

/** Whatever is there. What is overwritten is kept, as by no standard. */
export const ANY_STATE: Expectation = {
  expected: "any",
  seen: undefined,
  overrides: ChangeStandard.CHANGE_STANDARD_UNSPECIFIED,
};

/** What a precondition asks of a write; throws PRECONDITION_MISSING, or what is wrong with it. */
export function toExpectation(precondition: Precondition | undefined): Expectation {
  return expectationOf(precondition, 'say which state it replaces: "fingerprint", "absent", or "any"');
}

/** The same of a deletion: what is absent can't be deleted. */
export function toDeletionExpectation(precondition: Precondition | undefined): Expectation {
  if (precondition?.state?.$case === "absent") {
    const description = "makes no sense for a deletion";
    refuse(fieldFault(ErrorReason.ERROR_REASON_INVALID_FIELD, "precondition.absent", description));
  }
  return expectationOf(precondition, 'say in which state it is deleted: "fingerprint" or "any"');
}

function expectationOf(precondition: Precondition | undefined, advice: string): Expectation {
  const state = precondition?.state;
  const seen = precondition?.revisionSeen;
  refuse(notNegative(seen, "precondition.revision_seen"));
  switch (state?.$case) {
    case undefined:
      throw new FaultError(fieldFault(ErrorReason.ERROR_REASON_PRECONDITION_MISSING, "precondition", advice));
    case "fingerprint":
      refuse(checkFingerprint(state.value, "precondition.fingerprint"));
      return { expected: state.value.value, seen, overrides: undefined };
    case "absent":
      refuse(mustBeTrue(state.value, "precondition.absent"));
      return { expected: undefined, seen, overrides: undefined };
    case "any":
      refuse(mustBeTrue(state.value, "precondition.any"));
      if (seen !== undefined) {
        const description = 'goes with "fingerprint" or "absent" only';
        refuse(fieldFault(ErrorReason.ERROR_REASON_INVALID_FIELD, "precondition.revision_seen", description));
      }
      return ANY_STATE;
  }
}

function mustBeTrue(value: boolean, field: string): Fault | undefined {
  if (value) return undefined;
  return fieldFault(ErrorReason.ERROR_REASON_INVALID_FIELD, field, "must be true, or not be set");
}

/** An item was not in the state that the precondition names, but in this one. */
export function preconditionFailed(current: StoredChange): Fault {
  const fingerprint = current.fingerprint === undefined ? undefined : asBuffer(current.fingerprint).toString("hex");
  const is = fingerprint === undefined ? "is not there" : `has the fingerprint ${fingerprint}`;
  return {
    reason: ErrorReason.ERROR_REASON_PRECONDITION_FAILED,
    message: `the item "${current.id}" ${is} at revision ${current.revision}, which the precondition does not allow`,
    metadata: { revision: String(current.revision), ...(fingerprint === undefined ? {} : { fingerprint }) },
  };
}
