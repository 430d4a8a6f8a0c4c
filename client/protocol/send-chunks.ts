import { asBuffer } from "../../core/content.js";
import type { Fault } from "../../core/fault.js";
import type { ContentChunk, Limits, UploadState } from "../../gen/tercet/v1/sync.js";
import type { OutgoingChange, Upload } from "../replica/outgoing-batch.js";
import { outOfOrder } from "./faults.js";
import type { ClientOperation, ClientResult } from "./operation.js";
import type { SendingWindow } from "./send-content.js";

/** A change whose content is larger than a message. */
export interface LargeChange extends OutgoingChange {
  readonly upsert: NonNullable<OutgoingChange["upsert"]> & { readonly upload: Upload };
}

/** A large change that is to be sent: its chunks, and its push behind them. */
export interface LargeSending {
  /** As it was taken first: what it is based on may have moved when its chunks have been sent. */
  readonly change: LargeChange;
  readonly trip: number;
  /** It is sent again on a new base. */
  readonly again: boolean;
}

/** What sending chunks needs of the machine around it. */
export interface ChunkSenderWorld {
  ask(operation: ClientOperation, then: (result: ClientResult) => void): void;
  send(chunk: ContentChunk, trip: number): void;
  limits(): Limits;
  readonly window: SendingWindow;
  /** All chunks of it have been sent: its push may follow, if the change still is what it was. */
  whole(sending: LargeSending): void;
}

/** Step 3 towards the server, for contents larger than a message. */
export interface ChunkSender {
  /** A content is being sent, or is to be. */
  readonly busy: boolean;
  begin(sending: LargeSending): void;
  /** How much of an upload the server holds. */
  receive(state: UploadState): Fault | undefined;
  /** Goes on, if anything can be sent now. */
  step(): boolean;
}

/** How far an upload is. */
interface Progress {
  readonly size: number;
  /** Sent up to here, and held by the server up to here. */
  sent: number;
  held: number;
  /** The server was asked how much it holds, and has not said. */
  asking: boolean;
  /** How often it was sent from an earlier place than where it was. */
  setBacks: number;
}

/** A server that loses what it was sent time and again is not to be fed for ever. */
const MAX_SET_BACKS = 8;
/** Uploads that are remembered. */
const MAX_UPLOADS = 1000;

/**
 * Sends contents one after the other, each piece read from the replica when the transport has room for it: what is held here
 * is one piece. On the way are at most a window of bytes that the server did not say it holds.
 */
export function createChunkSender(world: ChunkSenderWorld): ChunkSender {
  const queue: LargeSending[] = [];
  /** By upload id. Kept after the push, as a conflict sends it again, without the content if the server has it. */
  const uploads = new Map<string, Progress>();
  let extraTrips = 0;

  function idOf({ change }: LargeSending): string {
    return asBuffer(change.upsert.upload.id).toString("hex");
  }

  function chunkOf({ change }: LargeSending, offset: number, data: Uint8Array): ContentChunk {
    const { size, upload } = change.upsert;
    return {
      uploadId: asBuffer(upload.id),
      id: change.id,
      revision: 0,
      offset,
      data: asBuffer(data),
      size,
      text: upload.text,
      fingerprint: undefined,
      modifyTimeUs: 0,
    };
  }

  /** The one that is being sent, or has its turn now: what was begun on another stream goes on from what the server holds. */
  function start(sending: LargeSending): Progress {
    const key = idOf(sending);
    const known = uploads.get(key);
    if (known !== undefined) return known;
    extraTrips = 0;
    const { size, upload } = sending.change.upsert;
    const progress = { size, sent: 0, held: 0, asking: upload.begun, setBacks: 0 };
    // A live exchange may send any number of them; one that is forgotten is asked about once more.
    for (const oldest of uploads.keys()) {
      if (uploads.size < MAX_UPLOADS || queue.some((each) => idOf(each) === oldest)) break;
      uploads.delete(oldest);
    }
    uploads.set(key, progress);
    if (upload.begun) world.send(chunkOf(sending, 0, Buffer.alloc(0)), sending.trip);
    return progress;
  }

  function end(sending: LargeSending): LargeSending {
    queue.shift();
    const trip = sending.trip + extraTrips;
    extraTrips = 0;
    return { ...sending, trip };
  }

  /** The application has changed the item, or it gave way: it is pending in another version, or not at all. */
  function abandon(sending: LargeSending): void {
    end(sending);
    uploads.delete(idOf(sending));
    world.window.setChunks(idOf(sending), 0);
  }

  function sendPiece(sending: LargeSending, progress: Progress): boolean {
    const { id, sequence } = sending.change;
    const { windowBytes, messageBytes } = world.limits();
    const { bytes } = world.window;
    const offset = progress.sent;
    const length = Math.min(messageBytes, progress.size - offset);
    if (bytes > 0 && bytes + length > windowBytes) return false;
    world.ask({ kind: "read-content", of: { pending: id, sequence }, offset, length }, (result) => {
      if (result.kind !== "read-content") return;
      const { data } = result;
      if (data === undefined || data.length === 0) return abandon(sending);
      // It was set back meanwhile.
      if (progress.sent !== offset) return;
      progress.sent += data.length;
      world.window.setChunks(idOf(sending), progress.sent - progress.held);
      world.send(chunkOf(sending, offset, data), sending.trip + extraTrips);
    });
    return true;
  }

  return {
    get busy() {
      return queue.length > 0;
    },
    begin: (sending) => void queue.push(sending),
    receive({ uploadId, offset }) {
      const key = uploadId.toString("hex");
      const progress = uploads.get(key);
      // Of one that was abandoned.
      if (progress === undefined) return undefined;
      const { size, sent, held } = progress;
      if (offset < 0 || offset > size) return outOfOrder(`the server holds ${offset} bytes of an upload of ${size}`);
      const setBack = !progress.asking && sent > held && offset <= held;
      if (progress.asking) extraTrips = 1;
      if (setBack) progress.setBacks += 1;
      if (progress.setBacks > MAX_SET_BACKS) return outOfOrder("the server loses what it was sent of an upload");
      progress.held = offset;
      progress.sent = setBack ? offset : Math.max(sent, offset);
      progress.asking = false;
      world.window.setChunks(key, progress.sent - progress.held);
      return undefined;
    },
    step() {
      const [sending] = queue;
      if (sending === undefined) return false;
      const isNew = !uploads.has(idOf(sending));
      const progress = start(sending);
      if (progress.asking) return isNew;
      if (progress.sent < progress.size) return sendPiece(sending, progress);
      world.whole(end(sending));
      return true;
    },
  };
}
