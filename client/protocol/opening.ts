import { ErrorReason, type Fault } from "../../core/fault.js";
import { DEFAULT_LIMITS, negotiateLimits } from "../../core/limits.js";
import { isKnownStandard } from "../../core/standard.js";
import type { ChangeStandard } from "../../gen/tercet/v1/item.js";
import { Capability, type Limits, type Open, type Opened } from "../../gen/tercet/v1/sync.js";
import type { ApplyBatch } from "../replica/apply-batch.js";
import type { ReplicaState } from "../replica/replica-state.js";
import type { ClientExchangeConfig } from "./exchange-config.js";
import { outOfOrder, refusedFault, unsupportedStandard } from "./faults.js";
import { mergeLater, mergeLineage, sameLineage } from "./lineage.js";
import { decodeSettings, encodeSettings } from "./settings.js";

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
export type OpeningWishes = Pick<
  ClientExchangeConfig,
  "standard" | "mode" | "live" | "create" | "recreate" | "client" | "onHistoryChange"
>;

const NOTHING = Buffer.alloc(0);

/** What this client can do beyond the minimum. */
const CAPABILITIES: readonly Capability[] = [
  Capability.CAPABILITY_RECONCILE,
  Capability.CAPABILITY_CHUNKS,
  Capability.CAPABILITY_GROUPS,
  Capability.CAPABILITY_LIVE,
];

/** How an exchange begins, beside what its caller wishes. */
export interface OpeningWay {
  readonly recover: boolean;
  /** There is nothing to send before the proof is asked for. */
  readonly done: boolean;
}

/** The first message of an exchange of this replica. */
export function toOpen(state: ReplicaState, wishes: OpeningWishes, limits: Limits, way: OpeningWay): Open {
  const knownTag = way.recover ? NOTHING : tagOf(state);
  return {
    collection: state.collection,
    // A server that knows tags reads it in the token.
    collectionUid: knownTag.length > 0 ? NOTHING : Buffer.from(state.collectionUid),
    token: Buffer.from(state.token),
    standard: wishes.standard,
    capabilities: [...CAPABILITIES],
    limits: Object.values(limits).some((wish) => wish > 0) ? limits : undefined,
    range: undefined,
    live: wishes.live,
    // Only an exchange that changes something makes a collection, and none whose collection has been met.
    create: wishes.create && wishes.mode === "sync" && state.collectionUid.length === 0,
    recreate: wishes.recreate && wishes.mode === "sync",
    client: wishes.client,
    witness: Buffer.from(state.witness),
    ...way,
    knownTag,
  };
}

/** The tag of what the replica keeps of the server's first message; empty where it must hear all of it. */
function tagOf(state: ReplicaState): Buffer {
  // Without an epoch there is nothing that later ones could follow on.
  if (state.token.length === 0 || state.lineage.length === 0) return NOTHING;
  return decodeSettings(state.settings)?.tag ?? NOTHING;
}

/** The replica has items that it agreed on, or a recovery of them was cut, and no token says up to where. */
export function hasLostCheckpoint({ token, total, recovering }: ReplicaState): boolean {
  return token.length === 0 && (total.count > 0 || recovering !== undefined);
}

/** The limits that a replica last heard of; the defaults before the first exchange. */
export function lastHeard(state: ReplicaState, wishes: Limits): Limits {
  return negotiateLimits(decodeSettings(state.settings)?.limits ?? DEFAULT_LIMITS, wishes);
}

/** What a client makes of the server's first message. */
export interface Opening {
  readonly standard: ChangeStandard;
  readonly limits: Limits;
  /** What the replica does not know yet, to be kept with the next transaction. */
  readonly unsaved: ApplyBatch["opened"];
  /** The token can't be served: recover. */
  readonly refused: boolean;
}

/** The server's first message with what it left out, as the replica keeps it. */
export function wholeOpened(message: Opened, state: ReplicaState): Opened | Fault {
  if (!message.unchanged) return message;
  const kept = decodeSettings(state.settings);
  if (kept === undefined || tagOf(state).length === 0) return outOfOrder("the server left out what was never told");
  const { limits, capabilities, skewUs, tag } = kept;
  // A uid that it tells all the same is held against the replica's, like any.
  const collectionUid = message.collectionUid.length > 0 ? message.collectionUid : Buffer.from(state.collectionUid);
  return { ...message, collectionUid, limits, capabilities, skewUs, tag };
}

/** Reads the server's first message, whole: whether an exchange can be had, and what is in force. */
export function readOpened(
  message: Opened,
  state: ReplicaState,
  wishes: OpeningWishes & { readonly recovers: boolean },
  limitWishes: Limits,
): Opening | Fault {
  const { tokenRefused: reason, collectionUid: uid } = message;
  const refused = reason !== ErrorReason.ERROR_REASON_UNSPECIFIED;
  const canRecover = message.capabilities.includes(Capability.CAPABILITY_RECONCILE);
  const stops = reason === ErrorReason.ERROR_REASON_TOKEN_OTHER_HISTORY && wishes.onHistoryChange === "stop";
  if (refused && (!canRecover || stops)) return refusedFault(message, state);
  if (uid.length !== 16) return outOfOrder("the server did not say which collection this is");
  if (!isKnownStandard(message.standard)) return unsupportedStandard(message.standard);
  const told = message.limits ?? DEFAULT_LIMITS;
  const settings = encodeSettings(message);
  const rebind = state.collectionUid.length > 0 && !uid.equals(state.collectionUid);
  if (rebind && !wishes.recreate) return outOfOrder("the server opened another collection than the replica's");
  const lineage = lineageOf(message, state, { rebind, keeps: refused || wishes.recovers });
  const known =
    sameLineage(lineage, state.lineage) && settings.equals(state.settings) && state.collectionUid.length > 0;
  const unsaved =
    known && !rebind ? undefined : { collectionUid: uid, lineage, settings, ...(rebind ? { rebind } : {}) };
  return {
    standard: message.standard,
    limits: negotiateLimits(told, limitWishes),
    unsaved,
    refused: refused || rebind,
  };
}

/** The lineage that the replica is to keep. */
function lineageOf(
  message: Opened,
  state: ReplicaState,
  { rebind, keeps }: { readonly rebind: boolean; readonly keeps: boolean },
): ReplicaState["lineage"] {
  // Epochs of another collection say nothing of this one, whatever their ids.
  if (rebind) return [];
  // What a history is worth that the replica does not stand in yet, recovery finds out.
  if (keeps) return state.lineage;
  if (message.unchanged) return mergeLater(state.lineage, message.lineage, state.revision);
  return mergeLineage(state.lineage, message.lineage);
}
