import { randomBytes } from "node:crypto";
import { ErrorReason } from "../../../gen/tercet/v1/error.js";
import { ChangeKind } from "../../../gen/tercet/v1/item.js";
import { Capability, ContentChunk, Push } from "../../../gen/tercet/v1/sync.js";
import { fromVersion, toFingerprint } from "./change-info.js";
import { same } from "./fingerprint.js";
import { takeMessage } from "./messages.js";
import { type Entry, groupOf, listPending, type Pending, sizeInWindow } from "./replica.js";
import type { Session } from "./session.js";
import { outOfOrder } from "./stream.js";

/*
 * Step 3, towards the server: sends pending changes, each with its content, its fingerprint and the state that it was made
 * on. What is sent is remembered before it is sent.
 */

const WHOLE_BYTES = 1024 * 1024;
const CHANGES_AT_ONCE = 4096;
const MOST_SET_BACKS = 8;

/** A pending change by itself, or all changes of an atomic group. */
type Unit = readonly Entry[];

/** Whether there is anything to send now. */
export function hasDue(session: Session): boolean {
  return dueUnits(session).length > 0;
}

/** Sends what is small and was never sent, right behind Open, if all of that is little enough. */
export function sendEagerly(session: Session): void {
  const { replica, limits } = session;
  const units = dueUnits(session).filter((unit) => unit.every(({ pending }) => pending?.sendings.length === 0));
  const entries = units.flat();
  const fits =
    bytesOf(entries) <= limits.eagerBytes && entries.length <= Math.min(CHANGES_AT_ONCE, limits.windowItems / 4);
  // Without a token there is nothing that the server could hold a change against.
  if (replica.checkpoint.token.length === 0 || !fits || entries.some(isLarge)) return;
  for (const batch of batchesOf(units, limits.messageBytes)) push(session, batch, undefined);
}

/** Sends everything that is due, within the window. */
export async function sendPending(session: Session): Promise<void> {
  const { replica, stream, limits } = session;
  for (const batch of batchesOf(dueUnits(session), limits.messageBytes)) {
    const entries = batch.flat();
    while (!hasRoom(session, bytesOf(entries), entries.length)) await takeMessage(session, await stream.receive());
    const [first] = entries;
    if (first !== undefined && isTooLarge(session, first)) {
      reject(session, first);
      continue;
    }
    if (first !== undefined && isLarge(first) && !(await upload(session, first))) continue;
    // While this side waited, the application may have changed some of it, or it gave way.
    const units = batch.filter((unit) => unit.length === groupOf(replica, unit[0] as Entry).length);
    push(
      session,
      units.filter((unit) => isDue(session, unit)),
      replica.checkpoint.revision,
    );
  }
}

/** Pending changes in their order, those of a group together, without those that had their turn or are held. */
function dueUnits(session: Session): Unit[] {
  const units = new Map<number, Entry[]>();
  for (const entry of listPending(session.replica)) {
    const { group, sequence } = entry.pending as Pending;
    const key = group === 0 ? -sequence : group;
    units.set(key, [...(units.get(key) ?? []), entry]);
  }
  return [...units.values()].filter((unit) => isDue(session, unit));
}

function isDue({ replica, tried }: Session, unit: Unit): boolean {
  const pending = unit.map(({ id }) => replica.entries.get(id)?.pending);
  if (pending.some((each) => each === undefined || each.held)) return false;
  return pending.some((each) => each !== undefined && !tried.has(each.sequence));
}

function bytesOf(entries: readonly Entry[]): number {
  return entries.reduce((sum, { id, mine }) => sum + sizeInWindow(id, mine), 0);
}

function isLarge({ mine }: Entry): boolean {
  return mine !== undefined && mine.bytes.length > WHOLE_BYTES;
}

/** Units cut where a message would be too long; a large content is by itself. */
function batchesOf(units: readonly Unit[], messageBytes: number): Unit[][] {
  const batches: Unit[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const unit of units) {
    if (bytes + bytesOf(unit) > messageBytes || unit.some(isLarge)) {
      batches.push([]);
      bytes = 0;
    }
    batches.at(-1)?.push(unit);
    bytes += bytesOf(unit);
  }
  return batches;
}

function hasRoom({ onTheWay, limits }: Session, bytes: number, items: number): boolean {
  const waiting = onTheWay.reduce((sum, sent) => sum + sent.bytes, 0);
  if (onTheWay.length === 0) return true;
  return waiting + bytes <= limits.windowBytes && onTheWay.length + items <= limits.windowItems;
}

/** What the server would not take is not sent. */
function isTooLarge({ limits, capabilities }: Session, { mine }: Entry): boolean {
  const chunked = capabilities.includes(Capability.CAPABILITY_CHUNKS);
  const most = chunked ? limits.itemBytes : Math.min(limits.itemBytes, WHOLE_BYTES);
  return mine !== undefined && mine.bytes.length > most;
}

function reject({ report, tried }: Session, { id, pending }: Entry): void {
  const reason = ErrorReason.ERROR_REASON_ITEM_TOO_LARGE;
  report.rejected.set(id, reason);
  if (pending === undefined) return;
  pending.rejected = reason;
  tried.add(pending.sequence);
}

/** Sends one batch. `seen`: the checkpoint that its changes have seen; undefined: the token's in Open. */
function push(session: Session, units: readonly Unit[], seen: number | undefined): void {
  if (units.length === 0) return;
  const pushes = units.flat().map((entry) => toPush(session, entry, entry.pending as Pending));
  session.stream.send({ $case: "push", value: { pushes, fingerprint: undefined, revisionSeen: seen } });
}

function toPush(session: Session, entry: Entry, pending: Pending): Push {
  const { id, mine, base, timeUs } = entry;
  const { sequence, overrides, group } = pending;
  const resent = pending.sendings.length > 0;
  const again = session.sent.has(sequence);
  const bytes = isLarge(entry) ? 64 : sizeInWindow(id, mine);
  session.onTheWay.push({ id, sequence, version: mine, timeUs, bytes, resent, again });
  session.tried.add(sequence);
  session.sent.add(sequence);
  if (!pending.sendings.some((sent) => same(sent, mine?.fingerprint))) {
    pending.sendings = [...pending.sendings, mine?.fingerprint];
  }
  const isLater = base !== undefined && base.revision > session.replica.checkpoint.revision;
  return Push.fromPartial({
    id,
    kind: mine === undefined ? ChangeKind.CHANGE_KIND_DELETED : ChangeKind.CHANGE_KIND_UPSERTED,
    content: mine === undefined || isLarge(entry) ? undefined : fromVersion(mine),
    fingerprint: mine === undefined ? undefined : toFingerprint(mine.fingerprint),
    expected: base?.fingerprint === undefined ? undefined : toFingerprint(base.fingerprint),
    revisionSeen: isLater ? base.revision : undefined,
    overrides,
    modifyTimeUs: timeUs,
    group,
    uploadId: isLarge(entry) ? Buffer.from(pending.upload ?? []) : Buffer.alloc(0),
    fence: resent,
  });
}

/**
 * Sends a large content in chunks; its push follows. What was begun before goes on where the server has it. Answers whether it
 * is still what the application wants to send.
 */
async function upload(session: Session, { id, mine, pending }: Entry): Promise<boolean> {
  if (mine === undefined || pending === undefined) return false;
  const { stream, limits, replica } = session;
  const begun = pending.upload !== undefined;
  const uploadId = Buffer.from(pending.upload ?? randomBytes(16));
  pending.upload = uploadId;
  const { bytes, text } = mine;
  const chunk = (offset: number, length: number): ContentChunk => {
    const data = Buffer.from(bytes.subarray(offset, offset + length));
    return ContentChunk.fromPartial({ uploadId, id, offset, data, size: bytes.length, text });
  };
  if (begun) stream.send({ $case: "chunk", value: chunk(0, 0) });
  let held = begun ? await heldByServer(session, uploadId) : 0;
  let setBacks = 0;
  for (let sent = held; sent < bytes.length; ) {
    if (sent > held && sent - held + limits.messageBytes > limits.windowBytes) {
      const now = await heldByServer(session, uploadId);
      if (now <= held) {
        setBacks += 1;
        if (setBacks > MOST_SET_BACKS) throw outOfOrder("the server loses what it was sent of an upload");
        sent = now;
      }
      held = now;
      sent = Math.max(sent, held);
    } else {
      stream.send({ $case: "chunk", value: chunk(sent, limits.messageBytes) });
      sent += Math.min(limits.messageBytes, bytes.length - sent);
    }
  }
  return replica.entries.get(id)?.pending?.sequence === pending.sequence;
}

async function heldByServer(session: Session, uploadId: Uint8Array): Promise<number> {
  for (;;) {
    const message = await session.stream.receiveOnly("upload");
    if (message.$case === "upload" && same(message.value.uploadId, uploadId)) return message.value.offset;
  }
}
