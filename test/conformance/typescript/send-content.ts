import { randomBytes } from "node:crypto";
import { ErrorReason } from "../../../gen/tercet/v1/error.js";
import { ChangeKind } from "../../../gen/tercet/v1/item.js";
import { Capability, ContentChunk, Push } from "../../../gen/tercet/v1/sync.js";
import { fromVersion, toFingerprint } from "./change-info.js";
import { same } from "./fingerprint.js";
import { type Entry, listPending, type Pending, sizeOf, type Version, WHOLE_BYTES } from "./replica.js";
import type { Session } from "./session.js";
import { inParts, outOfOrder } from "./stream.js";

/*
 * Step 3, towards the server: sends pending changes, each with its content, its fingerprint and the state that it was made
 * on. What is sent is remembered before it is sent.
 */

const CHANGES_AT_ONCE = 4096;

/** A pending change by itself, or all changes of an atomic group. */
type Unit = readonly Entry[];

/** Pending changes in their order, those of a group together: without those that had their turn, or are held. */
export function dueUnits({ replica, tried }: Session): Unit[] {
  const units = new Map<number, Entry[]>();
  for (const entry of listPending(replica)) {
    const { group, sequence } = entry.pending as Pending;
    const unit = units.get(group || -sequence) ?? [];
    units.set(group || -sequence, unit);
    unit.push(entry);
  }
  return [...units.values()].filter((unit) => isDue(tried, unit));
}

function isDue(tried: ReadonlySet<number>, unit: Unit): boolean {
  const pending = unit.flatMap((entry) => entry.pending ?? []);
  return !pending.some(({ held }) => held) && pending.some(({ sequence }) => !tried.has(sequence));
}

/** Sends what is small and was never sent, right behind Open, if all of that is little enough. */
export function sendEagerly(session: Session): void {
  const { replica, limits } = session;
  const units = dueUnits(session).filter((unit) => unit.every(({ pending }) => pending?.sendings.length === 0));
  const entries = units.flat();
  const isMuch =
    bytesOf(entries) > limits.eagerBytes || entries.length > Math.min(CHANGES_AT_ONCE, limits.windowItems / 4);
  // Without a token there is nothing that the server could hold a change against.
  if (isMuch || entries.some(isLarge) || replica.checkpoint.token.length === 0) return;
  for (const batch of batchesOf(units, limits.messageBytes)) push(session, batch, undefined);
}

/** Sends what is due, as far as it fits into the window. Answers whether that was all. */
export async function sendPending(session: Session): Promise<boolean> {
  const { limits, replica } = session;
  const units = dueUnits(session);
  // Large contents last: while one is uploaded, the application may change others, which are compared anew then.
  const inTurn = [...units.filter((unit) => !unit.some(isLarge)), ...units.filter((unit) => unit.some(isLarge))];
  let [bytes, items] = [0, 0];
  for (const batch of batchesOf(inTurn, limits.messageBytes)) {
    bytes += bytesOf(batch);
    items += batch.length;
    if (items > batch.length && (bytes > limits.windowBytes || items > limits.windowItems)) return false;
    const [first] = batch;
    const isUpload = first !== undefined && isLarge(first);
    if (!isUpload || (await upload(session, first))) push(session, batch, replica.checkpoint.revision);
  }
  return true;
}

function bytesOf(entries: readonly Entry[]): number {
  return entries.reduce((sum, { id, mine }) => sum + sizeOf(id, mine), 0);
}

function isLarge({ mine }: Entry): boolean {
  return mine !== undefined && mine.bytes.length > WHOLE_BYTES;
}

/** The changes of these units by messages: a large one by itself, as it is longer than any. */
function batchesOf(units: readonly Unit[], messageBytes: number): Entry[][] {
  return inParts(units, bytesOf, messageBytes).map((part) => part.flat());
}

/** The server would not take it in any way. */
function isTooLarge({ limits, opened }: Session, { bytes }: Version): boolean {
  const isChunked = opened.capabilities.includes(Capability.CAPABILITY_CHUNKS);
  return bytes.length > (isChunked ? limits.itemBytes : WHOLE_BYTES);
}

/** Sends one batch. `seen`: the checkpoint that its changes have seen; undefined: the token's in Open. */
function push(session: Session, entries: readonly Entry[], seen: number | undefined): void {
  const pushes = entries.map((entry) => toPush(session, entry, entry.pending as Pending));
  session.stream.send({ $case: "push", value: { pushes, fingerprint: undefined, revisionSeen: seen } });
}

function toPush({ replica, sent, tried, onTheWay }: Session, entry: Entry, pending: Pending): Push {
  const { id, mine, base, timeUs } = entry;
  const { sequence, overrides, group } = pending;
  const resent = pending.sendings.length > 0;
  onTheWay.push({ id, sequence, version: mine, timeUs, resent, again: sent.has(sequence) });
  sent.add(sequence);
  tried.add(sequence);
  const isRemembered = pending.sendings.some((each) => same(each, mine?.fingerprint));
  if (!isRemembered) pending.sendings = [...pending.sendings, mine?.fingerprint];
  // What was sent before may have been made and undone since, which a recovery does not tell: it has seen its base, and no more.
  const ofBase = base !== undefined && (resent || base.revision > replica.checkpoint.revision);
  return Push.fromPartial({
    id,
    kind: mine === undefined ? ChangeKind.CHANGE_KIND_DELETED : ChangeKind.CHANGE_KIND_UPSERTED,
    content: mine === undefined || isLarge(entry) ? undefined : fromVersion(mine),
    fingerprint: toFingerprint(mine?.fingerprint),
    expected: toFingerprint(base?.fingerprint),
    revisionSeen: ofBase ? base.revision : undefined,
    overrides,
    modifyTimeUs: timeUs,
    group,
    uploadId: Buffer.from((isLarge(entry) && pending.upload) || []),
    fence: resent,
  });
}

/**
 * Sends a large content in chunks, before its push. What was begun before goes on where the server has it. Answers whether it
 * is to be pushed: not if it can't be sent, or is not what is pending any more.
 */
async function upload(session: Session, entry: Entry): Promise<boolean> {
  const { stream, limits, replica, tried } = session;
  const { id, mine, pending } = entry;
  if (!isDue(tried, [entry]) || !isLarge(entry) || mine === undefined || pending === undefined) return false;
  if (isTooLarge(session, mine)) {
    session.report.rejected.set(id, ErrorReason.ERROR_REASON_ITEM_TOO_LARGE);
    pending.rejected = ErrorReason.ERROR_REASON_ITEM_TOO_LARGE;
    tried.add(pending.sequence);
    return false;
  }
  const { bytes, text } = mine;
  const isBegun = pending.upload !== undefined;
  const uploadId = Buffer.from(pending.upload ?? randomBytes(16));
  pending.upload = uploadId;
  const sendChunk = (offset: number, length: number): void => {
    const data = Buffer.from(bytes.subarray(offset, offset + length));
    const value = ContentChunk.fromPartial({ uploadId, id, offset, data, size: bytes.length, text });
    stream.send({ $case: "chunk", value });
  };
  // A chunk without data asks how much there is.
  if (isBegun) sendChunk(0, 0);
  let held = isBegun ? await heldByServer(session, uploadId) : 0;
  for (let sent = held; sent < bytes.length; ) {
    if (sent === held || sent - held + limits.messageBytes <= limits.windowBytes) {
      sendChunk(sent, limits.messageBytes);
      sent += limits.messageBytes;
      continue;
    }
    const now = await heldByServer(session, uploadId);
    if (now <= held) throw outOfOrder("the server loses what it was sent of an upload");
    held = now;
    sent = Math.max(sent, held);
  }
  return replica.entries.get(id)?.pending?.sequence === pending.sequence;
}

async function heldByServer(session: Session, uploadId: Uint8Array): Promise<number> {
  for (;;) {
    const message = await session.stream.receiveOnly("upload");
    if (message.$case === "upload" && same(message.value.uploadId, uploadId)) return message.value.offset;
  }
}
