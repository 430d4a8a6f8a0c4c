import { ErrorReason, type Fault } from "../../core/fault.js";
import type { Capability, ExchangeResponse, Limits } from "../../gen/tercet/v1/sync.js";
import type { EpochState } from "../store/collection-state.js";
import type { ServerOperation, ServerResult } from "./operation.js";

/** What the units of the server's side share: the stream, the storage, and what was agreed on when it was opened. */
export interface Conversation {
  readonly skewUs: number;
  /** Set when the collection is known. */
  name: string;
  uid: Uint8Array;
  /** The client comes from another collection, and goes on with this one. */
  rebinds: boolean;
  /** The stream stays open after its proof. */
  live: boolean;
  lineage: readonly EpochState[];
  limits: Limits;
  /** The token that the client opened with, where it can do without hearing it again; else empty. */
  token: Uint8Array;
  /** Those in force. */
  capabilities: readonly Capability[];
  nowUs: number;
  /** Pushes and fetches that were received and not answered, and chunks that were not stored. */
  readonly unanswered: { bytes: number; items: number };
  /** Asks for a storage operation; there is none under way. */
  ask(operation: ServerOperation, then: (result: ServerResult) => void): void;
  send(message: NonNullable<ExchangeResponse["message"]>): void;
  /** Ends the exchange; the first one counts. */
  close(fault?: Fault): void;
}

/** The collection was deleted in mid-exchange. */
export function deletedFault(name: string): Fault {
  return {
    reason: ErrorReason.ERROR_REASON_COLLECTION_DELETED,
    message: `the collection "${name}" was deleted while it was read`,
  };
}

/** A message came where it has no meaning. */
export function outOfOrder(message: string): Fault {
  return { reason: ErrorReason.ERROR_REASON_OUT_OF_ORDER, message };
}

/** Part of the contract, and not of this server. */
export function unsupported(what: string): Fault {
  return { reason: ErrorReason.ERROR_REASON_UNSUPPORTED, message: `"${what}" is not supported by this server yet` };
}
