import { ErrorReason, type Fault } from "../../core/fault.js";
import { DEFAULT_LIMITS, negotiateLimits } from "../../core/limits.js";
import { SUPPORTED_STANDARDS } from "../../core/standard.js";
import type { ChangeStandard } from "../../gen/tercet/v1/item.js";
import { type Limits, Limits as LimitsMessage, type Open, type Opened } from "../../gen/tercet/v1/sync.js";
import type { ApplyBatch, ReplicaState } from "../replica/store.js";
import { outOfOrder, refusedFault, unsupportedStandard } from "./faults.js";
import { mergeLineage, sameLineage } from "./lineage.js";

/** What a client says that takes the limits as the server gives them. */
export const NO_WISHES: Limits = {
  inlineBytes: 0,
  eagerBytes: 0,
  messageBytes: 0,
  itemBytes: 0,
  windowBytes: 0,
  windowItems: 0,
  groupItems: 0,
  groupBytes: 0,
};

/** What a client says of itself and its wishes. */
export interface OpeningWishes {
  readonly standard: ChangeStandard;
  readonly create: boolean;
  readonly client: string;
}

/** The first message of an exchange of this replica. */
export function toOpen(state: ReplicaState, wishes: OpeningWishes, limits: Limits): Open {
  return {
    collection: state.collection,
    collectionUid: Buffer.from(state.collectionUid),
    token: Buffer.from(state.token),
    standard: wishes.standard,
    capabilities: [],
    limits,
    range: undefined,
    dryRun: false,
    live: false,
    create: wishes.create,
    client: wishes.client,
    witness: Buffer.from(state.witness),
  };
}

/** The limits that a replica last heard of; the defaults before the first exchange. */
export function lastHeard(state: ReplicaState, wishes: Limits): Limits {
  return negotiateLimits(state.limits.length > 0 ? LimitsMessage.decode(state.limits) : DEFAULT_LIMITS, wishes);
}

/** What a client makes of the server's first message. */
export interface Opening {
  readonly standard: ChangeStandard;
  readonly limits: Limits;
  /** What the replica does not know yet, to be kept with the next transaction. */
  readonly unsaved: ApplyBatch["opened"];
}

/** Reads the server's first message: whether an exchange can be had, and what is in force. */
export function readOpened(message: Opened, state: ReplicaState, wishes: Limits): Opening | Fault {
  if (message.tokenRefused !== ErrorReason.ERROR_REASON_UNSPECIFIED) return refusedFault(message, state);
  if (message.collectionUid.length !== 16) return outOfOrder("the server did not say which collection this is");
  if (!SUPPORTED_STANDARDS.includes(message.standard)) return unsupportedStandard(message.standard);
  const told = message.limits ?? DEFAULT_LIMITS;
  const lineage = mergeLineage(state.lineage, message.lineage);
  const limits = Buffer.from(LimitsMessage.encode(told).finish());
  const known = sameLineage(lineage, state.lineage) && limits.equals(state.limits) && state.collectionUid.length > 0;
  const unsaved = known ? undefined : { collectionUid: message.collectionUid, lineage, limits };
  return { standard: message.standard, limits: negotiateLimits(told, wishes), unsaved };
}
