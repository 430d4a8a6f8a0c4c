import { createHash } from "node:crypto";
import { asBuffer } from "../../core/content.js";
import { ErrorReason, type Fault, fieldFault } from "../../core/fault.js";
import { checkCollectionName } from "../../core/id.js";
import { LIMIT_NAMES } from "../../core/limits.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import { Capability, type Limits, type Open, Opened } from "../../gen/tercet/v1/sync.js";
import type { CollectionState, EpochState } from "../store/collection-state.js";
import { type Conversation, unsupported } from "./conversation.js";
import { decodeToken, type TokenCheck } from "./token.js";
import { notNegative } from "./validate-push.js";

/** What this server can do beyond the minimum. */
const CAPABILITIES: readonly Capability[] = [
  Capability.CAPABILITY_RECONCILE,
  Capability.CAPABILITY_CHUNKS,
  Capability.CAPABILITY_GROUPS,
  Capability.CAPABILITY_LIVE,
];

/** Those that both sides have. */
export function capabilitiesInForce(open: Open): Capability[] {
  return open.capabilities.filter((capability) => CAPABILITIES.includes(capability));
}

/** What is wrong with the first message by itself; undefined: nothing. */
export function checkOpen(open: Open): Fault | undefined {
  const fault = checkCollectionName(open.collection, "open.collection");
  if (fault !== undefined) return fault;
  if (open.standard < 0 || open.standard > ChangeStandard.CHANGE_STANDARD_MANUAL) {
    const description = `unknown change standard ${open.standard}`;
    return fieldFault(ErrorReason.ERROR_REASON_UNKNOWN_STANDARD, "open.standard", description);
  }
  if (open.collectionUid.length !== 0 && open.collectionUid.length !== 16) {
    return fieldFault(ErrorReason.ERROR_REASON_INVALID_FIELD, "open.collection_uid", "must be empty or 16 bytes");
  }
  if (open.client.length > 128) {
    return fieldFault(ErrorReason.ERROR_REASON_INVALID_FIELD, "open.client", "must not be over 128 characters");
  }
  const negative = checkLimits(open.limits);
  if (negative !== undefined) return negative;
  if (open.range !== undefined) return unsupported("open.range");
  return undefined;
}

function checkLimits(limits: Limits | undefined): Fault | undefined {
  if (limits === undefined) return undefined;
  const negative = LIMIT_NAMES.find((name) => limits[name] < 0);
  if (negative === undefined) return undefined;
  const field = negative.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return notNegative(limits[negative], `open.limits.${field}`);
}

/** The collection's standard, else the client's, else SERVER. */
export function standardInForce(bound: ChangeStandard, wished: ChangeStandard): ChangeStandard {
  if (bound !== ChangeStandard.CHANGE_STANDARD_UNSPECIFIED) return bound;
  return wished === ChangeStandard.CHANGE_STANDARD_UNSPECIFIED ? ChangeStandard.CHANGE_STANDARD_SERVER : wished;
}

/** The same message with the uid that its token says, where it names none. */
export function withUidOfToken(open: Open): Open {
  const uid = open.collectionUid.length === 0 ? decodeToken(open.token)?.uid : undefined;
  return uid === undefined ? open : { ...open, collectionUid: Buffer.from(uid) };
}

/** The epochs from the one that `revision` lies in. */
function lineageFrom(lineage: readonly EpochState[], revision: number): readonly EpochState[] {
  const at = lineage.findLastIndex((epoch) => epoch.firstRevision <= revision);
  return lineage.slice(Math.max(at, 0));
}

const TAG_BYTES = 8;

/** What a client may keep of the server's first message. */
function keepable({ uid, limits, capabilities, skewUs }: Conversation): Opened {
  return Opened.create({ collectionUid: Buffer.from(uid), limits, capabilities: [...capabilities], skewUs });
}

/** The last tag of each collection, with what it is of: most clients wish for the same. */
const lastTags = new WeakMap<Uint8Array, Pick<Conversation, "limits" | "capabilities" | "skewUs"> & { tag: Buffer }>();

/** Names what a client may keep. */
function tagOf(conversation: Conversation): Buffer {
  const { uid, limits, capabilities, skewUs } = conversation;
  const last = lastTags.get(uid);
  if (last?.skewUs === skewUs && isSame(last.limits, limits) && last.capabilities.join() === capabilities.join()) {
    return last.tag;
  }
  const encoded = Opened.encode(keepable(conversation)).finish();
  const tag = createHash("sha256").update(encoded).digest().subarray(0, TAG_BYTES);
  lastTags.set(uid, { limits, capabilities, skewUs, tag });
  return tag;
}

function isSame(a: Limits, b: Limits): boolean {
  return LIMIT_NAMES.every((name) => a[name] === b[name]);
}

/** The server's first message. */
export function toOpened(
  conversation: Conversation,
  open: Open,
  state: CollectionState,
  check: Exclude<TokenCheck, { kind: "invalid" }>,
  heartbeatUs: number,
): Opened {
  const isServed = check.kind === "served" && open.token.length > 0 && !open.recover;
  const known = isServed ? check.revision : 0;
  const tag = tagOf(conversation);
  const unchanged = isServed && asBuffer(open.knownTag).equals(tag);
  const lineage = unchanged
    ? state.lineage.filter((epoch) => epoch.firstRevision > known)
    : lineageFrom(state.lineage, known);
  return {
    ...(unchanged ? Opened.create({ unchanged }) : { ...keepable(conversation), tag }),
    standard: standardInForce(state.standard, open.standard),
    tokenRefused: check.kind === "served" ? ErrorReason.ERROR_REASON_UNSPECIFIED : check.fault.reason,
    head: state.revision,
    count: state.total.count,
    serverTimeUs: conversation.nowUs,
    heartbeatUs: conversation.live ? heartbeatUs : 0,
    lineage: lineage.map(({ id, firstRevision }) => ({ id: Buffer.from(id), firstRevision })),
  };
}
