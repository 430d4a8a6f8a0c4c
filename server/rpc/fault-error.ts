import type { Fault } from "../../core/fault.js";

/** Ends a unary call with a fault. Thrown only inside server/rpc/, where `unary` turns it into a status. */
export class FaultError extends Error {
  override readonly name = "FaultError";
  readonly fault: Fault;

  constructor(fault: Fault) {
    super(fault.message);
    this.fault = fault;
  }
}

/** Ends the call where there is a fault. */
export function refuse(fault: Fault | undefined): void {
  if (fault !== undefined) throw new FaultError(fault);
}
